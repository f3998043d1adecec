package consumer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

// stuckAfter is how long a step of a loop's own may take. A loop that takes longer stands still: it waits for a lock that nobody gives
// back, or for a log that takes no line.
const stuckAfter = time.Minute

// StuckLoop is a loop of the consumer's own that stands still: only a restart helps.
type StuckLoop struct {
	// Name says what the loop does.
	Name string
	// Since is when it last moved.
	Since time.Time
}

// step is the evidence of a loop: what it is doing.
type step struct {
	name string
	// since is when its present step began; zero while it rests.
	since time.Time
	// idle is since when the loop waits for work; zero if it does not. ready is since when there is some; zero if there is none.
	idle, ready time.Time
}

// stuckLoops returns the loops that stand still at a time, by name. A loop that rests does not: it waits for Kafka, the API, Redis, the
// quota, memory, a time, or something to do. One that waits for something to do stands still if there is something.
func stuckLoops(steps []step, now time.Time) (stuck []StuckLoop) {
	for _, s := range steps {
		since := s.since
		if since.IsZero() && !s.idle.IsZero() && !s.ready.IsZero() {
			if since = s.idle; s.ready.After(since) {
				since = s.ready
			}
		}
		if !since.IsZero() && now.Sub(since) >= stuckAfter {
			stuck = append(stuck, StuckLoop{Name: s.name, Since: since})
		}
	}
	slices.SortFunc(stuck, func(a, b StuckLoop) int { return cmp.Or(cmp.Compare(a.Name, b.Name), a.Since.Compare(b.Since)) })
	return stuck
}

// loops are the loops that run now. Its lock is held for a moment only, and no other lock inside it, so that the evidence can be had
// whatever stands still.
type loops struct {
	mu      sync.Mutex
	running map[*loop]struct{}
}

func newLoops() *loops { return &loops{running: make(map[*loop]struct{})} }

// loop notes what one goroutine does. A nil loop notes nothing.
type loop struct {
	name string
	// since, idle and ready are those of a step.
	since, idle, ready moment
}

// loopKey is the key of the goroutine's loop in its context.
type loopKey struct{}

// loopOf returns the loop that a context belongs to; nil if there is none.
func loopOf(ctx context.Context) *loop {
	l, _ := ctx.Value(loopKey{}).(*loop)
	return l
}

// begin notes that a loop begins. Its goroutine uses the returned context, and calls end when it ends. Loops that are nil watch none.
func (ls *loops) begin(ctx context.Context, name string) (_ context.Context, end func()) {
	if ls == nil {
		return ctx, func() {}
	}
	l := &loop{name: name}
	l.works()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.running[l] = struct{}{}
	return context.WithValue(ctx, loopKey{}, l), func() {
		ls.mu.Lock()
		defer ls.mu.Unlock()
		delete(ls.running, l)
	}
}

// steps returns the evidence at this moment.
func (ls *loops) steps() []step {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	steps := make([]step, 0, len(ls.running))
	for l := range ls.running {
		steps = append(steps, step{name: l.name, since: l.since.get(), idle: l.idle.get(), ready: l.ready.get()})
	}
	return steps
}

// works notes that a step of the loop's own begins.
func (l *loop) works() {
	if l != nil {
		l.since.set(time.Now())
	}
}

// rests notes that the loop begins to wait for something that is not its own.
func (l *loop) rests() {
	if l != nil {
		l.since.clear()
	}
}

// idles notes whether the loop waits for something to do.
func (l *loop) idles(yes bool) {
	switch {
	case l == nil:
	case yes:
		l.idle.set(time.Now())
	default:
		l.idle.clear()
	}
}

// has notes whether the loop has something to do. Calls must not overlap.
func (l *loop) has(yes bool) {
	switch {
	case l == nil:
	case !yes:
		l.ready.clear()
	case l.ready.get().IsZero():
		l.ready.set(time.Now())
	}
}

// acquire waits for a share of a semaphore. The loop rests meanwhile.
func acquire(ctx context.Context, part *semaphore.Weighted, n int64) error {
	l := loopOf(ctx)
	l.rests()
	defer l.works()
	return part.Acquire(ctx, n)
}

// moment is a time that one goroutine notes and others read. It follows the monotonic clock: a wall clock that is set makes no loop
// stand still.
type moment struct{ at atomic.Pointer[time.Time] }

func (m *moment) set(at time.Time) { m.at.Store(&at) }
func (m *moment) clear()           { m.at.Store(nil) }

func (m *moment) get() time.Time {
	if at := m.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Stuck returns the loops of the consumer's own that have stood still for a minute. It answers at once, whatever stands still. A pause,
// Kafka, the API and dead letters are no reason.
func (c *Consumer) Stuck() []StuckLoop { return stuckLoops(c.loops.steps(), time.Now()) }
