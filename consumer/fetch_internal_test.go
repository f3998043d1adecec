package consumer

import (
	"context"
	"errors"
	"testing"
)

// TestAFetcherThatEndsHoldsNothing: what it has reserved for the next fetch is given back, since the session goes on without its partition.
func TestAFetcherThatEndsHoldsNothing(t *testing.T) {
	t.Parallel()
	c := testCapacity(100, 1<<20)
	f := &fetcher{p: &partition{}, owned: &assignment{}, capacity: c, mayFetch: func(context.Context) error { return errors.New("given up") }}
	if err := c.reserve(t.Context(), &f.reserved, 1000, true); err != nil || f.reserved.events == 0 {
		t.Fatalf("%d events reserved: %v", f.reserved.events, err)
	}
	if err := f.run(t.Context()); err != nil {
		t.Error(err)
	}
	if !c.events.TryAcquire(100) || !c.bytes.TryAcquire(1<<20) {
		t.Error("something is held")
	}
}
