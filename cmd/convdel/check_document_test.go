package main

import (
	"os"
	"strings"
	"testing"

	"convdel/imclient"
	"convdel/internal/check"
)

// TestCheckDocument: docs/check.md has each check and each of the vendor's endpoints.
func TestCheckDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range check.Names() {
		if !strings.Contains(string(text), "\n| `"+string(name)+"` | ") {
			t.Errorf("no row %s", name)
		}
	}
	for _, r := range imclient.Regions() {
		if !strings.Contains(string(text), "\n| "+r.Name+" | https://"+r.Host+" |\n") {
			t.Errorf("no row %s", r.Name)
		}
	}
	if n := strings.Count(string(text), " | https://"); n != len(imclient.Regions()) {
		t.Errorf("%d endpoints", n)
	}
}
