package quota_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/consumer/internal/quota"
)

// granted is a permit as seen from outside, without knowledge of the rules.
type granted struct {
	permit quota.Permit
	// at is when the permit was granted, left when its call left, freed when it was returned unused. A time that has not
	// come is zero.
	at, left, freed time.Time
	// share is the replica's share at that time, interval the intended distance to the next call.
	share    float64
	interval time.Duration
}

// naive computes the quota from its definition, out of everything that has happened.
type naive struct {
	now     time.Time
	history []granted
	// shares are those that have been set, in order.
	shares []shared
	// slowed are the throttled answers and the ends of pauses.
	slowed []slowed
	// holds are the times in which nothing may leave, in order.
	holds [][2]time.Time
}

// shared is a share that was set at a time.
type shared struct {
	at    time.Time
	share float64
}

// target is the share that was set last.
func (n *naive) target() float64 {
	if len(n.shares) == 0 {
		return 0
	}
	return n.shares[len(n.shares)-1].share
}

// share is the least of those that have been in force within the last window.
func (n *naive) share() float64 {
	least := n.target()
	for i := len(n.shares) - 1; i >= 0 && n.shares[i].at.After(n.now.Add(-quota.Window)); i-- {
		before := 0.0
		if i > 0 {
			before = n.shares[i-1].share
		}
		least = min(least, before)
	}
	return least
}

// rises is when the share is next larger than now, if none is set meanwhile; zero if never.
func (n *naive) rises() time.Time {
	later := *n
	for _, s := range n.shares {
		if later.now = s.at.Add(quota.Window); later.now.After(n.now) && later.share() > n.share() {
			return later.now
		}
	}
	return time.Time{}
}

// held is when the last hold ends.
func (n *naive) held() time.Time {
	if len(n.holds) == 0 {
		return time.Time{}
	}
	return n.holds[len(n.holds)-1][1]
}

// hold notes that the API wants no call for a time.
func (n *naive) hold(quiet time.Duration, lastSuccess time.Time) {
	until := n.now.Add(quiet)
	if n.now.Before(n.held()) {
		if until.After(n.held()) {
			n.holds[len(n.holds)-1][1] = until
		}
		return
	}
	if len(n.holds) > 0 && lastSuccess.After(n.held()) {
		last := n.holds[len(n.holds)-1]
		if n.now.Sub(last[1]) < last[1].Sub(last[0]) {
			return
		}
	}
	n.holds = append(n.holds, [2]time.Time{n.now, until})
}

type slowed struct {
	at   time.Time
	ramp bool
	// from is when the pace begins to rise.
	from time.Time
}

// fraction returns the part of the quota that may be used, computed window by window.
func (n *naive) fraction() float64 {
	fraction, step := 1.0, 0.0
	var since, cut time.Time
	rise := func(until time.Time) {
		for fraction < 1 && !since.Add(quota.Window).After(until) {
			since = since.Add(quota.Window)
			if fraction += step; fraction > 1-rounding {
				fraction = 1
			}
		}
	}
	for _, s := range n.slowed {
		rise(s.at)
		if s.ramp {
			fraction, step = 0.1, 0.18
		} else {
			if cut.IsZero() || !s.at.Before(cut.Add(quota.Window)) {
				cut, fraction = s.at, max(0.02, fraction*0.7)
			}
			step = 0.05
		}
		since = s.from
	}
	rise(n.now)
	return fraction
}

// counting is how many permits count now: those granted that have not left, and those that left within the last window.
func (n *naive) counting() (out, left int) {
	for _, g := range n.history {
		switch {
		case !g.freed.IsZero():
		case g.left.IsZero():
			out++
		case n.now.Before(g.left.Add(quota.Window)):
			left++
		}
	}
	return out, left
}

// rounding is what sums of fractions may be off by, roundingTime what times that follow from them may.
const (
	rounding     = 1e-9
	roundingTime = time.Microsecond
)

// limit returns how many permits may count at once. Rounding may make it one fewer or one more.
func (n *naive) limit() (least, most int) {
	pace := n.share() * n.fraction()
	return max(1, int(pace-rounding)), max(1, int(pace+rounding))
}

// ask checks a ruling against the definition, and notes a permit.
func (n *naive) ask(t *rapid.T, r quota.Ruling) {
	if r.Granted {
		n.checkGrant(t)
		interval := time.Duration(float64(quota.Window) / (n.share() * n.fraction()))
		n.history = append(n.history, granted{permit: r.Permit, at: n.now, share: n.share(), interval: interval})
		n.checkSpread(t)
		return
	}
	until, told := n.refusal()
	switch {
	case until.IsZero() && !told:
		t.Fatal("refused for no reason")
	case r.Again.IsZero():
		if !told {
			t.Fatalf("no time at which to ask, and the last reason ends in %s", until.Sub(n.now))
		}
	case n.target() == 0:
		t.Fatal("a time at which to ask without a share")
	case !r.Again.After(n.now):
		t.Fatalf("to be asked %s ago", n.now.Sub(r.Again))
	case r.Again.After(until.Add(roundingTime)):
		t.Fatalf("to be asked in %s, and the last reason ends in %s", r.Again.Sub(n.now), until.Sub(n.now))
	case n.share() == 0 && r.Again.Before(n.rises()), r.Again.Before(n.held()) && n.share() > 0:
		t.Fatal("to be asked before the share counts or within a hold")
	}
}

func (n *naive) checkGrant(t *rapid.T) {
	out, left := n.counting()
	_, most := n.limit()
	switch {
	case n.share() == 0:
		t.Fatalf("granted without a share, %s before there is one", n.rises().Sub(n.now))
	case n.now.Before(n.held()):
		t.Fatalf("granted %s before the hold ends", n.held().Sub(n.now))
	case out+left >= most:
		t.Fatalf("granted although %d and %d count of %d", out, left, most)
	}
}

// refusal returns when the last of the reasons to refuse ends, or zero if none ends by itself. told says that there is a
// reason that does not end by itself.
func (n *naive) refusal() (until time.Time, told bool) {
	reason := func(end time.Time) {
		if end.After(n.now) && end.After(until) {
			until = end
		}
	}
	if n.target() == 0 {
		return time.Time{}, true
	}
	reason(n.held())
	if len(n.history) > 0 {
		last := n.history[len(n.history)-1]
		reason(last.at.Add(last.interval))
	}
	if n.share() == 0 {
		reason(n.rises())
		return until, false
	}
	least, _ := n.limit()
	switch out, left := n.counting(); {
	case out+left >= least && !n.rises().IsZero(): // the share has room for more then, or another reason ends before
		reason(n.rises())
		if out < least {
			reason(n.frees())
		}
	case out >= least && n.fraction() < 1:
		reason(n.now.Add(quota.Window)) // the pace rises by then
		reason(n.held().Add(quota.Window))
	case out >= least:
		told = true
	case out+left >= least:
		reason(n.frees())
	}
	return until, told
}

// frees returns when fewer permits count than the limit allows, if nothing is granted meanwhile.
func (n *naive) frees() time.Time {
	least, _ := n.limit()
	out, _ := n.counting()
	var ends []time.Time
	for _, g := range n.history {
		if !g.left.IsZero() && n.now.Before(g.left.Add(quota.Window)) {
			ends = append(ends, g.left.Add(quota.Window))
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends[out+len(ends)-least]
}

// checkSpread: the last calls granted are as far apart as the pace at each of them demands, except for 50 ms of lost time
// and for intervals that were returned meanwhile.
func (n *naive) checkSpread(t *rapid.T) {
	last := len(n.history) - 1
	var apart time.Duration
	for i := last - 1; i >= max(0, last-50); i-- {
		from := n.history[i].at
		apart += n.history[i].interval
		var free time.Duration
		for _, g := range n.history {
			if !g.freed.Before(from) {
				free += g.interval
			}
		}
		if between := n.history[last].at.Sub(from); between < apart-free-50*time.Millisecond {
			t.Fatalf("%d calls within %s, want at least %s", last-i+1, between, apart)
		}
	}
}

// checkSeconds: no closed second had more departures than the largest share that granted one of them.
func (n *naive) checkSeconds(t *rapid.T) {
	var left []granted
	for _, g := range n.history {
		if !g.left.IsZero() {
			left = append(left, g)
		}
	}
	slices.SortFunc(left, func(a, b granted) int { return a.left.Compare(b.left) })
	from := 0
	for i, g := range left {
		for g.left.Sub(left[from].left) > time.Second {
			from++
		}
		most := 1.0
		for _, g := range left[from : i+1] {
			most = max(most, math.Floor(g.share))
		}
		if count := i - from + 1; count > int(most) {
			t.Fatalf("%d departures in a second, with a share of %v", count, most)
		}
	}
}

// outIndex draws one of the permits whose call has not left, -1 if there is none.
func (n *naive) outIndex(t *rapid.T) int {
	var out []int
	for i, g := range n.history {
		if g.freed.IsZero() && g.left.IsZero() {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return -1
	}
	return rapid.SampledFrom(out).Draw(t, "which")
}

// TestAgainstModel asks at any times, lets calls leave late or never, and compares every ruling with the definition.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := quota.New()
		n := &naive{now: began}
		again := began
		t.Repeat(map[string]func(*rapid.T){
			"ask": func(t *rapid.T) {
				leaves := rapid.Bool().Draw(t, "at once")
				for range rapid.IntRange(1, 30).Draw(t, "times") {
					r := l.Ask(n.now)
					n.ask(t, r)
					if !r.Granted {
						again = r.Again
						return
					}
					if leaves {
						l.Sent(r.Permit, n.now)
						n.history[len(n.history)-1].left = n.now
					}
				}
			},
			"pass": func(t *rapid.T) {
				most := rapid.SampledFrom([]time.Duration{5 * ms, 50 * ms, 500 * ms, 3 * time.Second}).Draw(t, "about")
				n.now = n.now.Add(time.Duration(rapid.Int64Range(0, int64(most)).Draw(t, "time")))
			},
			"wait": func(*rapid.T) {
				if again.After(n.now) {
					n.now = again
				}
			},
			"leave": func(t *rapid.T) {
				if i := n.outIndex(t); i >= 0 {
					l.Sent(n.history[i].permit, n.now)
					n.history[i].left = n.now
				}
			},
			"give back": func(t *rapid.T) {
				if i := n.outIndex(t); i >= 0 {
					l.Unused(n.history[i].permit)
					n.history[i].freed = n.now
				}
			},
			"throttled": func(t *rapid.T) {
				quiet := rapid.SampledFrom([]time.Duration{0, 0, time.Second, 5 * time.Second, time.Minute}).Draw(t, "quiet")
				ago := rapid.SampledFrom([]time.Duration{100 * ms, time.Second, 10 * time.Second}).Draw(t, "success, at most so long ago")
				success := n.now.Add(-time.Duration(rapid.Int64Range(0, int64(ago)).Draw(t, "success")))
				if quiet > 0 {
					n.hold(quiet, success)
				}
				l.Hold(n.now, quiet, success)
				l.Throttled(n.now)
				from := n.now
				if n.held().After(from) {
					from = n.held()
				}
				n.slowed = append(n.slowed, slowed{at: n.now, from: from})
			},
			"ramp": func(*rapid.T) { l.Ramp(n.now); n.slowed = append(n.slowed, slowed{at: n.now, ramp: true, from: n.now}) },
			"share": func(t *rapid.T) {
				n.shares = append(n.shares, shared{at: n.now, share: rapid.SampledFrom([]float64{0, 0.4, 1, 3, 10, 40, 200}).Draw(t, "share")})
				l.SetShare(n.target(), n.now)
			},
			"": func(t *rapid.T) {
				if pace, want := l.Pace(n.now), n.target()*n.fraction(); math.Abs(pace-want) > 1e-6 {
					t.Fatalf("%v calls a second, want %v", pace, want)
				}
			},
		})
		n.checkSeconds(t)
	})
}
