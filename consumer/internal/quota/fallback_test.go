package quota_test

import (
	"testing"
	"time"

	"convdel/consumer/internal/quota"
)

// TestFallback follows a budget that fails and comes back.
func TestFallback(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*script){
		"one failure is forgiven": func(s *script) {
			s.lease(1)
			s.fail()
			s.wantMode(quota.ByBudget)
			s.wantGranted()
			s.wantDemand(9, 9, quota.Demand{Again: s.now.Add(50 * ms)})
			s.pass(50 * ms)
			s.wantDemand(9, 9, quota.Demand{Ask: true})
			s.lease(1)
			s.fail()
			s.wantMode(quota.ByBudget)
		},
		"two in a row are not": func(s *script) {
			s.lease(1)
			s.fall()
			s.wantDemand(9, 9, quota.Demand{Again: s.now.Add(time.Second)})
			s.pass(time.Second)
			s.wantDemand(9, 9, quota.Demand{Ask: true})
			s.fail()
			s.wantDemand(9, 9, quota.Demand{Again: s.now.Add(time.Second)})
		},
		"then the share alone counts, after a quiet window": func(s *script) {
			s.fall()
			s.wantRefused(quota.Window)
			s.pass(quota.Window)
			if pace := s.Pace(s.now); pace != 100 {
				s.Errorf("%v calls a second, want the share", pace)
			}
			left := use(s.Limiter, s.now, s.now.Add(10*time.Second), atOnce)
			if n := len(left); n < 985 || mostInASecond(left) > 100 {
				s.Errorf("%d calls in 10 s, up to %d in one", n, mostInASecond(left))
			}
		},
		"the departures at hand are dropped": func(s *script) {
			s.answer([]time.Duration{1200 * ms}, 0)
			s.fall()
			s.pass(quota.Window)
			s.BudgetAnswered(s.now, s.now, 0, nil, 0)
			s.wantRefused(0)
		},
		"what comes back counts beside the share": func(s *script) {
			s.fall()
			s.pass(2 * quota.Window)
			s.answer(nil, 0)
			s.wantMode(quota.ByBoth)
			s.wantRefused(0)
			s.wantDemand(9, 1, quota.Demand{Ask: true, N: 1})
			s.lease(20)
			for range 5 { // 50 ms of lost time, at 100 calls a second
				s.Sent(s.wantGranted(), s.now)
			}
			s.wantRefused(500 * time.Microsecond)
			s.wantDemand(9, 1, quota.Demand{Again: s.now.Add(time.Second)})
		},
		"a probe each second meanwhile": func(s *script) {
			s.fall()
			s.answer(nil, 0)
			s.wantDemand(9, 0, quota.Demand{Again: s.now.Add(time.Second)})
			s.pass(time.Second)
			d := s.Demand(s.now, 9, 0)
			if !d.Ask || d.N != 0 {
				s.Errorf("%+v", d)
			}
		},
		"for three seconds, and then alone": func(s *script) {
			s.fall()
			s.answer(nil, 0)
			s.pass(quota.Cautious - 3*ms)
			s.answer(nil, 0) // 1 ms too early
			s.wantMode(quota.ByBoth)
			s.BudgetAnswered(s.now, s.now.Add(ms), 0, nil, 0)
			s.wantMode(quota.ByBudget)
			s.lease(100)
			s.wantLeft(100)
		},
		"a relapse needs no other quiet window": func(s *script) {
			s.fall()
			s.pass(quota.Window)
			s.answer(nil, 0)
			s.fall()
			s.wantGranted()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(leasing(t))
		})
	}
}

// dry answers questions for a departure with none, each after again or a second, for a time. It stops at a fall.
func (s *script) dry(d, again time.Duration) {
	for until := s.now.Add(d); s.now.Before(until) && s.Mode() != quota.ByShare; s.pass(min(again, time.Second)) {
		s.BudgetAnswered(s.now, s.now, 1, nil, again)
	}
}

// barren is how long a budget of 200 calls a second may give nothing.
const barren = 3*time.Second + 20*quota.Window/200

// TestBarren follows a budget that answers and gives nothing.
func TestBarren(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*script){
		"it is given up": func(s *script) {
			s.lease(1)
			began := s.now
			s.dry(time.Minute, 10*ms)
			s.wantMode(quota.ByShare)
			if took := s.now.Sub(began); took < barren || took > barren+20*ms {
				s.Errorf("after %s", took)
			}
			s.pass(quota.Window)
			left := use(s.Limiter, s.now, s.now.Add(10*time.Second), atOnce)
			if n := len(left); n < 985 || mostInASecond(left) > 100 {
				s.Errorf("%d calls in 10 s, up to %d in one", n, mostInASecond(left))
			}
		},
		"a clock that was set back is waited for": func(s *script) {
			s.dry(2030*ms, 2020*ms)
			s.wantMode(quota.ByBudget)
			s.lease(1)
			s.dry(2030*ms, 2020*ms)
			s.wantMode(quota.ByBudget)
		},
		"failures between do not help": func(s *script) {
			for range 6 {
				s.dry(700*ms, 10*ms)
				s.fail()
			}
			s.wantMode(quota.ByShare)
		},
		"a long wait is no way around": func(s *script) {
			s.BudgetAnswered(s.now, s.now, 1, nil, 24*time.Hour)
			s.wantDemand(1, 1, quota.Demand{Again: s.now.Add(time.Second)})
			s.dry(time.Minute, 24*time.Hour)
			s.wantMode(quota.ByShare)
		},
		"time in which nobody asks does not count": func(s *script) {
			for range 10 {
				s.dry(100*ms, 50*ms)
				s.pass(time.Minute)
			}
			s.wantMode(quota.ByBudget)
		},
		"an answer to a probe is no want of departures": func(s *script) {
			for range 10 {
				s.answer(nil, 0)
				s.pass(time.Second)
			}
			s.wantMode(quota.ByBudget)
		},
		"it comes back with a departure": func(s *script) {
			s.dry(time.Minute, 10*ms)
			s.pass(time.Second)
			for range 3 {
				s.wantDemand(0, 0, quota.Demand{Ask: true, N: 1})
				s.BudgetAnswered(s.now, s.now, 1, nil, 10*ms)
				s.wantMode(quota.ByShare)
				s.wantDemand(0, 0, quota.Demand{Again: s.now.Add(time.Second)})
				s.pass(time.Second)
			}
			s.lease(1)
			s.wantMode(quota.ByBoth)
			s.wantGranted()
			s.dry(time.Second, 10*ms)
			s.wantMode(quota.ByBoth)
			s.fall()
			s.pass(2 * time.Second) // it was given up again
			s.wantDemand(0, 0, quota.Demand{Ask: true})
		},
		"beside the share it is given up again": func(s *script) {
			s.fall()
			s.pass(time.Second)
			s.answer(nil, 0)
			s.dry(time.Minute, 10*ms)
			s.wantMode(quota.ByShare)
			s.pass(quota.Window)
			s.wantGranted()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(leasing(t))
		})
	}
}

// TestASmallQuotaIsRare: where a departure is rare, other replicas may take many of them in a row.
func TestASmallQuotaIsRare(t *testing.T) {
	t.Parallel()
	s := &script{T: t, Limiter: quota.NewLeasing(1), now: began}
	s.SetShare(0.5, began)
	s.dry(20*quota.Window, quota.Window)
	s.wantMode(quota.ByBudget)
	s.dry(time.Minute, quota.Window)
	s.wantMode(quota.ByShare)
}

// TestFailuresNowAndThen: a budget that fails every now and then is given up, even if it answers in between.
func TestFailuresNowAndThen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		every    time.Duration
		failures int
	}{{100 * ms, 3}, {5 * time.Second, 3}, {5100 * ms, 0}} {
		s := leasing(t)
		for n := 1; n <= 20; n++ {
			s.fail()
			if s.Mode() == quota.ByShare {
				if n != c.failures {
					t.Errorf("given up after %d failures, one in %s", n, c.every)
				}
				break
			}
			s.pass(c.every - 2*ms)
			s.lease(1)
		}
		if c.failures == 0 {
			s.wantMode(quota.ByBudget)
			continue
		}
		s.wantMode(quota.ByShare)
		s.lease(1) // it is back
		s.fail()
		s.wantMode(quota.ByBoth)
	}
}

// TestGivenUpAgain: a budget that is given up soon after its return is tried less and less often.
func TestGivenUpAgain(t *testing.T) {
	t.Parallel()
	s := leasing(t)
	again := func(every time.Duration) {
		t.Helper()
		s.fall()
		s.wantDemand(0, 0, quota.Demand{Again: s.now.Add(every)})
		s.fail() // a probe
		s.wantDemand(0, 0, quota.Demand{Again: s.now.Add(every)})
		s.pass(every)
		s.answer(nil, 0)
		s.wantMode(quota.ByBoth)
	}
	for _, every := range []time.Duration{1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 16_000 * ms, 32_000 * ms, 32_000 * ms} {
		again(every)
	}
	s.pass(10*time.Second + ms)
	again(time.Second)
}
