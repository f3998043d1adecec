package consumer_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
)

// bouncer lets so many calls a second through to the API, and answers the others itself.
type bouncer struct {
	perSecond int
	surplus   consumer.Answer

	mu     sync.Mutex
	second time.Time
	let    int
}

func (b *bouncer) answer(consumer.Call, int) consumer.Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if second := time.Now().Truncate(time.Second); second != b.second {
		b.second, b.let = second, 0
	}
	if b.let++; b.let > b.perSecond {
		return b.surplus
	}
	return verdict(consumer.Deleted, 0)
}

func throttledFor(quiet time.Duration, unavailable bool) consumer.Answer {
	return consumer.Answer{Verdict: consumer.Throttled, Err: errAPI, Quiet: quiet, Unavailable: unavailable}
}

// TestPromise5_SurplusCallsUseUpNoEvent: what stands before the API lets half of the quota through. No event is a dead letter of
// that, and the calls that are let through are put to use.
func TestPromise5_SurplusCallsUseUpNoEvent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		surplus consumer.Answer
		within  time.Duration
	}{
		"429":                    {throttledFor(0, false), time.Minute},
		"429 for a second":       {throttledFor(time.Second, false), 90 * time.Second},
		"429 for a minute":       {throttledFor(time.Minute, false), 5 * time.Minute},
		"503 for now":            {throttledFor(0, true), 2 * time.Minute},
		"503 for a second":       {throttledFor(time.Second, true), 2 * time.Minute},
		"503 for a minute":       {throttledFor(time.Minute, true), 5 * time.Minute},
		"too fast, says the API": {verdict(consumer.Throttled, 60007), time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				b := &bouncer{perSecond: 100, surplus: tc.surplus}
				w.api.set(50*time.Millisecond, b.answer)
				w.publish(0, eventValues(0, 4000)...)
				w.start()
				w.awaitDrained(tc.within)
				w.wantDeletedOnce(0, 4000)
				if n := len(w.letterKeys()); n != 0 {
					w.t.Errorf("%d of 4000 good events are dead letters", n)
				}
			})
		})
	}
}

// TestPromise5_ThrottledForAnHour: if every call is answered so for an hour, no event is used up, few calls are made, and
// work goes on soon afterwards. An API that takes no calls at all is down, and calls pause.
func TestPromise5_ThrottledForAnHour(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer consumer.Answer
		calls  int
		pauses bool
	}{
		"429":                 {throttledFor(0, false), 5 * 3600, false},
		"429 for ten seconds": {throttledFor(10*time.Second, false), 800, false},
		"503 for now":         {throttledFor(0, true), 400, true},
		"503 for a minute":    {throttledFor(time.Minute, true), 400, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				o := &outage{from: time.Now().Add(10 * time.Second), to: time.Now().Add(time.Hour + 10*time.Second), fail: tc.answer}
				w.api.set(50*time.Millisecond, o.answer)
				w.publish(0, eventValues(0, 2500)...)
				r := w.start()
				time.Sleep(time.Until(o.from.Add(30 * time.Minute)))
				if p := r.Status().Paused; (p != nil) != tc.pauses {
					t.Errorf("paused after half an hour of it: %+v", p)
				}
				if s := r.Status().Stalled; s != nil {
					t.Errorf("said to stand still: %+v", s)
				}
				before := len(w.api.made())
				time.Sleep(time.Until(o.to))
				if n := len(w.api.made()) - before; 2*n > tc.calls {
					t.Errorf("%d calls in half an hour, want at most %d in an hour", n, tc.calls)
				}
				w.awaitDrained(5 * time.Minute)
				w.wantDeletedOnce(0, 2500)
				if n := len(w.letterKeys()); n != 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestPromise4_OneThrottledConversationHoldsUpNoOther: what stands before the API wants quiet whenever one account is called. The
// others do not wait for that for ever, and the one keeps its event.
func TestPromise4_OneThrottledConversationHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]consumer.Answer{
		"429 for a minute": throttledFor(time.Minute, false), "503 for a minute": throttledFor(time.Minute, true), "503 for now": throttledFor(0, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				var mended atomic.Bool
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if userOf(c) == 0 && !mended.Load() {
						return answer
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, 1000)...)
				w.start()
				w.await(2*time.Minute, "the others deleted", func() bool { return w.deleted(1, 1000) == 999 })
				for n := 1000; n < 1010; n++ { // each waits for the hold of a minute, at most
					w.publish(0, eventValue(n))
					time.Sleep(65 * time.Second)
					if w.deleted(n, n+1) != 1 {
						w.t.Errorf("conversation %d is not deleted after 65 s", n)
					}
				}
				mended.Store(true)
				w.awaitDrained(3 * time.Minute)
				w.wantDeletedOnce(0, 1010)
				if n := len(w.letterKeys()); n != 0 {
					w.t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}

// TestWaitsAsLongAsAsked: nobody is called before the time that a throttled answer names is over.
func TestWaitsAsLongAsAsked(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]consumer.Answer{
		"429": throttledFor(7*time.Second, false), "503": throttledFor(7*time.Second, true),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				var throttled time.Time
				w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
					if userOf(c) == 0 && before == 0 {
						throttled = time.Now().Add(50 * time.Millisecond)
						return answer
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, 1000)...)
				w.start()
				w.awaitDrained(time.Minute)
				for _, c := range w.api.made() {
					if c.began.After(throttled) && c.began.Before(throttled.Add(7*time.Second)) {
						w.t.Fatalf("a call %s after the answer", c.began.Sub(throttled))
					}
				}
				w.wantDeletedOnce(0, 1000)
			})
		})
	}
}
