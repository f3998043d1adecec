package quota_test

import (
	"testing"
	"time"

	"convdel/consumer/internal/quota"
)

// TestHold: nothing leaves for as long as a throttled answer asks for, and one conversation that is always throttled does not hold
// up all others for more than half of the time.
func TestHold(t *testing.T) {
	t.Parallel()
	type answer struct {
		at, quiet time.Duration
		// success is when the last call left that has succeeded; 0 for none.
		success time.Duration
	}
	const s = time.Second
	for name, tc := range map[string]struct {
		answers []answer
		until   time.Duration // from the last answer's time on nothing leaves until then
	}{
		"for as long as it asks":             {[]answer{{0, 10 * s, 0}}, 10 * s},
		"without a time there is no hold":    {[]answer{{10 * s, 0, 0}}, 10 * s},
		"a negative time is none":            {[]answer{{10 * s, -s, 0}}, 10 * s},
		"a call under way lengthens it":      {[]answer{{0, 10 * s, 0}, {s, 10 * s, 0}}, 11 * s},
		"and does not shorten it":            {[]answer{{0, 10 * s, 0}, {s, s, 0}}, 10 * s},
		"again at once without a success":    {[]answer{{0, 10 * s, 0}, {11 * s, 10 * s, 0}}, 21 * s},
		"an older success is none":           {[]answer{{0, 10 * s, 0}, {11 * s, 10 * s, 9 * s}}, 21 * s},
		"not again after a success":          {[]answer{{0, 10 * s, 0}, {11 * s, 10 * s, 10*s + 1}}, 11 * s},
		"again when as much time has passed": {[]answer{{0, 10 * s, 0}, {20 * s, 10 * s, 15 * s}}, 30 * s},
		"not a moment before":                {[]answer{{0, 10 * s, 0}, {20*s - 1, 10 * s, 15 * s}}, 20*s - 1},
		"the lengthened time counts":         {[]answer{{0, 10 * s, 0}, {s, 10 * s, 0}, {21 * s, s, 15 * s}}, 21 * s},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := granting(1000)
			var at time.Time
			for _, a := range tc.answers {
				success := time.Time{}
				if a.success > 0 {
					success = began.Add(a.success)
				}
				at = began.Add(a.at)
				l.Hold(at, a.quiet, success)
			}
			until := began.Add(tc.until)
			if r := l.Ask(at); until.After(at) && (r.Granted || !r.Again.Equal(until)) {
				t.Errorf("granted: %t, to be asked again after %s, want %s", r.Granted, r.Again.Sub(began), tc.until)
			}
			if r := l.Ask(until); !r.Granted {
				t.Errorf("not granted after %s, until %s", tc.until, r.Again.Sub(began))
			}
		})
	}
}

// TestPaceAfterAHold: the pace begins to rise when the hold ends, or a long one would make it whole.
func TestPaceAfterAHold(t *testing.T) {
	t.Parallel()
	l := granting(100)
	l.Hold(began, time.Minute, time.Time{})
	l.Throttled(began)
	for after, want := range map[time.Duration]float64{0: 70, time.Minute: 70, time.Minute + quota.Window: 75} {
		if pace := l.Pace(began.Add(after)); pace < want-1e-9 || pace > want+1e-9 {
			t.Errorf("%v calls a second after %s, want %v", pace, after, want)
		}
	}
}

// TestHoldOfABudget: nothing leaves, and no departure is leased that nobody would use.
func TestHoldOfABudget(t *testing.T) {
	t.Parallel()
	l := quota.NewLeasing(200)
	l.SetShare(200, began.Add(-time.Hour))
	l.BudgetAnswered(began, began, 3, []time.Duration{0, 5 * ms, 10 * ms}, 0)
	if r := l.Ask(began); !r.Granted {
		t.Fatal("no departure was leased")
	}
	l.Hold(began, time.Second, time.Time{})
	if r := l.Ask(began.Add(5 * ms)); r.Granted || !r.Again.Equal(began.Add(time.Second)) {
		t.Errorf("granted: %t, to be asked again after %s", r.Granted, r.Again.Sub(began))
	}
	if d := l.Demand(began.Add(900*ms), 100, 100); d.Ask || !d.Again.Equal(began.Add(time.Second)) {
		t.Errorf("asks the budget in a hold: %+v", d)
	}
	if d := l.Demand(began.Add(time.Second), 100, 100); !d.Ask {
		t.Errorf("does not ask the budget after it: %+v", d)
	}
}
