package testkit

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/imclient/imtest"
)

// APIURL is the address of a simulator that [StartAPI] has started.
const APIURL = "http://localhost:8000"

// StartAPI starts the API's simulator on a network in memory, for a synctest bubble, and returns a dialer that reaches it.
// The simulator ends with the test.
func StartAPI(tb testing.TB, cfg imtest.Config) (*imtest.Server, Dial) {
	tb.Helper()
	network := new(kfake.VirtualNetwork)
	listener, err := network.Listen("tcp", "localhost:8000")
	if err != nil {
		tb.Fatal(err)
	}
	sim := imtest.New(cfg)
	served := make(chan error, 1)
	go func() { served <- sim.Serve(listener) }()
	tb.Cleanup(func() {
		sim.Close()
		if err := <-served; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return sim, network.DialContext
}
