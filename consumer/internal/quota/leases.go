package quota

import (
	"math"
	"time"
)

const (
	// leaseWorth is how many departures are leased at once, as time at the full quota. leaseSlack is how long before the
	// last leased departure the next ones are asked for, in addition to the time of the round trip.
	leaseWorth = 25 * time.Millisecond
	leaseSlack = 12 * time.Millisecond
	// tolerance is how late a call may leave and still count as leaving at its leased departure. It is half of the time by
	// which the window is longer than a second. The other half is for the network.
	tolerance = 5 * time.Millisecond
)

// Mode says which limits a [Limiter] keeps to.
type Mode int

// The modes. A limiter without a budget is always ByShare.
const (
	// ByBudget keeps to the budget.
	ByBudget Mode = iota
	// ByBoth keeps to the budget and to this replica's share: the budget has just come back.
	ByBoth
	// ByShare keeps to the share: there is no budget, or it fails.
	ByShare
)

// Mode returns the limits that the limiter keeps to now.
func (l *Limiter) Mode() Mode { return l.mode }

// leases are departures reserved from a budget, and the state of that budget as its answers show it.
type leases struct {
	// quota is the number of calls a second that the budget hands out to all replicas together.
	quota float64
	// departures are the leased ones that have not been used, ascending.
	departures []time.Time
	// asked is when the budget last answered or failed. notBefore is the earliest time for the next question.
	asked, notBefore time.Time
	trust            trust
	// trip is how long an answer takes: a slowly falling maximum.
	trip time.Duration
	// until is when ByBoth ends.
	until time.Time
	// stirred is when a departure was last asked for. wanted says that there was none then, and that none has come since.
	stirred time.Time
	wanted  bool
	// owed is how many departures must stay unused to make up for late calls; late is when the last of these calls left.
	// credit is the part of the next departure that remains after throttled answers.
	owed   int
	late   time.Time
	credit float64
}

// take returns a departure that is due, or the time at which to ask anew. The zero time means until told.
func (s *leases) take(now time.Time) (due, again time.Time) {
	s.stirred = now
	for len(s.departures) > 0 && now.Sub(s.departures[0]) > tolerance {
		s.departures = s.departures[1:]
	}
	s.wanted = len(s.departures) == 0
	if s.wanted {
		return time.Time{}, time.Time{}
	}
	if due = s.departures[0]; now.Before(due) {
		return time.Time{}, due
	}
	s.departures = s.departures[1:]
	return due, time.Time{}
}

// left notes when a call has really left. A late call adds to seconds in which its departure was not counted. Another
// departure within the next second stays unused and makes up for it, since that one lies in these seconds, too.
func (s *leases) left(due, at time.Time) {
	if at.Sub(due) > tolerance {
		s.owed++
		s.late = at
	}
}

// add keeps new departures, except those that are owed and those that throttled answers cost. No other replica gets these
// either, so the app as a whole slows down.
func (s *leases) add(now time.Time, departures []time.Duration, fraction float64) {
	s.wanted = false
	for _, in := range departures {
		due := now.Add(in)
		if due.Sub(s.late) > time.Second {
			s.owed = 0
		}
		if s.owed > 0 {
			s.owed--
			continue
		}
		if s.credit += fraction; s.credit >= 1 {
			s.credit--
			s.departures = append(s.departures, due)
		}
	}
}

// Demand is a question to the budget, or says when there can be one.
type Demand struct {
	// Ask says to ask for N departures now. N of 0 finds out whether the budget answers.
	Ask bool
	N   int
	// Again is the time at which to look again if there is nothing to ask now. Each Ask of the limiter is a reason to look
	// again as well; if Again is the zero time, it is the only reason.
	Again time.Time
}

// Demand returns the question to ask the budget now. ready is how many conversations are ready to be called, waiting is how
// many goroutines wait for a permit. It is for limiters made by [NewLeasing]. The answer goes to [Limiter.BudgetAnswered]
// or [Limiter.BudgetFailed] before Demand is called again.
func (l *Limiter) Demand(now time.Time, ready, waiting int) Demand {
	s := &l.leases
	switch {
	case now.Before(s.notBefore):
		return Demand{Again: s.notBefore}
	case s.asked.IsZero() || s.trust.forgiven() || l.mode == ByShare:
		return Demand{Ask: true, N: s.trust.probe()}
	case l.mode == ByBoth && s.wanted && l.granted() > 0:
		return Demand{Ask: true, N: 1} // one at a time: the share decides when there is a use for it
	case l.mode == ByBoth:
		again := s.asked.Add(probeEvery)
		return Demand{Ask: !now.Before(again), Again: again} // only to find out whether it answers
	case l.granted() == 0:
		return Demand{}
	case now.Before(l.hold.until):
		return Demand{Again: l.hold.until} // departures until then would be lost to all replicas
	default:
		return s.demand(now, ready, waiting)
	}
}

// demand returns the question to a budget that works.
func (s *leases) demand(now time.Time, ready, waiting int) Demand {
	held := len(s.departures)
	missing := ready - held
	if waiting > 0 && held == 0 {
		missing = max(missing, 1)
	}
	// No departure was asked for lately, so no connection is free to use one.
	idle := waiting == 0 && now.Sub(s.stirred) > leaseWorth
	if missing <= 0 || idle {
		return Demand{}
	}
	if held > 0 {
		early := leaseSlack + s.trip*3/2
		if again := s.departures[held-1].Add(-early); now.Before(again) {
			return Demand{Again: again}
		}
	}
	most := math.Ceil((leaseWorth + 2*s.trip).Seconds() * s.quota)
	return Demand{Ask: true, N: min(missing, int(most))}
}

// BudgetFailed says that the budget has not answered in time, or with an error.
func (l *Limiter) BudgetFailed(now time.Time) {
	s := &l.leases
	s.asked, s.notBefore = now, now.Add(askAgain)
	if s.trust.failed(now) {
		l.fall(now)
	}
}

// fall gives the budget up.
func (l *Limiter) fall(now time.Time) {
	s := &l.leases
	if l.mode != ByShare {
		s.trust.fell(now)
	}
	s.notBefore = now.Add(s.trust.every)
	if l.mode == ByBudget {
		// This replica may have called more than its share.
		l.quiet = now.Add(Window)
	}
	l.mode, s.departures, s.owed = ByShare, nil, 0
}

// BudgetAnswered takes the budget's answer to a question for n departures that was asked at asked. departures are the reserved
// ones, each as the time from now until then, ascending. If there are none, again is how long to wait before the budget is
// asked again; it counts up to a second.
func (l *Limiter) BudgetAnswered(asked, now time.Time, n int, departures []time.Duration, again time.Duration) {
	s := &l.leases
	last := s.asked
	s.asked, s.notBefore = now, time.Time{}
	s.trip = max(now.Sub(asked), s.trip*15/16)
	if s.trust.answered(asked, now, last, n, len(departures), s.quota) {
		l.fall(now)
		return
	}
	switch {
	case l.mode == ByShare:
		l.mode, s.until, s.trust.back = ByBoth, now.Add(Cautious), now
	case l.mode == ByBoth && !now.Before(s.until):
		l.mode = ByBudget
	}
	if len(departures) == 0 {
		s.notBefore = now.Add(min(again, probeEvery))
		return
	}
	s.add(now, departures, l.pacing.at(now))
}
