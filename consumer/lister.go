package consumer

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/revival"
	"convdel/schema"
)

// MaxLists is how many lists are read at once. That bounds what they take of memory, and is enough for 200 calls a second that take 300 ms each.
const MaxLists = 64

// lister reads accounts' lists for events that need one. It shares neither goroutines nor quota with the calls that delete.
type lister struct {
	lists    Lists
	queue    *queue
	breaker  *breakerGuard
	limiter  *limiter
	pipeline *pipeline
	stalls   *stallWatch
	metrics  *Metrics
	loops    *loops
	log      *slog.Logger

	underWay *semaphore.Weighted
	running  sync.WaitGroup
}

// run reads lists until ctx ends; work is the context of the calls under way, which may outlive it.
func (l *lister) run(ctx, work context.Context) {
	if l.queue.lists == nil {
		return
	}
	loop, end := l.loops.begin(ctx, "read lists of conversations")
	defer end()
	for l.queue.awaitList(loop) == nil && acquire(loop, l.underWay, 1) == nil {
		a, permit := l.admit(loop)
		if a == nil {
			l.underWay.Release(1)
			continue
		}
		l.running.Go(func() {
			defer l.underWay.Release(1)
			l.read(ctx, work, a, permit)
		})
	}
}

// admit waits for breaker and quota and returns the account to list; nil if none is to be listed after all.
func (l *lister) admit(ctx context.Context) (*account, *permit) {
	probe, err := l.breaker.await(ctx)
	if err != nil {
		return nil, nil
	}
	permit, err := l.limiter.wait(ctx)
	if err == nil && (probe || !l.breaker.isOpen()) {
		a, over := l.queue.takeList(probe)
		l.pipeline.endAll(over)
		if a != nil {
			return a, permit
		}
	}
	permit.unused()
	if probe {
		l.breaker.abandon()
	}
	return nil, nil
}

// read reads one list. It begins no call once ctx has ended, and work cuts off the one under way.
func (l *lister) read(ctx, work context.Context, a *account, granted *permit) {
	work, end := l.loops.begin(work, "read a list of conversations")
	defer end()
	list := revival.NewList(a.Call.Began)
	pages := &pages{ctx: ctx, limiter: l.limiter, first: granted}
	full := false
	at := loopOf(work)
	at.rests()
	answer := l.lists.Read(work, ListRequest{
		Account: a.Name, Permit: pages.permit, Sent: pages.sent,
		Show: func(c schema.Conversation, last time.Time) bool {
			full = full || !list.Show(c, last)
			return !full
		},
	})
	at.works()
	pages.end()
	if answer.Failed != nil && (ctx.Err() != nil || work.Err() != nil) {
		if a.Call.Probe {
			l.breaker.abandon()
		}
		return // a stop has cut it off: its events have not ended, and will be delivered again
	}
	if full {
		answer.Doubt = "it has more conversations than any account"
	}
	if answer.Failed != nil {
		failed := answer.Failed.withVerdict()
		failed.Err = naming(failed.Err, a.Name)
		answer.Failed = &failed
	}
	list.Close(answer.Doubt)
	l.metrics.listed(answer)
	l.tell(ctx, a, answer)
	l.pipeline.endAll(l.queue.listed(a, list, answer))
}

// tell says in the log what has become of a list that does not serve, and heeds a throttled answer.
func (l *lister) tell(ctx context.Context, a *account, answer ListAnswer) {
	switch {
	case answer.Failed == nil && answer.Doubt == "" && !revival.Fresh(a.Call.Began, time.Now()):
		l.log.LogAttrs(ctx, slog.LevelWarn, "a list of conversations took too long to serve: events that need it wait",
			slog.Duration("took", time.Since(a.Call.Began)), slog.Duration("serves", revival.Serves))
	case answer.Failed == nil && answer.Doubt == "":
		l.stalls.moved()
	case answer.Failed == nil:
		l.log.LogAttrs(ctx, slog.LevelDebug, "a list of conversations may lack some: events that it does not show wait for another one", slog.String("doubt", answer.Doubt))
	case answer.Failed.Verdict == Throttled:
		if l.limiter.throttled(answer.Failed.Quiet, l.breaker.lastSuccess()) {
			l.log.LogAttrs(ctx, slog.LevelWarn, "lists of conversations slow down: the API, or what stands before it, takes no more",
				slog.Any("error", answer.Failed.Err), slog.Duration("wants_quiet_for", answer.Failed.Quiet),
				slog.Float64("calls_per_second", math.Round(100*l.limiter.pace())/100))
		}
	default:
		l.log.LogAttrs(ctx, slog.LevelWarn, "a list of conversations could not be read: events that need it wait",
			slog.Bool("probe", a.Call.Probe), slog.Int("code", answer.Failed.Code), slog.Any("error", answer.Failed.Err))
	}
}

// wait returns when no list is being read. It is called after run has returned.
func (l *lister) wait() {
	l.running.Wait()
	l.queue.lists.leave()
}

// pages hands out the permits of one list: a call for each page.
type pages struct {
	// ctx is that of new calls.
	ctx     context.Context //nolint:containedctx // the list's own outlives it
	limiter *limiter
	// first is the permit for the first page; nil once it is used. It is not nil before, unless the limiter is off.
	first *permit
	begun bool
	// now is the permit of the call under way. Its request may tell when it leaves on another goroutine.
	now atomic.Pointer[permit]
}

// permit waits until the next page may be asked for.
func (p *pages) permit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	granted := p.first
	if p.begun {
		p.now.Load().sent()
		var err error
		if granted, err = p.limiter.wait(p.ctx); err != nil { //nolint:contextcheck // a new call ends with the intake, not with the list
			granted.unused()
			return err
		}
	}
	p.first, p.begun = nil, true
	p.now.Store(granted)
	return nil
}

func (p *pages) sent() { p.now.Load().sent() }

// end notes that no further call is made. A call that can't tell when it has sent the request counts from its answer.
func (p *pages) end() {
	p.first.unused()
	p.now.Load().sent()
}
