package quota_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"convdel/consumer/internal/quota"
)

// began is the time at which every script begins. No ruling depends on it.
var began = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// granting returns a limiter with a share, whose quiet window ends at began.
func granting(share float64) *quota.Limiter {
	l := quota.New()
	l.SetShare(share, began.Add(-quota.Window))
	return l
}

// use makes calls as soon as they are granted; each leaves after a delay. It stops at until, and returns the departures.
func use(l *quota.Limiter, from, until time.Time, delay func() time.Duration) []time.Time {
	var left []time.Time
	var under []call // granted and not left, by when they leave
	now := from
	leave := func(by time.Time) {
		for len(under) > 0 && !under[0].leaves.After(by) {
			l.Sent(under[0].permit, under[0].leaves)
			left = append(left, under[0].leaves)
			under = under[1:]
		}
	}
	for now.Before(until) {
		leave(now)
		r := l.Ask(now)
		switch {
		case r.Granted:
			c := call{r.Permit, now.Add(delay())}
			at, _ := slices.BinarySearchFunc(under, c.leaves, func(c call, t time.Time) int { return c.leaves.Compare(t) })
			under = slices.Insert(under, at, c)
		case len(under) > 0 && (r.Again.IsZero() || under[0].leaves.Before(r.Again)):
			now = under[0].leaves
		case r.Again.IsZero():
			now = until // nothing more will be granted
		case !r.Again.After(now):
			panic("a refusal until a time that has come")
		default:
			now = r.Again
		}
	}
	leave(until.Add(time.Hour))
	return left
}

func atOnce() time.Duration { return 0 }

// mostInASecond returns the greatest number of ascending times within any closed second.
func mostInASecond(times []time.Time) int {
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) > time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// TestUsesTheShareAndNeverMore: at least 98.5 % of every share is used, and no second holds more than the share.
func TestUsesTheShareAndNeverMore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		share float64
		least float64
		delay func() time.Duration
	}{
		{"a whole quota", 200, 0.985, atOnce},
		{"a large quota", 5000, 0.985, atOnce},
		{"a call a second", 1, 0.985, atOnce},
		{"half a call a second", 0.5, 0.985, atOnce},
		{"seven, up to 5 ms late", 7, 0.985, func() time.Duration { return rand.N(5 * time.Millisecond) }},
		{"up to 5 ms late", 200, 0.985, func() time.Duration { return rand.N(5 * time.Millisecond) }},
		// A permit counts until its call leaves, so a late call costs more of the quota.
		{"one in twenty 200 ms late", 200, 0.97, func() time.Duration {
			if rand.N(20) == 0 {
				return 200 * time.Millisecond
			}
			return 0
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seconds := 30.0
			if tc.share < 10 {
				seconds = 300
			}
			left := use(granting(tc.share), began, began.Add(time.Duration(seconds)*time.Second), tc.delay)
			if most := mostInASecond(left); most > max(1, int(tc.share)) {
				t.Errorf("%d departures in a second", most)
			}
			if used := float64(len(left)) / seconds / tc.share; used < tc.least {
				t.Errorf("%.4f of the share used, want %.3f", used, tc.least)
			}
		})
	}
}

// TestRulings asks limiters, each in a state of its own.
func TestRulings(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	grant := func(l *quota.Limiter, at time.Duration) quota.Permit {
		r := l.Ask(began.Add(at))
		if !r.Granted {
			t.Errorf("refused at %s until %s", at, r.Again.Sub(began))
		}
		return r.Permit
	}
	const granted, told = -1, -2
	for _, tc := range []struct {
		name string
		// script returns a limiter in its state.
		script func() *quota.Limiter
		at     time.Duration
		// again is when to ask anew, as time since began.
		again time.Duration
	}{
		{"no share yet", quota.New, 0, told},
		{"the share is gone", func() *quota.Limiter { l := granting(200); l.SetShare(0, began); return l }, time.Hour, told},
		{"a new share", func() *quota.Limiter { l := quota.New(); l.SetShare(200, began); return l }, 0, quota.Window},
		{"a new share, a moment before", func() *quota.Limiter { l := quota.New(); l.SetShare(200, began); return l }, quota.Window - 1, quota.Window},
		{"a new share after its window", func() *quota.Limiter { l := quota.New(); l.SetShare(200, began); return l }, quota.Window, granted},
		{"less than before", func() *quota.Limiter { l := granting(200); l.SetShare(100, began.Add(ms)); return l }, 2 * ms, granted},
		{"less, and all of that used", func() *quota.Limiter {
			l := granting(200)
			use(l, began, began.Add(time.Second), atOnce)
			l.SetShare(100, began.Add(time.Second))
			return l
		}, time.Second + ms, 1465 * ms},
		{"more than before", func() *quota.Limiter { l := granting(100); l.SetShare(200, began.Add(ms)); return l }, 2 * ms, granted},
		{"the first call", func() *quota.Limiter { return granting(200) }, 0, granted},
		{"lost time is made up for, up to 50 ms", func() *quota.Limiter {
			l := granting(100) // an interval is 10.1 ms
			for range 5 {
				l.Sent(grant(l, 0), began)
			}
			return l
		}, 0, 5*10100*time.Microsecond - 50*ms},
		{"a call spreads the next", func() *quota.Limiter {
			l := granting(10)
			l.Sent(grant(l, 0), began)
			return l
		}, 0, 101*ms - 50*ms},
		{"an unused permit frees its place", func() *quota.Limiter {
			l := granting(10)
			l.Unused(grant(l, 0))
			return l
		}, 0, granted},
		{"a permit counts until its call has left", func() *quota.Limiter {
			l := granting(1)
			grant(l, 0)
			return l
		}, time.Hour, told},
		{"and for a window from then on", func() *quota.Limiter {
			l := granting(1)
			l.Sent(grant(l, 0), began.Add(2*time.Second))
			return l
		}, 2*time.Second + 1, 2*time.Second + quota.Window},
		{"an unused permit does not count", func() *quota.Limiter {
			l := granting(1)
			l.Unused(grant(l, 0))
			return l
		}, quota.Window, granted},
		{"a throttled pace waits until enough have left the window", func() *quota.Limiter {
			l := granting(10)
			for i := range 10 {
				at := time.Duration(i) * 101 * ms
				l.Sent(grant(l, at), began.Add(at))
			}
			l.Throttled(began.Add(960 * ms)) // 7 a second: the fourth has to be a window old
			return l
		}, 960 * ms, 3*101*ms + quota.Window},
		{"a throttled pace may rise meanwhile", func() *quota.Limiter {
			l := granting(1)
			grant(l, 0)
			l.Throttled(began.Add(10 * time.Second))
			return l
		}, 10*time.Second + quota.Window, 10*time.Second + 2*quota.Window},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := tc.script().Ask(began.Add(tc.at))
			switch want := tc.again; {
			case r.Granted != (want == granted):
				t.Errorf("granted: %t; again after %s", r.Granted, r.Again.Sub(began))
			case want == told && !r.Again.IsZero() || want >= 0 && !r.Again.Equal(began.Add(want)):
				t.Errorf("again after %s, want %s", r.Again.Sub(began), want)
			}
		})
	}
}

// TestPace follows the pace of a share of 100 calls a second through throttled answers and pauses.
func TestPace(t *testing.T) {
	t.Parallel()
	type step struct {
		after time.Duration // since the step before
		do    func(*quota.Limiter, time.Time)
		pace  float64
	}
	throttled, ramp := (*quota.Limiter).Throttled, (*quota.Limiter).Ramp
	nothing := func(*quota.Limiter, time.Time) {}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"one answer", []step{{0, throttled, 70}, {quota.Window - 1, nothing, 70}, {1, nothing, 75}, {4 * quota.Window, nothing, 95}, {quota.Window, nothing, 100}, {time.Hour, nothing, 100}}},
		{"a burst is one reason to slow down", []step{{0, throttled, 70}, {quota.Window - 1, throttled, 70}, {1, throttled, 49}, {quota.Window - 1, nothing, 49}, {1, nothing, 54}}},
		{"each answer holds the pace", []step{{0, throttled, 70}, {quota.Window / 2, throttled, 70}, {quota.Window - 1, nothing, 70}, {1, nothing, 75}}},
		{"idle time counts", []step{{0, throttled, 70}, {time.Minute, nothing, 100}, {0, throttled, 70}}},
		{"after a pause", []step{{0, ramp, 10}, {quota.Window - 1, nothing, 10}, {1, nothing, 28}, {3 * quota.Window, nothing, 82}, {quota.Window, nothing, 100}}},
		{"a pause after throttled answers", []step{{0, throttled, 70}, {time.Second, ramp, 10}, {5 * quota.Window, nothing, 100}}},
		{"throttled answers after a pause", []step{{0, ramp, 10}, {quota.Window, throttled, 19.6}, {quota.Window, nothing, 24.6}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, now := granting(100), began
			for i, s := range tc.steps {
				now = now.Add(s.after)
				s.do(l, now)
				if pace := l.Pace(now); pace < s.pace-1e-9 || pace > s.pace+1e-9 {
					t.Errorf("step %d: %v calls a second, want %v", i, pace, s.pace)
				}
			}
		})
	}
}

// TestLeastPace: throttled answers leave a fiftieth of the share, and a replica without a share has no pace.
func TestLeastPace(t *testing.T) {
	t.Parallel()
	l, now := granting(100), began
	for range 50 {
		l.Throttled(now)
		now = now.Add(quota.Window / 2)
	}
	if pace := l.Pace(now); pace != 2 {
		t.Errorf("%v calls a second after 25 throttled windows, want 2", pace)
	}
	l.SetShare(0, now)
	if pace := l.Pace(now.Add(time.Hour)); pace != 0 {
		t.Errorf("%v calls a second without a share", pace)
	}
}

// TestPaceIsKept: no more calls leave after a throttled answer than the pace says.
func TestPaceIsKept(t *testing.T) {
	t.Parallel()
	l := granting(200)
	l.Throttled(began)
	if n := len(use(l, began, began.Add(quota.Window), atOnce)); n < 138 || n > 151 {
		t.Errorf("%d departures in the window after a throttled answer, want 140 and at most 50 ms of lost time", n)
	}
	l.Ramp(began.Add(10 * time.Second))
	if n := len(use(l, began.Add(10*time.Second), began.Add(11*time.Second), atOnce)); n < 18 || n > 22 {
		t.Errorf("%d departures in the second after a pause, want 20", n)
	}
}

// TestAllocatesNothing: a steady pace reuses its memory. It is not parallel, since it counts the allocations of the whole
// process.
func TestAllocatesNothing(t *testing.T) { //nolint:paralleltest // see above
	l, now := granting(1000), began
	step := func() {
		now = now.Add(2 * time.Millisecond)
		if r := l.Ask(now); r.Granted {
			l.Sent(r.Permit, now)
		} else {
			t.Fatalf("refused until %s", r.Again.Sub(began))
		}
	}
	allocated := func(calls int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			step()
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	allocated(2000)
	if n := allocated(100_000); n > 4096 {
		t.Errorf("%d bytes for 100,000 calls", n)
	}
}

func BenchmarkAsk(b *testing.B) {
	l, now := granting(1e9), began
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(10 * time.Microsecond)
		l.Sent(l.Ask(now).Permit, now)
	}
}
