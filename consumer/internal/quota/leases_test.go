package quota_test

import (
	"testing"
	"time"

	"convdel/consumer/internal/quota"
)

const ms = time.Millisecond

// script drives a leasing limiter and checks its rulings.
type script struct {
	*testing.T
	*quota.Limiter
	now time.Time
}

// leasing returns a limiter with a budget of 200 calls a second and a share of 100 of them. The budget has answered once.
func leasing(t *testing.T) *script {
	t.Helper()
	s := &script{T: t, Limiter: quota.NewLeasing(200), now: began}
	s.SetShare(100, began)
	s.wantDemand(0, 0, quota.Demand{Ask: true})
	s.answer(nil, 0)
	return s
}

func (s *script) pass(d time.Duration) { s.now = s.now.Add(d) }

// answer answers a question that was asked 2 ms ago.
func (s *script) answer(departures []time.Duration, again time.Duration) {
	s.pass(2 * ms)
	s.BudgetAnswered(s.now.Add(-2*ms), s.now, len(departures), departures, again)
}

// lease answers with departures that are due at once.
func (s *script) lease(n int) { s.answer(make([]time.Duration, n), 0) }

func (s *script) fail() { s.BudgetFailed(s.now) }

// fall lets the budget fail until the limiter works without it.
func (s *script) fall() {
	s.fail()
	s.pass(50 * ms)
	s.fail()
	s.wantMode(quota.ByShare)
}

func (s *script) wantDemand(ready, waiting int, want quota.Demand) {
	s.Helper()
	if got := s.Demand(s.now, ready, waiting); got != want {
		s.Errorf("demand %+v, want %+v", got, want)
	}
}

func (s *script) wantMode(want quota.Mode) {
	s.Helper()
	if got := s.Mode(); got != want {
		s.Errorf("mode %d, want %d", got, want)
	}
}

func (s *script) wantGranted() quota.Permit {
	s.Helper()
	r := s.Ask(s.now)
	if !r.Granted {
		s.Errorf("refused; again in %s", r.Again.Sub(s.now))
	}
	return r.Permit
}

// wantRefused wants a refusal and the time until the limiter is to be asked anew, 0 for none.
func (s *script) wantRefused(again time.Duration) {
	s.Helper()
	switch r := s.Ask(s.now); {
	case r.Granted:
		s.Error("granted")
	case again == 0 && !r.Again.IsZero() || again != 0 && !r.Again.Equal(s.now.Add(again)):
		s.Errorf("again in %s, want %s", r.Again.Sub(s.now), again)
	}
}

// wantLeft wants n calls granted, which leave at once, and the next one refused.
func (s *script) wantLeft(n int) {
	s.Helper()
	for range n {
		s.Sent(s.wantGranted(), s.now)
	}
	s.wantRefused(0)
}

// TestLeases checks which departures a limiter uses while its budget works.
func TestLeases(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*script){
		"a departure is used once, when it is due": func(s *script) {
			s.wantRefused(0)
			s.answer([]time.Duration{0, 5 * ms}, 0)
			s.wantGranted()
			s.wantRefused(5 * ms)
			s.pass(5*ms - 1)
			s.wantRefused(1)
			s.pass(1)
			s.wantGranted()
			s.wantRefused(0)
		},
		"a departure missed by over 5 ms is lost": func(s *script) {
			s.lease(2)
			s.pass(5 * ms)
			s.wantGranted()
			s.pass(1)
			s.wantRefused(0)
		},
		"an unused departure is lost": func(s *script) {
			s.lease(1)
			s.Unused(s.wantGranted())
			s.wantRefused(0)
		},
		"a handover needs no quiet window": func(s *script) {
			s.lease(1)
			s.SetShare(50, s.now)
			s.wantGranted()
		},
		"the budget spreads the calls": func(s *script) {
			s.lease(20)
			s.wantLeft(20)
		},
		"the whole quota is the limit of a window": func(s *script) {
			s.lease(201)
			for range 200 {
				s.Sent(s.wantGranted(), s.now)
			}
			s.wantRefused(quota.Window)
		},
		"without a share nothing leaves": func(s *script) {
			s.lease(1)
			s.SetShare(0, s.now)
			s.wantRefused(0)
			s.wantDemand(9, 9, quota.Demand{})
		},
		"the pace is the quota's": func(s *script) {
			if pace := s.Pace(s.now); pace != 200 {
				s.Errorf("%v calls a second", pace)
			}
			s.Throttled(s.now)
			if pace := s.Pace(s.now); pace != 140 {
				s.Errorf("%v calls a second when throttled", pace)
			}
		},
		"throttled answers cost departures": func(s *script) {
			s.Throttled(s.now)
			n := 0
			for range 10 { // the rest of a departure counts for the next answer
				s.lease(3)
				n += len(use(s.Limiter, s.now, s.now.Add(ms), atOnce))
			}
			if n < 20 || n > 21 {
				s.Errorf("%d of 30 departures used, want 70 %%", n)
			}
		},
		"a call that leaves late costs a departure": func(s *script) {
			s.lease(2)
			p, punctual := s.wantGranted(), s.wantGranted()
			s.Sent(punctual, s.now.Add(5*ms))
			s.Sent(p, s.now.Add(5*ms+1))
			s.lease(3)
			s.wantLeft(2)
			s.lease(3)
			s.wantLeft(3)
		},
		"but none a second later": func(s *script) {
			s.lease(1)
			p := s.wantGranted()
			s.pass(6 * ms)
			s.Sent(p, s.now)
			s.answer([]time.Duration{time.Second - ms}, 0) // the answer takes 2 ms
			s.pass(time.Second - ms)
			s.wantGranted()
		},
		"and one until then": func(s *script) {
			s.lease(1)
			p := s.wantGranted()
			s.pass(6 * ms)
			s.Sent(p, s.now)
			s.answer([]time.Duration{time.Second - 2*ms}, 0)
			s.pass(time.Second - 2*ms)
			s.wantRefused(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(leasing(t))
		})
	}
}

// TestDemand checks when a budget is asked, and for how many departures.
func TestDemand(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*script){
		"first whether it answers": func(s *script) {
			s.Limiter = quota.NewLeasing(200)
			s.wantDemand(0, 0, quota.Demand{Ask: true})
			s.wantDemand(9, 9, quota.Demand{Ask: true})
		},
		"as many as are ready": func(s *script) {
			s.wantRefused(0)
			s.wantDemand(3, 1, quota.Demand{Ask: true, N: 3})
		},
		"what 25 ms and two trips are worth at most": func(s *script) {
			s.wantRefused(0)
			s.wantDemand(100, 1, quota.Demand{Ask: true, N: 6}) // 29 ms at 200 a second
		},
		"one for a caller that waits, ready or not": func(s *script) {
			s.wantRefused(0)
			s.wantDemand(0, 1, quota.Demand{Ask: true, N: 1})
		},
		"nothing where nothing is ready": func(s *script) {
			s.wantRefused(0)
			s.wantDemand(0, 0, quota.Demand{})
		},
		"nothing where nobody has asked for 25 ms": func(s *script) {
			s.wantRefused(0)
			s.pass(25 * ms)
			s.wantDemand(3, 0, quota.Demand{Ask: true, N: 3})
			s.pass(1)
			s.wantDemand(3, 0, quota.Demand{})
			s.wantDemand(3, 1, quota.Demand{Ask: true, N: 3})
		},
		"nothing where there are enough at hand": func(s *script) {
			s.answer([]time.Duration{50 * ms, 60 * ms}, 0)
			s.wantRefused(50 * ms)
			s.wantDemand(2, 1, quota.Demand{})
		},
		"more before the last one at hand leaves": func(s *script) {
			s.answer([]time.Duration{50 * ms, 60 * ms}, 0)
			s.wantRefused(50 * ms)
			early := 60*ms - 12*ms - 3*ms // one and a half trips of 2 ms
			s.wantDemand(9, 1, quota.Demand{Again: s.now.Add(early)})
			s.pass(early)
			s.wantDemand(9, 1, quota.Demand{Ask: true, N: 6})
		},
		"a slow answer is remembered": func(s *script) {
			s.BudgetAnswered(s.now, s.now.Add(100*ms), 0, nil, 0)
			s.pass(100 * ms)
			s.wantRefused(0)
			s.wantDemand(100, 1, quota.Demand{Ask: true, N: 45}) // 225 ms at 200 a second
			s.lease(1)
			s.wantLeft(1)
			s.wantDemand(100, 1, quota.Demand{Ask: true, N: 43}) // a sixteenth of the trip is forgotten
		},
		"nothing before the time that the budget has named": func(s *script) {
			s.wantRefused(0)
			s.answer(nil, 300*ms)
			s.wantDemand(3, 1, quota.Demand{Again: s.now.Add(300 * ms)})
			s.pass(300 * ms)
			s.wantRefused(0)
			s.wantDemand(3, 1, quota.Demand{Ask: true, N: 3})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(leasing(t))
		})
	}
}
