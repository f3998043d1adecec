package consumer_test

import (
	"bytes"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit/rawbatch"
)

// TestPromise8_InFlightIsBounded: neither a long backlog nor large events make more be held than configured.
func TestPromise8_InFlightIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 8}, func(w *world) {
		t := w.t
		for p := range int32(8) {
			w.publish(p, eventValues(int(p)*1000, int(p)*1000+1000)...)
		}
		big := bytes.Repeat([]byte("x"), 400_000)
		for range 10 {
			w.publish(0, big, big)
		}
		r := w.start(func(c *consumer.Config) {
			c.MaxInFlight = 100
			c.MaxInFlightBytes = 1 << 20
		})
		for range 1000 {
			if n := r.metric("convdel_in_flight"); n > 100 {
				t.Fatalf("%v events in flight, allowed are 100", n)
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.awaitDrained(5 * time.Minute)
		if n := len(w.letterKeys()); n != 20 {
			t.Errorf("%d dead letters, want the 20 large records", n)
		}
	})
}

// TestPromise8_HeadersCount: headers take memory beside their bytes, so that events with many of them are few at a time.
func TestPromise8_HeadersCount(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		const events, headers = 60, 4000
		for n := range events {
			w.send(0, rawbatch.Of(now(), rawbatch.Plain(0, eventValue(n), headers)).Bytes())
		}
		w.api.set(time.Minute, nil)
		w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 1 << 20 })
		time.Sleep(10 * time.Second)
		if n := len(w.api.made()); n == 0 || n > 1<<20/(64*headers) {
			t.Errorf("%d events of %d headers each are in flight in 1 MiB", n, headers)
		}
		w.api.set(time.Millisecond, nil)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, events)
	})
}
