package consumer_test

import (
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
)

// TestPromise5_TheReasonOfAPauseIsFollowed: while calls are paused, the reason changes: the API is down, then refuses the
// signature, then is down again, then denies the permission. Status, metric and log have the present one, and no other.
func TestPromise5_TheReasonOfAPauseIsFollowed(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var answer atomic.Value
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { a, _ := answer.Load().(consumer.Answer); return a })
		answer.Store(verdict(consumer.Deleted, 0))
		w.publish(0, eventValues(0, 3000)...)
		r := w.start()
		time.Sleep(5 * time.Second)
		var began time.Time
		before := consumer.PauseReason("")
		for i, step := range []struct {
			answer consumer.Answer
			reason consumer.PauseReason
			says   string
		}{
			{consumer.Answer{Verdict: consumer.Transient, Err: errors.New("connection refused")}, consumer.PauseOutage, "connection refused"},
			{consumer.Answer{Verdict: consumer.Halt, Code: 70009, Err: errors.New("code 70009")}, consumer.PauseHalt, "code 70009"},
			{consumer.Answer{Verdict: consumer.Throttled, Unavailable: true, Err: errors.New("http status 503")}, consumer.PauseOutage, "http status 503"},
			{consumer.Answer{Verdict: consumer.Permanent, Code: 50003, Denied: true, Err: errors.New("code 50003")}, consumer.PauseDenied, "code 50003"},
			{consumer.Answer{Verdict: consumer.Halt, Code: 70050, Err: errors.New("code 70050"), Quiet: time.Minute}, consumer.PauseHalt, "code 70050"},
		} {
			answer.Store(step.answer)
			time.Sleep(3 * time.Minute) // five probes that are denied come in that time
			p := r.Status().Paused
			if p == nil || p.Reason != step.reason || p.LastError != step.says {
				t.Fatalf("step %d: paused %+v, want %s: %s", i, p, step.reason, step.says)
			}
			if i == 0 {
				began = p.Since
			}
			if !p.Since.Equal(began) {
				t.Errorf("step %d: paused since %s, want %s", i, p.Since, began)
			}
			for _, reason := range []consumer.PauseReason{consumer.PauseHalt, consumer.PauseOutage, consumer.PauseDenied} {
				if got := r.pausedFor(string(reason)); got != 0 != (reason == step.reason) {
					t.Errorf("step %d: convdel_paused{reason=%q} is %v, and the reason is %s", i, reason, got, step.reason)
				}
			}
			if i > 0 {
				line := regexp.MustCompile(`level=ERROR msg="calls stay paused, for another reason".* reason=` + string(step.reason) + ` before=` + string(before) + ` error="` + step.says + `"`)
				if n := len(line.FindAllString(w.log.String(), -1)); n != 1 {
					t.Errorf("step %d: the new reason is in the log %d times", i, n)
				}
			}
			before = step.reason
		}
		answer.Store(verdict(consumer.Deleted, 0))
		w.awaitDrained(5 * time.Minute)
		for _, reason := range []consumer.PauseReason{consumer.PauseHalt, consumer.PauseOutage, consumer.PauseDenied} {
			if r.pausedFor(string(reason)) != 0 {
				t.Errorf("%s is left in the metric", reason)
			}
		}
	})
}

// TestPausesAreLoggedEachMinute: with the present reason, since when, the last error and the next probe; and not after the end.
func TestPausesAreLoggedEachMinute(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		o := &outage{from: time.Now().Add(10 * time.Second), to: time.Now().Add(30 * time.Minute), fail: verdict(consumer.Halt, 70009)}
		w.api.set(50*time.Millisecond, o.answer)
		w.publish(0, eventValues(0, 3000)...)
		r := w.start()
		time.Sleep(15 * time.Second)
		since := r.Status().Paused.Since
		lines := func() int { return strings.Count(w.log.String(), "calls are still paused") }
		time.Sleep(time.Until(since.Add(59 * time.Second)))
		if n := lines(); n != 0 {
			t.Errorf("%d lines in the first minute", n)
		}
		time.Sleep(time.Until(since.Add(10*time.Minute + time.Second)))
		if n := lines(); n != 10 {
			t.Errorf("%d lines in ten minutes", n)
		}
		want := regexp.MustCompile(`level=ERROR msg="calls are still paused".* reason=halt since=` +
			regexp.QuoteMeta(since.Format("2006-01-02T15:04:05.000Z07:00")) + ` error="the API said no" next_probe=2\S+T`)
		if n := len(want.FindAllString(w.log.String(), -1)); n < 9 { // one may fall into a probe
			t.Errorf("%d of 10 lines say all that they should:\n%s", n, w.log.String())
		}
		time.Sleep(time.Until(o.to.Add(time.Minute)))
		n := lines()
		time.Sleep(15 * time.Minute)
		if lines() != n || r.Status().Paused != nil {
			t.Errorf("%d lines after the pause", lines()-n)
		}
	})
}

// TestSlowingDownIsInTheStatus: while the API wants no calls, and for ten seconds after it has said so.
func TestSlowingDownIsInTheStatus(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		quiet := time.Minute
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return throttledFor(quiet, false) })
		w.publish(0, eventValues(0, 10)...)
		r := w.start()
		if got := r.Status().Throttled; got != nil {
			t.Errorf("before any answer: %+v", got)
		}
		time.Sleep(20 * time.Second)
		if got := r.Status().Throttled; got == nil || got.At.IsZero() || time.Until(got.Until) < 30*time.Second || r.Status().Paused != nil {
			t.Errorf("held: %+v", got)
		}
		quiet = 0
		time.Sleep(time.Minute)
		if got := r.Status().Throttled; got == nil || !got.Until.IsZero() || time.Since(got.At) > 10*time.Second {
			t.Errorf("throttled: %+v", got)
		}
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return consumer.Answer{Verdict: consumer.Deleted} })
		time.Sleep(2 * time.Minute)
		if got := r.Status().Throttled; got != nil {
			t.Errorf("after it: %+v", got)
		}
	})
}

// TestSlowingDownIsLogged: that the API takes no more calls is logged, once a minute.
func TestSlowingDownIsLogged(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return throttledFor(10*time.Second, false) })
		w.publish(0, eventValues(0, 100)...)
		w.start()
		time.Sleep(10*time.Minute + 5*time.Second)
		line := regexp.MustCompile(`level=WARN msg="calls slow down: [^"]*".* error="the API said no" wants_quiet_for=10s calls_per_second=\d+`)
		if n := len(line.FindAllString(w.log.String(), -1)); n < 8 || n > 11 {
			w.t.Errorf("%d lines in ten minutes:\n%s", n, w.log.String())
		}
	})
}
