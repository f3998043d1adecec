package breaker_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"convdel/consumer/internal/breaker"
)

const (
	s = time.Second
	m = time.Minute
)

var (
	unreached = reply{kind: breaker.Unreached}
	coded     = reply{kind: breaker.Coded}
	hangs     = reply{kind: breaker.Unreached, took: callTimeout}
)

func flaps(up, down time.Duration) func(time.Duration, *rand.Rand) bool {
	return func(at time.Duration, _ *rand.Rand) bool { return at%(up+down) >= up }
}

func out(from, to time.Duration) func(time.Duration, *rand.Rand) bool {
	return func(at time.Duration, _ *rand.Rand) bool { return from <= at && at < to }
}

// partly is a share of the calls of five minutes.
func partly(share float64) func(time.Duration, *rand.Rand) bool {
	return func(at time.Duration, rnd *rand.Rand) bool { return m <= at && at < 6*m && rnd.Float64() < share }
}

// every is n times, apart by d.
func every(d time.Duration, n int) []time.Duration {
	at := make([]time.Duration, n)
	for i := range at {
		at[i] = time.Duration(i) * d
	}
	return at
}

// bounds is what may come of a scene.
type bounds struct {
	// goodGivenUp is how many good events may be dead letters. goodKept and poisonKept are how many may be left an hour after the
	// last one was published.
	goodGivenUp, goodKept, poisonKept int
	// goodWithin and poisonWithin are how long any that ends may take.
	goodWithin, poisonWithin time.Duration
}

// figures are what has come of a scene.
type figures struct {
	good, goodGivenUp, goodKept       int
	poison, poisonGivenUp, poisonKept int
	goodWorst, poisonWorst            time.Duration
	opens, calls                      int
}

func (f *figures) add(w *world) {
	f.opens += w.opens
	f.calls += w.calls
	for _, it := range w.items {
		all, given, left, worst := &f.good, &f.goodGivenUp, &f.goodKept, &f.goodWorst
		if it.poison {
			all, given, left, worst = &f.poison, &f.poisonGivenUp, &f.poisonKept, &f.poisonWorst
		}
		*all++
		*worst = max(*worst, it.ended-it.born)
		switch it.outcome {
		case givenUp:
			*given++
		case kept:
			*left++
		case deleted:
		}
	}
}

func (f *figures) String() string {
	return fmt.Sprintf("good %6d, given up %4d, kept %d, at most %4.0f s | poisoned %5d, given up %5d, kept %4d, at most %4.0f s | opened %3d, calls %d",
		f.good, f.goodGivenUp, f.goodKept, f.goodWorst.Seconds(), f.poison, f.poisonGivenUp, f.poisonKept, f.poisonWorst.Seconds(), f.opens, f.calls)
}

func (f *figures) check(t *testing.T, b bounds) {
	t.Helper()
	if f.goodGivenUp > b.goodGivenUp || f.goodKept > b.goodKept || f.poisonKept > b.poisonKept {
		t.Errorf("%d good ones given up, want %d; %d kept, want %d; %d poisoned ones kept, want %d",
			f.goodGivenUp, b.goodGivenUp, f.goodKept, b.goodKept, f.poisonKept, b.poisonKept)
	}
	if f.goodWorst > b.goodWithin || f.poisonWorst > b.poisonWithin {
		t.Errorf("a good one took %s, want %s; a poisoned one %s, want %s", f.goodWorst, b.goodWithin, f.poisonWorst, b.poisonWithin)
	}
}

// seeds is how many runs of each scene the bounds are for.
const seeds = 2

// TestScenes runs one replica with default settings through outages and floods of events that always fail, and bounds what
// becomes of good and poisoned events. The bounds are above the figures by what chance may add. With -v it prints the figures.
func TestScenes(t *testing.T) {
	t.Parallel()
	for _, tc := range scenes() {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var f figures
			for seed := range uint64(seeds) {
				f.add(play(tc.scene, seed))
			}
			f.check(t, tc.bounds)
			t.Logf("%-55s %s", tc.name, f.String())
		})
	}
}

// scenes are those whose figures the documents give, and the worst ones known.
func scenes() []bounded {
	five := every(s, 5)
	return []bounded{
		{"flapping 10 s, unreached, 20/s", scene{perSecond: 20, lasts: 400 * s, isDown: flaps(10*s, 10*s), down: unreached, poison: five, fails: unreached}, bounds{goodWithin: 2 * m, poisonWithin: 2 * m}},
		{"flapping 10 s, coded, 20/s", scene{perSecond: 20, lasts: 400 * s, isDown: flaps(10*s, 10*s), down: coded, poison: five, fails: coded}, bounds{goodWithin: 2 * m, poisonWithin: 2 * m}},
		{"flapping 10 s, hanging, 20/s", scene{perSecond: 20, lasts: 400 * s, isDown: flaps(10*s, 10*s), down: hangs, poison: five, fails: hangs}, bounds{goodWithin: 2 * m, poisonWithin: 2 * m}},
		{"flapping 8 s, unreached, 20/s", scene{perSecond: 20, lasts: 400 * s, isDown: flaps(8*s, 8*s), down: unreached, poison: five, fails: unreached}, bounds{goodWithin: 4 * m, poisonWithin: 4 * m}},
		{"flapping 3 s, unreached, 50/s", scene{perSecond: 50, lasts: 300 * s, isDown: flaps(3*s, 3*s), down: unreached, poison: five, fails: unreached}, bounds{goodGivenUp: 30, goodWithin: 5 * m, poisonWithin: 3 * m}},
		{"flapping 3 s, coded, 50/s", scene{perSecond: 50, lasts: 300 * s, isDown: flaps(3*s, 3*s), down: coded, poison: five, fails: coded}, bounds{goodGivenUp: 30, goodWithin: 3 * m, poisonWithin: m}},
		{"flapping 1 s, unreached, 50/s", scene{perSecond: 50, lasts: 300 * s, isDown: flaps(s, s), down: unreached, poison: five, fails: unreached}, bounds{goodGivenUp: 300, goodWithin: 3 * m, poisonWithin: 3 * m}},
		{"flapping 30 s, unreached, 100/s", scene{perSecond: 100, lasts: 400 * s, isDown: flaps(30*s, 30*s), down: unreached, poison: five, fails: unreached}, bounds{goodWithin: 5 * m, poisonWithin: 2 * m}},
		{"out for 10 minutes, unreached, 0.2/s", scene{perSecond: .2, lasts: 30 * m, isDown: out(5*m, 15*m), down: unreached, poison: five, fails: unreached}, bounds{goodWithin: 11 * m, poisonWithin: 4 * m}},
		{"out for 10 minutes, coded, 0.2/s", scene{perSecond: .2, lasts: 30 * m, isDown: out(5*m, 15*m), down: coded, poison: five, fails: unreached}, bounds{goodWithin: 11 * m, poisonWithin: 4 * m}},
		{"out for 10 minutes, hanging, 0.2/s", scene{perSecond: .2, lasts: 30 * m, isDown: out(5*m, 15*m), down: hangs, poison: five, fails: unreached}, bounds{goodWithin: 11 * m, poisonWithin: 4 * m}},
		{"out for 10 minutes, unreached, 0.02/s", scene{perSecond: .02, lasts: 120 * m, isDown: out(5*m, 15*m), down: unreached}, bounds{goodWithin: 11 * m}},
		{"out for 10 minutes, coded, 0.02/s", scene{perSecond: .02, lasts: 120 * m, isDown: out(5*m, 15*m), down: coded}, bounds{goodGivenUp: 2 * seeds, goodWithin: 11 * m}},
		{"out for 20 s, unreached, 150/s", scene{perSecond: 150, lasts: 2 * m, isDown: out(30*s, 50*s), down: unreached, poison: five, fails: unreached}, bounds{goodWithin: m, poisonWithin: 2 * m}},
		{"out for 20 s, coded, 150/s", scene{perSecond: 150, lasts: 2 * m, isDown: out(30*s, 50*s), down: coded, poison: five, fails: unreached}, bounds{goodWithin: m, poisonWithin: 2 * m}},
		{"out for 20 s, hanging, 150/s", scene{perSecond: 150, lasts: 2 * m, isDown: out(30*s, 50*s), down: hangs, poison: five, fails: unreached}, bounds{goodWithin: m, poisonWithin: 2 * m}},
		{"60 % fail for 5 minutes, unreached, 50/s", scene{perSecond: 50, lasts: 10 * m, isDown: partly(.6), down: unreached, poison: five, fails: unreached}, bounds{goodGivenUp: 1500, goodWithin: 2 * m, poisonWithin: m}},
		{"60 % fail for 5 minutes, coded, 50/s", scene{perSecond: 50, lasts: 10 * m, isDown: partly(.6), down: coded, poison: five, fails: unreached}, bounds{goodGivenUp: 1500, goodWithin: 6 * m, poisonWithin: m}},
		{"90 % fail for 5 minutes, unreached, 50/s", scene{perSecond: 50, lasts: 10 * m, isDown: partly(.9), down: unreached, poison: five, fails: unreached}, bounds{goodGivenUp: 900, goodWithin: 6 * m, poisonWithin: m}},
		{"90 % fail for 5 minutes, coded, 50/s", scene{perSecond: 50, lasts: 10 * m, isDown: partly(.9), down: coded, poison: five, fails: unreached}, bounds{goodGivenUp: 900, goodWithin: 6 * m, poisonWithin: m}},
		{"healthy, 5 poisoned, 50/s", scene{perSecond: 50, lasts: 5 * m, poison: five, fails: unreached}, bounds{goodWithin: s, poisonWithin: m}},
		{"healthy, 5 poisoned, 1/min", scene{perSecond: 1. / 60, lasts: 120 * m, poison: five, fails: unreached}, bounds{goodWithin: 31 * s, poisonWithin: 30 * m}},
		{"healthy, 200 poisoned, 30/s", scene{perSecond: 30, lasts: 10 * m, poison: every(50*time.Millisecond, 200), fails: unreached}, bounds{goodWithin: s, poisonWithin: m}},
		{"four of five poisoned for a minute, unreached, 10/s", scene{perSecond: 2, lasts: m, poison: every(125*time.Millisecond, 480), fails: unreached}, bounds{poisonKept: 900, goodWithin: 90 * s, poisonWithin: 65 * m}},
		{"four of five poisoned for a minute, hanging, 10/s", scene{perSecond: 2, lasts: m, poison: every(125*time.Millisecond, 480), fails: hangs}, bounds{poisonKept: 900, goodWithin: 90 * s, poisonWithin: 65 * m}},
		{"four of five poisoned for 10 minutes, unreached, 10/s", scene{perSecond: 2, lasts: 10 * m, poison: every(125*time.Millisecond, 4800), fails: unreached}, bounds{poisonKept: 1500, goodWithin: m, poisonWithin: 60 * m}},
		{"four of five poisoned for 10 minutes, hanging, 10/s", scene{perSecond: 2, lasts: 10 * m, poison: every(125*time.Millisecond, 4800), fails: hangs}, bounds{poisonKept: 1500, goodWithin: m, poisonWithin: 60 * m}},
		{"half are poisoned for 10 minutes, coded, 10/s", scene{perSecond: 5, lasts: 10 * m, poison: every(200*time.Millisecond, 3000), fails: coded}, bounds{goodWithin: s, poisonWithin: 3 * m}},
		{"four of five poisoned for 10 minutes, coded, 10/s", scene{perSecond: 2, lasts: 10 * m, poison: every(125*time.Millisecond, 4800), fails: coded}, bounds{poisonKept: 1500, goodWithin: m, poisonWithin: 60 * m}},
		{"one event, coded", scene{lasts: s, poison: every(s, 1), fails: coded}, bounds{poisonWithin: m}},
		{"one event, unreached", scene{lasts: s, poison: every(s, 1), fails: unreached}, bounds{poisonKept: seeds}},
		{"3,000 replays, unreached, 1/s", scene{perSecond: 1, lasts: 10 * m, poison: every(0, 3000), fails: unreached, replays: true}, bounds{poisonKept: 2000 * seeds, goodWithin: time.Hour, poisonWithin: time.Hour}},
		{"3,000 replays, coded, 1/s", scene{perSecond: 1, lasts: 10 * m, poison: every(0, 3000), fails: coded, replays: true}, bounds{poisonKept: 2000 * seeds, goodWithin: time.Hour, poisonWithin: time.Hour}},
		{"3,000 poisoned, unreached, 1/s", scene{perSecond: 1, lasts: 10 * m, poison: every(0, 3000), fails: unreached}, bounds{goodKept: 600 * seeds, poisonKept: 3000 * seeds}},
	}
}

// bounded is a scene and its bounds.
type bounded struct {
	name  string
	scene scene
	bounds
}
