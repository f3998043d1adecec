package consumer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// window is what a quota is counted over. The API counts arrivals, we count departures, and a
	// second's worth of departures can arrive in less than a second when the first ones are slow:
	// the margin is what the network may vary by. It costs 1 % of the quota.
	window = 1010 * time.Millisecond
	// catchUp is how far the pace may run behind before lost time is lost: a late timer or a
	// garbage collection is made up for, an idle minute is not.
	catchUp = 50 * time.Millisecond
	// slowDown and speedUp are the answer to a throttled call: the pace is cut at most once a
	// window, and comes back by a twentieth of the quota each window without one.
	slowDown  = 0.7
	leastMood = 0.02
	speedUp   = 0.05
	// After a pause the pace begins at rampFrom and is whole again after five windows.
	rampFrom = 0.1
	rampUp   = 0.18
)

// limiter holds the quota: at most n departures in any window, evenly spread. Every call passes it,
// first attempts and repetitions alike.
//
// A permit counts from when it is granted until a window after the request was really sent, which
// can be later (a connection has to be made first): for the API only the latter exists.
type limiter struct {
	mu sync.Mutex
	// quota is the calls a second that we may use; 0 none. mood, at most 1, is the part of it
	// that throttled answers have left.
	quota, mood float64
	// sent holds the departures of the last window, ascending; pending the permits not sent yet.
	sent    []time.Time
	pending int
	// next is when the even spread allows the next call; closed is until when nothing may go.
	next, closed time.Time
	lastCut      time.Time
	// ramping says that mood comes back in steps of rampUp.
	ramping   bool
	lastRaise time.Time
	// changed is closed and replaced when waiting callers must look again; blind says that one of them
	// has no time at which to look by itself.
	changed chan struct{}
	blind   bool
	// off turns the limiter into a formality.
	off bool
	// leases, if not nil, are departures of a budget that other replicas share; see budget.go.
	leases *leases
	// ready is how many conversations wait for a call, which is how many departures are worth having.
	ready atomic.Int64
}

// newLimiter returns a limiter without quota; unlimited turns it off for good.
func newLimiter(unlimited bool) *limiter {
	return &limiter{mood: 1, changed: make(chan struct{}), off: unlimited}
}

// permit is the right to make one call. Exactly one of sent and unused may be called, several times.
type permit struct {
	l *limiter
	// interval is what it has taken of the even spread.
	interval time.Duration
	// due is the departure that it stands for, where a budget hands them out.
	due  time.Time
	once sync.Once
}

// setQuota changes what may be used from now on, and lets nothing go for one window: at a handover
// the departures of whoever used this part of the quota before still count.
func (l *limiter) setQuota(callsPerSecond float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quota = callsPerSecond
	l.closed = time.Now().Add(window)
	l.wakeLocked()
}

// pace is the calls a second that may be made now.
func (l *limiter) pace() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.quota == 0 {
		return 0
	}
	return l.allowedLocked() * l.mood
}

// allowedLocked is the calls a second that this replica may make: its share, or where a budget keeps all replicas
// together within the quota, all of it.
func (l *limiter) allowedLocked() float64 {
	if l.leases != nil && l.leases.mode == modeBudget {
		return l.leases.quota
	}
	return l.quota
}

// throttled is told when the API has said that we are too fast.
func (l *limiter) throttled() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.lastRaise = now
	if now.Sub(l.lastCut) < window {
		return
	}
	l.lastCut = now
	l.mood = max(leastMood, l.mood*slowDown)
}

// ramp lets the pace rise from little: the API has just come back.
func (l *limiter) ramp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mood, l.ramping, l.lastRaise = rampFrom, true, time.Now()
}

// wait blocks until a call may be made, and returns ctx's error if that ends first.
func (l *limiter) wait(ctx context.Context) (*permit, error) {
	if l.off {
		return nil, ctx.Err()
	}
	defer l.queue()()
	for {
		p, at, changed := l.tryAt(time.Now())
		if p != nil {
			return p, ctx.Err()
		}
		if err := wait(ctx, at, changed); err != nil {
			return nil, err
		}
	}
}

// try grants a permit if a call may be made now.
func (l *limiter) try() (p *permit, granted bool) {
	if l.off {
		return nil, true
	}
	p, _, _ = l.tryAt(time.Now())
	return p, p != nil
}

// tryAt grants a permit, or says when to try again.
func (l *limiter) tryAt(now time.Time) (p *permit, again time.Time, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recoverLocked(now)
	l.forgetLocked(now)
	if l.quota == 0 {
		return nil, time.Time{}, l.changed
	}
	if at := l.opensLocked(now); now.Before(at) {
		return nil, at, l.changed
	}
	pace := l.allowedLocked() * l.mood
	limit := max(1, int(pace))
	if used := l.pending + len(l.sent); used >= limit {
		if l.pending >= limit {
			l.blind = true
			return nil, time.Time{}, l.changed // until one of them is sent, or the limit rises
		}
		return nil, l.sent[used-limit].Add(window), l.changed
	}
	p = &permit{l: l}
	if l.leases != nil && l.leases.mode != modeShare {
		if p.due, again = l.leases.take(now); p.due.IsZero() {
			return nil, again, l.changed
		}
	}
	if l.spreadsLocked() {
		p.interval = time.Duration(float64(window) / pace)
		if behind := now.Add(-catchUp); l.next.Before(behind) {
			l.next = behind
		}
		l.next = l.next.Add(p.interval)
	}
	l.pending++
	return p, time.Time{}, nil
}

// spreadsLocked says whether it is for us to spread the calls, over our own share.
func (l *limiter) spreadsLocked() bool { return l.leases == nil || l.leases.mode != modeBudget }

// opensLocked is before when nothing may go, leaving aside how much has gone.
func (l *limiter) opensLocked(now time.Time) time.Time {
	switch {
	case !l.spreadsLocked():
		return now
	case now.Before(l.closed):
		return l.closed
	default:
		return l.next
	}
}

// recoverLocked gives back what throttled answers took.
func (l *limiter) recoverLocked(now time.Time) {
	if l.mood < 1 && now.Sub(l.lastRaise) >= window {
		l.lastRaise = now
		step := speedUp
		if l.ramping {
			step = rampUp
		}
		l.mood = min(1, l.mood+step)
		l.ramping = l.ramping && l.mood < 1
		if l.blind {
			l.wakeLocked()
		}
	}
}

func (l *limiter) forgetLocked(now time.Time) {
	old := 0
	for old < len(l.sent) && now.Sub(l.sent[old]) >= window {
		old++
	}
	l.sent = l.sent[old:]
}

func (l *limiter) wakeLocked() {
	l.blind = false
	close(l.changed)
	l.changed = make(chan struct{})
}

// sent says that the request has left, or may have: the call counts from now on.
func (p *permit) sent() { p.settle(true) }

// unused says that no call was made with it.
func (p *permit) unused() { p.settle(false) }

func (p *permit) settle(used bool) {
	if p == nil {
		return
	}
	p.once.Do(func() {
		p.l.mu.Lock()
		defer p.l.mu.Unlock()
		p.l.pending--
		if used {
			now := time.Now()
			p.l.sent = append(p.l.sent, now)
			if !p.due.IsZero() {
				p.l.leases.left(p.due, now)
			}
		} else {
			p.l.next = p.l.next.Add(-p.interval)
		}
		if p.l.blind {
			p.l.wakeLocked()
		}
	})
}
