package consumer

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/metadata"
	"github.com/segmentio/kafka-go/protocol/produce"
)

// silentTransport notes requests, and answers none.
type silentTransport struct{ made int }

func (s *silentTransport) RoundTrip(ctx context.Context, _ net.Addr, _ kafka.Request) (kafka.Response, error) {
	s.made++
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestGatedTransport: no attempt of a write leaves after the gate's time, or after the work that it is of, even if the gate is open again. Nor is the answer
// to one waited for by then. Other requests pass the gate, and end with the work: nobody else ends them.
func TestGatedTransport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		req        kafka.Request
		open       time.Duration // for how long the gate is
		work       time.Duration // for how long that goes on
		made       int
		took       time.Duration
		notWritten bool
	}{
		{"a write", &produce.Request{}, time.Minute, time.Minute, 1, 10 * time.Second, false},
		{"the gate is shut", &produce.Request{}, 0, time.Minute, 0, 0, true},
		{"the gate shuts", &produce.Request{}, 3 * time.Second, time.Minute, 1, 3 * time.Second, false},
		{"the work is over", &produce.Request{}, time.Minute, 0, 0, 0, true},
		{"the work ends", &produce.Request{}, time.Minute, 3 * time.Second, 1, 3 * time.Second, false},
		{"another request", &metadata.Request{}, 0, time.Minute, 1, 10 * time.Second, false},
		{"another request, the work is over", &metadata.Request{}, 0, 0, 0, 0, true},
		{"another request, the work ends", &metadata.Request{}, 0, 3 * time.Second, 1, 3 * time.Second, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				work, cancelWork := context.WithTimeout(t.Context(), tc.work)
				defer cancelWork()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				gate, to := newWriteGate(), new(silentTransport)
				gate.allow(time.Now().Add(tc.open))
				began := time.Now()
				_, err := gatedTransport{to, gate, work}.RoundTrip(ctx, nil, tc.req)
				if took := time.Since(began); err == nil || errors.Is(err, errNotWritten) != tc.notWritten || to.made != tc.made || took != tc.took {
					t.Errorf("%d requests, ended after %s: %v", to.made, took, err)
				}
			})
		})
	}
}

// TestGateDoesNotOpenForFormerWork: a write that waits at the gate does not leave if its work ends as the gate opens.
func TestGateDoesNotOpenForFormerWork(t *testing.T) {
	t.Parallel()
	gate := newWriteGate()
	gate.allow(time.Now().Add(time.Hour))
	work, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gate.pass(work); !errors.Is(err, errNotWritten) {
		t.Errorf("a write of former work passes: %v", err)
	}
}

// TestGatedWriterIsWaitedFor: a write that waits in the client's queue for longer than its context lasts is not over before the client says so.
func TestGatedWriterIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newWriteGate()
		gate.allow(time.Now().Add(time.Hour))
		slow := writerFunc(func(ctx context.Context, _ ...kafka.Message) error { return pause(ctx, gateTimeout+time.Minute) })
		ctx, cancel := context.WithTimeout(t.Context(), gateTimeout)
		defer cancel()
		began := time.Now()
		if err := (gatedWriter{slow, gate}).WriteMessages(ctx); err != nil || time.Since(began) != gateTimeout+time.Minute {
			t.Errorf("ended after %s: %v", time.Since(began), err)
		}
	})
}

// TestGateWakesWhoWasRefused: a write that was told to wait is woken by the next time, also where the clock has been set back meanwhile, so that the time
// before it is none that has passed.
func TestGateWakesWhoWasRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := newWriteGate()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		passed := make(chan error, 1)
		go func() { passed <- gate.pass(ctx) }()
		synctest.Wait()
		gate.mu.Lock()
		gate.until = time.Now().Add(time.Second) // what a clock that is set back makes of a time that had passed
		gate.mu.Unlock()
		gate.allow(time.Now().Add(2 * time.Second))
		if err := <-passed; err != nil {
			t.Errorf("never woken: %v", err)
		}
	})
}
