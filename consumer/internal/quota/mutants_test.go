//go:build mutants

package quota_test

import (
	"testing"

	"convdel/internal/testkit/mutation"
)

// TestMutantsApply: each broken rule still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutation.Apply(t, mutants())
}

// TestMutants: the package's tests notice each broken rule.
func TestMutants(t *testing.T) {
	t.Parallel()
	mutation.Notice(t, "consumer/internal/quota", mutants())
}

func mutants() []mutation.Mutant {
	return mutation.InPackage("consumer/internal/quota", [][4]string{
		{"the window is a second", "limiter.go", "Window = 1010 * time.Millisecond", "Window = 999 * time.Millisecond"},
		{"more lost time is made up for", "limiter.go", "catchUp = 50 * time.Millisecond", "catchUp = 80 * time.Millisecond"},
		{"lost time is lost", "limiter.go", "	if behind := now.Add(-catchUp); l.next.Before(behind) {", "	if behind := now; l.next.Before(behind) {"},
		{"calls under way do not count", "limiter.go", "	if used := l.out + l.recent.count(); used >= limit {", "	if used := l.recent.count(); used >= limit {"},
		{"the limit is one more", "limiter.go", "	limit := max(1, int(pace))", "	limit := max(1, int(pace)) + 1"},
		{"a fraction of a call is none", "limiter.go", "	limit := max(1, int(pace))", "	limit := int(pace)"},
		{"the limit does not follow the pace", "limiter.go", "	limit := max(1, int(pace))", "	limit := max(1, int(l.share))"},
		{"permits that are out end by themselves", "limiter.go", "		return Ruling{Again: l.orGain(l.pacing.rises(now))}", "		return Ruling{Again: l.orGain(now.Add(Window))}"},
		{"a throttled pace is not seen to rise", "limiter.go", "		return Ruling{Again: l.orGain(l.pacing.rises(now))}", "		return Ruling{}"},
		{"a refusal ends when the oldest call does", "limiter.go", "l.recent.at(used - limit).Add(Window)", "l.recent.at(0).Add(Window)"},
		{"a refusal ends when the youngest call does", "limiter.go", "l.recent.at(used - limit).Add(Window)", "l.recent.at(l.recent.count() - 1).Add(Window)"},
		{"the spread is a second's", "limiter.go", "	interval := time.Duration(float64(Window) / pace)", "	interval := time.Duration(float64(time.Second) / pace)"},
		{"nothing spreads the calls", "limiter.go", "	l.next = l.next.Add(interval)\n", ""},
		{"an unused permit keeps its place", "limiter.go", "	l.next = l.next.Add(-p.interval)\n", ""},
		{"an unused permit counts", "limiter.go", "	l.out--\n	l.next", "	l.recent.add(l.next)\n	l.out--\n	l.next"},
		{"a call counts from its permit alone", "limiter.go", "	l.recent.add(at)\n", ""},
		{"a handover has no quiet window", "limiter.go", "from: now.Add(Window)}", "from: now}"},
		{"the quiet window is half as long", "limiter.go", "from: now.Add(Window)}", "from: now.Add(Window / 2)}"},
		{"what is lost goes on for a window", "limiter.go", "	l.share = min(l.share, callsPerSecond)\n", ""},
		{"a loss leaves the gains as they were", "limiter.go", "		if g.share >= callsPerSecond {", "		if g.share >= 1000*callsPerSecond+1000 {"},
		{"a gain stops the rest", "limiter.go", "share: callsPerSecond, from: now.Add(Window)})", "share: callsPerSecond, from: now.Add(Window)})\n		l.share = 0"},
		{"a refusal does not end with a gain", "limiter.go", "	if len(l.gains) > 0 && l.spreads() && (t", "	if len(l.gains) > 1000 && l.spreads() && (t"},
		{"the quiet window holds up budgets", "limiter.go", "	case !l.spreads():\n		return time.Time{}\n", ""},
		{"with a budget the share counts as well", "limiter.go", "return l.mode != ByBudget }", "return true }"},
		{"with a budget the pace is the share's", "limiter.go", "	case l.mode == ByBudget:\n		return l.leases.quota *", "	case l.mode == ByBudget:\n		return share *"},
		{"a budget that is back counts alone", "limiter.go", "return l.mode != ByBudget }", "return l.mode == ByShare }"},
		{"no share, no limit", "limiter.go", "	if l.granted() == 0 {\n		return Ruling{}\n	}\n", ""},
		{"departures are kept for half a window", "departures.go", "now.Sub(d.times[d.first]) >= Window", "now.Sub(d.times[d.first]) >= Window/2"},
		{"departures are kept for too long", "departures.go", "now.Sub(d.times[d.first]) >= Window", "now.Sub(d.times[d.first]) > Window+Window/50"},
		{"departures pile up", "departures.go", " && d.first >= d.count() {", " && d.first < 0 {"},
		{"departures are lost when room is made", "departures.go", "copy(d.times, d.times[d.first:])", "copy(d.times, d.times[d.first+1:])"},
		{"each throttled answer cuts", "pacing.go", "	if now.Sub(p.cut) >= Window {\n", "	{\n"},
		{"throttled answers cut once for all", "pacing.go", "	if now.Sub(p.cut) >= Window {\n", "	if p.cut.IsZero() {\n"},
		{"throttled answers cut to nothing", "pacing.go", "max(leastFraction, fraction*slowDown)", "fraction * slowDown"},
		{"a cut does not recover", "pacing.go", "	p.fraction, p.step, p.since = fraction, speedUp, from", "	p.fraction, p.step, p.since = fraction, 0, from"},
		{"a cut recovers like a pause", "pacing.go", "	p.fraction, p.step, p.since = fraction, speedUp, from", "	p.fraction, p.step, p.since = fraction, max(p.step, speedUp), from"},
		{"a throttled answer does not hold the pace", "pacing.go", "	p.fraction, p.step, p.since = fraction, speedUp, from", "	if p.cut.Equal(now) {\n		p.fraction, p.step, p.since = fraction, speedUp, from\n	}"},
		{"the pace rises while all calls are held", "limiter.go", "l.pacing.throttled(now, later(now, l.hold.until))", "l.pacing.throttled(now, now)"},
		{"a hold holds nothing", "limiter.go", "later(l.opens(), l.hold.until); now", "l.opens(); now"},
		{"held replicas lease", "leases.go", "	case now.Before(l.hold.until):\n		return Demand{Again: l.hold.until} // departures until then would be lost to all replicas\n", ""},
		{"one conversation holds all others", "hold.go", "	case rested || !lastSuccess.After(h.until):\n", "	case rested || h != nil:\n"},
		{"a hold is never followed by another", "hold.go", "	case rested || !lastSuccess.After(h.until):\n", "	case rested:\n"},
		{"success ends all holding", "hold.go", "	case rested || !lastSuccess.After(h.until):\n", "	case rested && h == nil || !lastSuccess.After(h.until):\n"},
		{"a late answer ends a hold", "hold.go", "h.until = later(h.until, until)", "h.until = until"},
		{"a hold is not lengthened", "hold.go", "		h.until = later(h.until, until)\n", ""},
		{"after a pause the pace is whole", "pacing.go", "	p.fraction, p.step, p.since = rampFrom, rampUp, now", "	p.fraction = 1"},
		{"a pace rises beyond the whole", "pacing.go", "	if fraction > 1-rounding {\n		return 1\n	}\n", ""},
		{"shares are rounded up", "share.go", "		whole += (id+1)*callsPerSecond/partitions - id*callsPerSecond/partitions\n", "		whole += id - id + (callsPerSecond+partitions-1)/partitions\n"},
		{"shares are rounded down", "share.go", "		whole += (id+1)*callsPerSecond/partitions - id*callsPerSecond/partitions\n", "		whole += id - id + callsPerSecond/partitions\n"},
		{"with many partitions some have no call", "share.go", "	if partitions > callsPerSecond {", "	if partitions > 1000*callsPerSecond {"},

		{"a departure is used before it is due", "leases.go", "; now.Before(due) {\n		return time.Time{}, due\n	}", "; now.Before(due.Add(-tolerance)) {\n		return time.Time{}, due\n	}"},
		{"a departure is used twice", "leases.go", "	s.departures = s.departures[1:]\n	return due, time.Time{}\n", "	return due, time.Time{}\n"},
		{"a missed departure is used", "leases.go", "now.Sub(s.departures[0]) > tolerance", "now.Sub(s.departures[0]) > 4*tolerance"},
		{"late calls cost nothing", "leases.go", "		s.owed++\n", ""},
		{"punctual calls cost", "leases.go", "	if at.Sub(due) > tolerance {", "	if at.Sub(due) >= tolerance {"},
		{"late calls cost for ever", "leases.go", "		if due.Sub(s.late) > time.Second {\n			s.owed = 0\n		}\n", ""},
		{"throttled answers cost no departure", "leases.go", "s.credit += fraction; s.credit >= 1", "s.credit += 1; s.credit >= 1 || fraction < 0"},
		{"throttled answers cost the last one as well", "leases.go", "			s.credit--\n", "			s.credit = 0\n"},
		{"idle replicas lease", "leases.go", "	idle := waiting == 0 && now.Sub(s.stirred) > leaseWorth\n", "	idle := waiting < 0\n"},
		{"a replica leases all that there is", "leases.go", "return Demand{Ask: true, N: min(missing, int(most))}", "return Demand{Ask: true, N: max(missing, int(most))}"},
		{"a replica leases without end", "leases.go", "return Demand{Ask: true, N: min(missing, int(most))}", "_ = most\n	return Demand{Ask: true, N: missing}"},
		{"what is at hand is leased again", "leases.go", "	missing := ready - held\n", "	missing := ready\n"},
		{"a caller that waits gets nothing", "leases.go", "	if waiting > 0 && held == 0 {", "	if waiting < 0 && held == 0 {"},
		{"the trip does not count", "leases.go", "		early := leaseSlack + s.trip*3/2\n", "		early := leaseSlack\n"},
		{"a slow answer is forgotten at once", "leases.go", "	s.trip = max(now.Sub(asked), s.trip*15/16)\n", "	s.trip = now.Sub(asked)\n"},
		{"the budget's time is not heeded", "leases.go", "		s.notBefore = now.Add(min(again, probeEvery))\n", ""},
		{"one failure is enough", "trust.go", "failuresToFall = 2", "failuresToFall = 1"},
		{"failures are counted for ever", "trust.go", "	t.failures = 0\n", ""},
		{"a budget is never given up", "trust.go", "	if t.failures < failuresToFall && ", "	if t.failures < 1000*failuresToFall && "},
		{"failures between answers are forgotten", "trust.go", "(oldest.IsZero() || now.Sub(oldest) > failuresWithin)", "(t.failures > 0 || now.Sub(oldest) > failuresWithin)"},
		{"failures of a long time add up", "trust.go", "(oldest.IsZero() || now.Sub(oldest) > failuresWithin)", "oldest.IsZero()"},
		{"failures before the fall count again", "trust.go", "	t.recent = [failuresInAll]time.Time{}\n", ""},
		{"a barren budget is kept", "trust.go", "t.barren || now.Sub(t.dry) >= ", "t.barren || now.Sub(t.dry) >= 1000*"},
		{"a budget whose clock was set back is given up", "trust.go", "dryTime       = 3 * time.Second", "dryTime       = 1900 * time.Millisecond"},
		{"a small quota is given up", "trust.go", "dryTime+time.Duration(dryDepartures/quota*float64(Window))", "dryTime"},
		{"a barren budget comes back without a departure", "trust.go", "	if t.barren {\n		return 1\n	}\n", ""},
		{"a barren budget that gives again stays given up", "trust.go", "t.dry, t.barren = time.Time{}, false", "t.dry = time.Time{}"},
		{"one departure does not end a dry time", "trust.go", "t.dry, t.barren = time.Time{}, false", "t.barren = false"},
		{"an idle time is dry", "trust.go", "	case t.dry.IsZero() || asked.Sub(last) > 2*probeEvery:", "	case t.dry.IsZero():"},
		{"a probe is dry", "trust.go", "	case n == 0:\n", "	case n < 0:\n"},
		{"no quiet window when the budget is given up", "leases.go", "		l.quiet = now.Add(Window)\n", ""},
		{"a quiet window at each failure", "leases.go", "	if l.mode == ByBudget {\n		// This", "	if l.mode != ByShare {\n		// This"},
		{"departures of a budget that fails are kept", "leases.go", "	l.mode, s.departures, s.owed = ByShare, nil, 0\n", "	l.mode, s.owed = ByShare, 0\n"},
		{"a budget that is back is trusted at once", "leases.go", "		l.mode, s.until, s.trust.back = ByBoth, now.Add(Cautious), now\n", "		l.mode, s.until, s.trust.back = ByBudget, now, now\n"},
		{"a budget that is back is trusted soon", "leases.go", "	case l.mode == ByBoth && !now.Before(s.until):\n", "	case l.mode == ByBoth && !now.Before(s.until.Add(-time.Second)):\n"},
		{"a budget that is back is never trusted", "leases.go", "		l.mode = ByBudget\n", "		l.mode = ByBoth\n"},
		{"a failing budget is asked all the time", "leases.go", "	s.notBefore = now.Add(s.trust.every)\n", ""},
		{"a budget that is given up again is trusted as before", "trust.go", "	t.every = min(2*t.every, longestProbe)\n", "	t.every = probeEvery\n"},
		{"a budget that is given up again is hardly tried", "trust.go", "min(2*t.every, longestProbe)", "2*t.every"},
		{"an old fall counts for ever", "trust.go", "t.back.IsZero() || now.Sub(t.back) > probation", "t.back.IsZero()"},
		{"a budget's wait has no end", "leases.go", "now.Add(min(again, probeEvery))", "now.Add(again)"},
		{"a forgiven failure is not made sure of", "leases.go", "	case s.asked.IsZero() || s.trust.forgiven() || l.mode == ByShare:", "	case s.asked.IsZero() || s.trust.forgiven() && ready < 0 || l.mode == ByShare:"},
		{"replicas without a share lease", "leases.go", "	case l.granted() == 0:\n		return Demand{}\n", ""},
	})
}
