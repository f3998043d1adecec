package consumer_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
)

// outage makes the API fail between two moments, and checks how it is called meanwhile.
type outage struct {
	from, to time.Time
	fail     consumer.Answer
}

func (o *outage) on() bool { now := time.Now(); return !now.Before(o.from) && now.Before(o.to) }

func (o *outage) answer(consumer.Call, int) consumer.Answer {
	if o.on() {
		return o.fail
	}
	return consumer.Answer{Verdict: consumer.Deleted}
}

// TestPromise5_AFaultThatIsNotTheEventsOwnUsesUpNoEvent lets the API fail for half an hour in the midst of
// 10,000 events, in all the ways that are not an event's fault, for three replicas. No event becomes a
// dead letter, each replica probes with one call at a time, and afterwards everything is deleted.
func TestPromise5_AFaultThatIsNotTheEventsOwnUsesUpNoEvent(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		fail    consumer.Answer
		latency time.Duration
		reason  consumer.PauseReason
	}{
		{"HTTP 502", verdict(consumer.Transient, 0), 50 * time.Millisecond, consumer.PauseOutage},
		{"connection refused", verdict(consumer.Transient, 0), 0, consumer.PauseOutage},
		{"hanging calls", verdict(consumer.Transient, 0), 5 * time.Second, consumer.PauseOutage},
		{"internal errors", verdict(consumer.Transient, 50004), 50 * time.Millisecond, consumer.PauseOutage},
		{"wrong key, 70009", verdict(consumer.Halt, 70009), 50 * time.Millisecond, consumer.PauseHalt},
		{"plan expired, 60020", verdict(consumer.Halt, 60020), 50 * time.Millisecond, consumer.PauseHalt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				t := w.t
				for p := range int32(3) {
					w.publish(p, eventValues(int(p)*3334, int(p)*3334+3334)...)
				}
				o := &outage{from: time.Now().Add(20 * time.Second), to: time.Now().Add(30*time.Minute + 20*time.Second), fail: tc.fail}
				w.api.set(50*time.Millisecond, o.answer)
				const replicas = 3
				for range replicas {
					w.start()
				}
				time.Sleep(20 * time.Second)
				w.api.set(tc.latency, o.answer)
				time.Sleep(20 * time.Second)
				for _, r := range w.replicas {
					if p := r.Status().Paused; p == nil || p.Reason != tc.reason {
						t.Fatalf("paused: %+v, want %s", p, tc.reason)
					}
				}
				before := len(w.api.made())
				w.api.resetConcurrency()
				time.Sleep(29 * time.Minute)
				probes := len(w.api.made()) - before
				if w.api.atOnce > replicas || probes < 20*replicas || probes > 80*replicas {
					t.Errorf("%d calls during the outage, %d at once; want a probe of each replica every half a minute", probes, w.api.atOnce)
				}
				w.api.set(50*time.Millisecond, o.answer)
				w.awaitDrained(10 * time.Minute)
				w.wantDeletedOnce(0, 10_002)
				if n := len(w.letterKeys()); n != 0 {
					t.Errorf("%d dead letters", n)
				}
				if peak := w.api.peak(); peak > 200 {
					t.Errorf("%d calls in a second", peak)
				}
				if n := strings.Count(w.log.String(), "calls paused"); n != replicas {
					t.Errorf("the pause is in the log %d times, want once for each replica", n)
				}
			})
		})
	}
}

func (a *fakeAPI) resetConcurrency() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.atOnce = a.now
}

// TestPromise5_Flapping: an API that fails every other 15 seconds uses up no event either.
func TestPromise5_Flapping(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*3334, int(p)*3334+3334)...)
		}
		began := time.Now()
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			if int(time.Since(began)/(15*time.Second))%2 == 1 {
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		w.awaitDrained(time.Hour)
		w.wantDeletedOnce(0, 10_002)
		if n := len(w.letterKeys()); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestPoisonedEventsAmongGoodOnes: what keeps failing while others succeed becomes a dead letter, and
// holds up the others no longer than it takes to tell.
func TestPoisonedEventsAmongGoodOnes(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			var user int
			if _, err := fmt.Sscanf(c.From, "user%d", &user); err != nil || user < 20 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 1020)...) // the poisoned ones first, as an outage would begin
		w.start()
		w.await(30*time.Second, "the good ones deleted", func() bool { return len(w.api.deletes()) == 1000 })
		for n := 2000; n < 2060; n++ { // while nothing succeeds, several that fail can't be told from an outage
			w.publish(0, eventValue(n))
			time.Sleep(5 * time.Second)
		}
		w.awaitDrained(10 * time.Minute)
		if n := len(w.letterKeys()); n != 20 {
			t.Errorf("%d dead letters, want the 20 poisoned", n)
		}
	})
}

// TestDeniedInARow: a wrong administrator's account costs five dead letters and not the topic.
func TestDeniedInARow(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		var mended atomic.Bool
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			if mended.Load() {
				return verdict(consumer.Deleted, 0)
			}
			return verdict(consumer.Permanent, 50003)
		})
		for p := range int32(2) {
			w.publish(p, eventValues(int(p)*500, int(p)*500+500)...)
		}
		recheck := make(chan struct{})
		r := w.start(func(c *consumer.Config) { c.Recheck = recheck })
		time.Sleep(10 * time.Minute)
		if n := len(w.letterKeys()); n != 5 {
			t.Errorf("%d dead letters, want 5", n)
		}
		p := r.Status().Paused
		if p == nil || p.Reason != consumer.PauseDenied || r.pausedFor("denied") != 1 {
			t.Fatalf("paused: %+v", p)
		}
		mended.Store(true)
		recheck <- struct{}{} // the account has been changed: no need to wait for the next probe
		time.Sleep(time.Second)
		if r.Status().Paused != nil || r.pausedFor("denied") != 0 {
			t.Error("still paused a second after the probe was asked for")
		}
		w.awaitDrained(5 * time.Minute)
		if n := len(w.api.deletes()); n != 995 {
			t.Errorf("%d conversations deleted, want 995", n)
		}
	})
}

// pausedFor reads convdel_paused for a reason.
func (r *replica) pausedFor(reason string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "convdel_paused" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == reason {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// TestPauseSurvivesARebalance: the breaker stays open through generations, and the member that takes
// over finds an outage by itself.
func TestPauseSurvivesARebalance(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		o := &outage{from: time.Now().Add(5 * time.Second), to: time.Now().Add(10 * time.Minute), fail: verdict(consumer.Transient, 0)}
		w.api.set(50*time.Millisecond, o.answer)
		for p := range int32(4) {
			w.publish(p, eventValues(int(p)*1000, int(p)*1000+1000)...)
		}
		first := w.start()
		time.Sleep(30 * time.Second)
		w.start()
		time.Sleep(time.Minute)
		first.stop()
		w.start()
		time.Sleep(10 * time.Minute)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, 4000)
		if n := len(w.letterKeys()); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestPauseOverSoonAfterARebalance: the oldest events of a partition are those that keep failing, and a new owner does
// not know them yet. It probes with others.
func TestPauseOverSoonAfterARebalance(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		var refused atomic.Bool
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			var user int
			if _, err := fmt.Sscanf(c.From, "user%d", &user); err != nil || user < 40 {
				return verdict(consumer.Transient, 50004)
			}
			if refused.Load() {
				return verdict(consumer.Halt, 70009)
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range int32(2) {
			w.publish(p, eventValues(int(p)*20, int(p)*20+20)...)
			w.publish(p, eventValues(int(p)*1000+100, int(p)*1000+1100)...)
		}
		w.start()
		time.Sleep(3 * time.Second)
		refused.Store(true)
		time.Sleep(10 * time.Second)
		w.start()
		time.Sleep(time.Minute)
		refused.Store(false)
		began := time.Now()
		w.await(10*time.Minute, "the good ones deleted", func() bool { return len(w.api.deletes()) == 2000 })
		// One probe comes in at most 30 s, and the rest takes 10 s at 200 a second.
		if took := time.Since(began); took > 45*time.Second {
			t.Errorf("the good ones took %s", took)
		}
	})
}
