package consumer_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
)

// The simulation found what these tests hold: outages in so little traffic that few calls tell of them, and events
// that fail for reasons of their own where nothing else is there to compare them with.

// TestPromise5_OutageInLittleTraffic: while the API answers every call with an internal error, and only one event comes in
// five seconds, two of them are given up, however long it lasts.
func TestPromise5_OutageInLittleTraffic(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		o := &outage{from: time.Now().Add(10 * time.Second), to: time.Now().Add(time.Hour), fail: verdict(consumer.Transient, 50005)}
		w.api.set(50*time.Millisecond, o.answer)
		w.start()
		for n := range 120 {
			w.publish(0, eventValue(n))
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Until(o.to))
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 2 {
			t.Errorf("%d dead letters of an outage", n)
		}
	})
}

// TestPromise5_ThrottledOutage: an API that refuses half of the calls as too fast and fails the others is down
// all the same.
func TestPromise5_ThrottledOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		down := &outage{from: time.Now().Add(5 * time.Second), to: time.Now().Add(5 * time.Minute)}
		var calls atomic.Int64
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			switch {
			case !down.on():
				return verdict(consumer.Deleted, 0)
			case calls.Add(1)%2 == 0:
				return verdict(consumer.Throttled, 60011)
			}
			return verdict(consumer.Transient, 50004)
		})
		w.publish(0, eventValues(0, 2000)...)
		r := w.start()
		time.Sleep(time.Until(down.from.Add(10 * time.Second)))
		if p := r.Status().Paused; p == nil || p.Reason != consumer.PauseOutage {
			t.Errorf("after 10 s of it calls are made: %+v", p)
		}
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d dead letters of an outage", n)
		}
	})
}

// TestPromise5_CaughtByAnOutage: the last call before an outage, under way while another one is still answered well, is
// no worse than those that follow; neither is a last attempt that hangs while the API comes back.
func TestPromise5_CaughtByAnOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		begins, ends := time.Now().Add(10*time.Second), time.Now().Add(5*time.Minute)
		w.api.set(100*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			now := time.Now()
			switch {
			case c.Conversation == conversation(1) && now.Before(begins): // the other one has begun before and is answered in between
				time.Sleep(time.Until(begins))
				return verdict(consumer.Transient, 0)
			case now.After(begins) && now.Before(ends):
				time.Sleep(4 * time.Second)
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		time.Sleep(time.Until(begins.Add(-90 * time.Millisecond)))
		w.publish(0, eventValue(0), eventValue(1))
		time.Sleep(time.Until(ends.Add(time.Second)))
		w.publish(0, eventValue(2))
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d dead letters of an outage", n)
		}
	})
}

// TestPromise5_CaughtByTheEnd: last attempts of several conversations that still hang when the API comes back, one after the
// other, are no one's fault, whatever the first of them leads to.
func TestPromise5_CaughtByTheEnd(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var hanging sync.WaitGroup
		hanging.Add(2)
		w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			switch {
			case c.Conversation == conversation(2) || before > 5:
				return verdict(consumer.Deleted, 0)
			case before == 5: // the last attempt
				hanging.Done()
				hanging.Wait()
				time.Sleep(2 * time.Second)
				if c.Conversation == conversation(1) {
					time.Sleep(5 * time.Second)
				}
			}
			return verdict(consumer.Transient, 0)
		})
		w.start(func(c *consumer.Config) { c.RetryMax = 2 * time.Second })
		w.publish(0, eventValue(0), eventValue(1))
		hanging.Wait()
		w.publish(0, eventValue(2))
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d dead letters of an outage", n)
		}
	})
}

// TestPauseEndsWithAnyJudgement: an answer that concerns the event alone, though it is no success, shows that what a pause is
// about is over. Where that was the last event, nothing else would ever show it.
func TestPauseEndsWithAnyJudgement(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		fail consumer.Answer
		then int
	}{
		{"halt, then an account that does not exist", verdict(consumer.Halt, 60020), 70107},
		{"halt, then an internal error", verdict(consumer.Halt, 70009), 50004},
		{"outage, then an account that does not exist", verdict(consumer.Transient, 0), 70107},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				over := time.Now().Add(2 * time.Minute)
				w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
					if time.Now().Before(over) {
						return tc.fail
					}
					return verdict(consumer.Transient, tc.then)
				})
				w.publish(0, eventValue(0))
				w.start()
				w.awaitDrained(30 * time.Minute)
				if n := len(w.letterKeys()); n != 1 {
					t.Errorf("%d dead letters, want that of the event", n)
				}
			})
		})
	}
}

// TestQuietAfterALockedSignature: an API that wants a minute without calls gets it, even where a new key would have been a
// reason to probe at once.
func TestQuietAfterALockedSignature(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		locked := verdict(consumer.Halt, 70050)
		locked.Quiet = time.Minute
		w.api.set(50*time.Millisecond, func(_ consumer.Call, before int) consumer.Answer {
			if before == 0 {
				return locked
			}
			return verdict(consumer.Deleted, 0)
		})
		recheck := make(chan struct{})
		w.publish(0, eventValue(0))
		w.start(func(c *consumer.Config) { c.Recheck = recheck })
		w.await(10*time.Second, "the first call", func() bool { return len(w.api.made()) == 1 })
		time.Sleep(5 * time.Second)
		recheck <- struct{}{}
		w.awaitDrained(5 * time.Minute)
		calls := w.api.made()
		if len(calls) != 2 || calls[1].began.Sub(calls[0].began) < time.Minute {
			t.Errorf("calls %+v", calls)
		}
	})
}
