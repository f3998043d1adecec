package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"convdel/consumer/internal/quota"
)

// limiter hands out permits: every call takes one, first attempts and retries alike. Package quota rules when. The limiter
// holds the lock and the clock, and does the waiting.
type limiter struct {
	// off turns the limiter into a formality.
	off bool

	mu    sync.Mutex
	rules *quota.Limiter
	// member says that the limiter is of a member of a group, so that calls leave until the time until alone, whatever the rules say.
	member bool
	until  time.Time
	// changed is closed and replaced when all goroutines that wait must ask anew. untold says that one of them has no time at
	// which to ask by itself.
	changed chan struct{}
	untold  bool

	// budget, if not nil, is where departures are leased. poked makes its follower look again; see budget.go.
	budget Budget
	poked  chan struct{}
	// waiting is the number of goroutines that wait for a permit. Only limiters with a budget count them.
	waiting int
	// told is when it was last logged that the API says too fast.
	told time.Time
	// slowed is when the API last said so.
	slowed time.Time
	// beside, if not nil, is the limiter of the accounts' lists, which have a quota of their own. Its share is as large.
	beside *limiter
	// ready is how many conversations wait for a call, which is how many departures are worth having.
	ready atomic.Int64
	// loops watch the goroutine that leases; nil: nothing does.
	loops *loops
}

// newLimiter returns a limiter whose share is 0 as yet. A quota of 0 calls a second turns it off for good. budget may be nil.
func newLimiter(callsPerSecond int, budget Budget) *limiter {
	l := &limiter{off: callsPerSecond == 0, changed: make(chan struct{}), budget: budget}
	if budget == nil {
		l.rules = quota.New()
	} else {
		l.rules, l.poked = quota.NewLeasing(callsPerSecond), make(chan struct{}, 1)
	}
	return l
}

// permit is the right to make one call. sent and unused may be called several times: the first call counts.
type permit struct {
	quota.Permit
	l *limiter
	// ended says that it is known what has become of the permit.
	ended atomic.Bool
}

// allow lets calls leave until a time, and none after that; the zero time lets none leave. Before the first allow, time is no limit.
func (l *limiter) allow(until time.Time) {
	if l.beside != nil {
		l.beside.allow(until)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.member, l.until = true, until
	l.tellLocked() // by what they were told: the clock may have been set back since
}

// earlier says whether a time is before another one by the monotonic clock and by the wall clock. The monotonic clock stands while the
// machine is suspended, and the wall clock may be set.
func earlier(t, than time.Time) bool { return t.Before(than) && t.Round(0).Before(than.Round(0)) }

// setShare says how many calls a second are this replica's from now on. What is gained counts a window later.
func (l *limiter) setShare(callsPerSecond float64) {
	if l.beside != nil {
		l.beside.setShare(callsPerSecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules.SetShare(callsPerSecond, time.Now())
	l.wakeLocked()
}

// pace is the calls a second that may be made now.
func (l *limiter) pace() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rules.Pace(time.Now())
}

// throttled slows down: the API has said that this app calls too fast, and wants no call for the time quiet. lastSuccess is when the
// youngest call began that was answered "deleted". tell says that it is time to log that: at most once a minute.
func (l *limiter) throttled(quiet time.Duration, lastSuccess time.Time) (tell bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.rules.Hold(now, quiet, lastSuccess)
	l.rules.Throttled(now)
	l.slowed = now
	if tell = now.Sub(l.told) >= remindEvery; tell {
		l.told = now
	}
	return tell
}

// throttle says whether the API says too fast now; nil if it does not.
func (l *limiter) throttle() *Throttle {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, t := time.Now(), &Throttle{At: l.slowed}
	if until := l.rules.Held(); until.After(now) {
		t.Until = until
	}
	if t.Until.IsZero() && (l.slowed.IsZero() || now.Sub(l.slowed) >= throttleLasts) {
		return nil
	}
	return t
}

// ramp lets the pace rise from little: the API has just come back.
func (l *limiter) ramp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules.Ramp(time.Now())
}

// wait blocks until a call may be made, and returns ctx's error if that ends first.
func (l *limiter) wait(ctx context.Context) (*permit, error) {
	if l.budget != nil && !l.off {
		l.countWaiting(1)
		defer l.countWaiting(-1)
	}
	for {
		granted, p, again, changed := l.ask()
		if granted {
			return p, ctx.Err()
		}
		if err := wait(ctx, again, changed); err != nil {
			return nil, err
		}
	}
}

// try grants a permit if a call may be made now.
func (l *limiter) try() (p *permit, granted bool) {
	granted, p, _, _ = l.ask()
	return p, granted
}

// ask returns a permit, which is nil if the limiter is off, or when to ask again: at a time, unless it is zero, and whenever something has
// changed.
func (l *limiter) ask() (granted bool, p *permit, again time.Time, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	shut := l.member && !earlier(now, l.until)
	if shut || l.off {
		l.untold = l.untold || shut
		return !shut, nil, time.Time{}, l.changed
	}
	r := l.rules.Ask(now)
	if l.budget != nil {
		l.poke()
	}
	if r.Granted {
		return true, &permit{Permit: r.Permit, l: l}, time.Time{}, nil
	}
	l.untold = l.untold || r.Again.IsZero()
	return false, nil, r.Again, l.changed
}

func (l *limiter) countWaiting(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting += n
}

func (l *limiter) wakeLocked() {
	l.untold = false
	close(l.changed)
	l.changed = make(chan struct{})
}

// sent says that the request has left, or may have: the call counts from now on.
func (p *permit) sent() {
	if !p.end() {
		return
	}
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.rules.Sent(p.Permit, time.Now())
	p.l.tellLocked()
}

// unused says that no call was made with it.
func (p *permit) unused() {
	if !p.end() {
		return
	}
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	p.l.rules.Unused(p.Permit)
	p.l.tellLocked()
}

// end says whether it is only now known what has become of the permit. A limiter that is off grants nil.
func (p *permit) end() bool { return p != nil && !p.ended.Swap(true) }

// tellLocked wakes the goroutines that wait if one of them has to be told.
func (l *limiter) tellLocked() {
	if l.untold {
		l.wakeLocked()
	}
}
