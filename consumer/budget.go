package consumer

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

const (
	// slowBudget is how long a budget may take to answer; after failuresToFall answers missed in a row, askAgain
	// apart, this replica does without. One is forgiven: a connection may have died of idleness.
	slowBudget     = 250 * time.Millisecond
	failuresToFall = 2
	askAgain       = 50 * time.Millisecond
	// probeEvery is how often a budget that fails is tried. When it answers again, others may not have
	// noticed yet: for cautious, both the budget and the share are kept.
	probeEvery = time.Second
	cautious   = 3 * time.Second
	// leaseWorth is how many calls are leased at once, as time at the full quota, and leaseSlack how long
	// before the last of them leaves the next are asked for, not counting the way there and back.
	leaseWorth = 25 * time.Millisecond
	leaseSlack = 12 * time.Millisecond
	// tolerance is how late a call may leave for its departure to count as kept: half of what the window
	// is longer than a second, the other half is for the network.
	tolerance = 5 * time.Millisecond
)

// leaseMode is whom the limiter obeys.
type leaseMode int

const (
	modeBudget leaseMode = iota // the budget
	modeBoth                    // the budget and this replica's share
	modeShare                   // the share: the budget fails
)

// leases are departures reserved from a budget and what is known about it. The limiter's mutex guards them.
type leases struct {
	budget Budget
	quota  float64
	mode   leaseMode
	// until is when modeBoth ends; asked when the budget was asked last and notBefore when it may
	// be asked next.
	until, asked, notBefore time.Time
	failures                int
	// trip is how long an answer takes, the longest of late ones.
	trip time.Duration

	departures []time.Time
	// waiting counts callers in wait, stirred is when somebody last wanted a departure. wanted says
	// that one lacks.
	waiting int
	stirred time.Time
	wanted  bool
	// owed is how many departures must be let go unused for calls that have left late, the last at
	// late; credit is what throttled answers have left of the next departure.
	owed   int
	late   time.Time
	credit float64

	// poked makes the follower look again.
	poked chan struct{}
}

func newLeases(budget Budget, callsPerSecond int) *leases {
	return &leases{budget: budget, quota: float64(callsPerSecond), poked: make(chan struct{}, 1)}
}

func (s *leases) poke() {
	select {
	case s.poked <- struct{}{}:
	default:
	}
}

// take returns a departure that is due, or when to try again (zero: when told).
func (s *leases) take(now time.Time) (due, again time.Time) {
	s.stirred = now
	defer s.poke()
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

// left is told when a call has really left. One that is late crowds the seconds after its departure
// with others': a departure unused within the next second makes up for that, since it
// is in all of those seconds.
func (s *leases) left(due, now time.Time) {
	if now.Sub(due) > tolerance {
		s.owed++
		s.late = now
	}
}

// add keeps departures, but for those owed and those that throttled answers cost: not
// used, they slow down the app as a whole, since nobody else has them either.
func (s *leases) add(now time.Time, departures []time.Duration, mood float64) {
	if now.Sub(s.late) > time.Second {
		s.owed = 0
	}
	for _, in := range departures {
		if s.owed > 0 {
			s.owed--
			continue
		}
		if s.credit += mood; s.credit >= 1 {
			s.credit--
			s.departures = append(s.departures, now.Add(in))
		}
	}
}

// lookAhead is how long before the last departure leaves the next must be asked for.
func (s *leases) lookAhead() time.Duration { return leaseSlack + s.trip*3/2 }

// queue notes a caller who waits, until the function that it returns is called.
func (l *limiter) queue() (leave func()) {
	if l.leases == nil {
		return func() {}
	}
	count := func(n int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.leases.waiting += n
	}
	count(1)
	return func() { count(-1) }
}

// fallsBack says whether the share counts, although there is a budget.
func (l *limiter) fallsBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leases != nil && l.leases.mode != modeBudget
}

// follow keeps departures at hand until ctx ends; the function that it returns ends it, too.
func (l *limiter) follow(ctx context.Context, log *slog.Logger) (stop func()) {
	if l.leases == nil || l.off {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		for {
			n, at := l.order(time.Now())
			if n < 0 {
				if wait(ctx, at, l.leases.poked) != nil {
					return
				}
				continue
			}
			l.lease(ctx, n, log)
			if ctx.Err() != nil {
				return
			}
		}
	})
	return func() {
		cancel()
		following.Wait()
	}
}

// order says how many departures to ask for now, or below 0 that there is nothing to ask, and when to
// look again (zero: when poked).
func (l *limiter) order(now time.Time) (n int, again time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.leases
	switch {
	case now.Before(s.notBefore):
		return -1, s.notBefore
	case s.asked.IsZero() || s.failures > 0 && s.failures < failuresToFall || s.mode == modeShare:
		return 0, time.Time{}
	case s.mode == modeBoth:
		if s.wanted && l.quota > 0 {
			return 1, time.Time{} // no more: the share decides when there is a use for it
		}
		if again = s.asked.Add(probeEvery); now.Before(again) {
			return -1, again
		}
		return 0, time.Time{}
	}
	missing := int(l.ready.Load()) - len(s.departures)
	if s.waiting > 0 && len(s.departures) == 0 {
		missing = max(missing, 1)
	}
	idle := s.waiting == 0 && now.Sub(s.stirred) > leaseWorth // who has no connection free needs none
	if l.quota == 0 || missing <= 0 || idle {
		return -1, time.Time{}
	}
	if held := len(s.departures); held > 0 {
		if again = s.departures[held-1].Add(-s.lookAhead()); now.Before(again) {
			return -1, again
		}
	}
	most := math.Ceil((leaseWorth + 2*s.trip).Seconds() * s.quota)
	return min(missing, int(most)), time.Time{}
}

// lease asks the budget and takes in what it says.
func (l *limiter) lease(ctx context.Context, n int, log *slog.Logger) {
	asking, cancel := context.WithTimeout(ctx, slowBudget)
	began := time.Now()
	departures, again, err := l.leases.budget.Reserve(asking, n)
	cancel()
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	now := time.Now()
	was := l.leases.mode
	if err != nil {
		l.failedLocked(now)
	} else {
		l.leasedLocked(now, began, departures, again)
	}
	is := l.leases.mode
	l.wakeLocked()
	l.mu.Unlock()
	if was != is {
		logMode(ctx, log, was, is, err)
	}
}

// failedLocked notes that the budget has not answered.
func (l *limiter) failedLocked(now time.Time) {
	s := l.leases
	s.asked = now
	s.failures++
	s.notBefore = now.Add(askAgain)
	if s.failures < failuresToFall {
		return
	}
	s.notBefore = now.Add(probeEvery)
	if s.mode == modeBudget {
		// What we have called by the budget may have been more than the share.
		l.closed = now.Add(window)
	}
	s.mode, s.departures, s.owed = modeShare, nil, 0
}

// leasedLocked takes in an answer.
func (l *limiter) leasedLocked(now, began time.Time, departures []time.Duration, again time.Duration) {
	s := l.leases
	s.asked, s.failures, s.notBefore = now, 0, time.Time{}
	s.trip = max(now.Sub(began), s.trip*15/16)
	switch {
	case s.mode == modeShare:
		s.mode, s.until = modeBoth, now.Add(cautious)
	case s.mode == modeBoth && !now.Before(s.until):
		s.mode = modeBudget
	}
	if len(departures) == 0 {
		s.notBefore = now.Add(again)
		return
	}
	s.wanted = false
	s.add(now, departures, l.mood)
}

// logMode says once when the budget is lost and when it is back.
func logMode(ctx context.Context, log *slog.Logger, was, is leaseMode, err error) {
	switch {
	case is == modeShare:
		log.LogAttrs(ctx, slog.LevelWarn, "the shared budget fails: falling back to this replica's share of the quota", slog.Any("error", err))
	case was == modeBoth:
		log.LogAttrs(ctx, slog.LevelInfo, "the shared budget decides again")
	case is == modeBoth:
		log.LogAttrs(ctx, slog.LevelInfo, "the shared budget answers again: keeping to the share as well for a moment",
			slog.Duration("for", cautious))
	}
}
