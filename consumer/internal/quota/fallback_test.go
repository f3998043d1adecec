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
			s.BudgetAnswered(s.now, s.now, nil, 0)
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
			s.BudgetAnswered(s.now, s.now.Add(ms), nil, 0)
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
