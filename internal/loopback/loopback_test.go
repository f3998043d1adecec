package loopback_test

import (
	"testing"

	"convdel/internal/loopback"
)

func TestHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "localhost.": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "::1%lo": true,
		"": false, "localhost.example.com": false, "example.localhost": false, "127.0.0.1.example.com": false, "127.1": false, "0.0.0.0": false, "::": false,
		"10.0.0.7": false, "kafka": false, "::ffff:10.0.0.7": false, "1270.0.1": false, "localhost..": false,
	} {
		if got := loopback.Host(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
	for address, want := range map[string]bool{"localhost:1": true, "[::1]:1": true, "::1": false, "localhost": false, "kafka:1": false, ":1": false} {
		if got := loopback.Address(address); got != want {
			t.Errorf("%q: %t", address, got)
		}
	}
}
