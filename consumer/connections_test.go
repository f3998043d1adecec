package consumer_test

import (
	"testing"
	"time"
)

// TestBrokerConnectionsCut: every connection of the replica is cut again and again, while it works.
func TestBrokerConnectionsCut(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4, brokers: 3}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, mixedAnswer)
		w.guardCommits()
		w.publishNumbered(4, 500)
		r := w.start()
		for range 5 {
			time.Sleep(1700 * time.Millisecond)
			r.net.Cut()
		}
		w.awaitDrained(10 * time.Minute)
		if n := len(w.letterKeys()); n != 400 {
			t.Errorf("%d dead letters, want 400", n)
		}
	})
}
