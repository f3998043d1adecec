package consumer

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// dispatcher makes the calls.
type dispatcher struct {
	api      API
	queue    *queue
	breaker  *breakerGuard
	limiter  *limiter
	pipeline *pipeline
	stalls   *stallWatch
	metrics  *Metrics
	loops    *loops
	log      *slog.Logger

	// underWay bounds the calls under way, running counts the goroutines that make them.
	underWay   *semaphore.Weighted
	running    sync.WaitGroup
	goroutines *goroutinePool
}

// run makes calls until ctx ends; calls is the context of the calls, which may outlive it. A call takes a ready conversation, room
// for one more call under way, a breaker that lets calls go, and quota. They are waited for in this order, so that the call is for
// the conversation that is the oldest at that moment.
func (d *dispatcher) run(ctx, calls context.Context) {
	ctx, end := d.loops.begin(ctx, "dispatch calls")
	defer end()
	d.queue.watch(loopOf(ctx))
	for d.queue.awaitReady(ctx) == nil && acquire(ctx, d.underWay, 1) == nil {
		p, permit := d.admitCall(ctx)
		if p == nil {
			d.underWay.Release(1)
			continue
		}
		d.running.Add(1)
		d.goroutines.run(func() { d.callOn(ctx, calls, p, permit) })
	}
}

// admitCall waits for breaker and quota and returns the conversation to call; nil if none can be called after all.
func (d *dispatcher) admitCall(ctx context.Context) (*pending, *permit) {
	probe, err := d.breaker.await(ctx)
	if err != nil {
		return nil, nil
	}
	permit, err := d.limiter.wait(ctx)
	if err == nil && (probe || !d.breaker.isOpen()) {
		if p := d.next(probe); p != nil {
			return p, permit
		}
	}
	permit.unused()
	if probe {
		d.breaker.abandon()
	}
	return nil, nil
}

// next returns a conversation to call; nil if there is none, or if its events end without a call.
func (d *dispatcher) next(probe bool) *pending {
	p, over := d.queue.take(probe)
	d.pipeline.endAll(over)
	return p
}

// callOn makes a call and, on the same goroutine, the calls that may follow at once. Under load that spares each call a change of
// goroutines.
func (d *dispatcher) callOn(ctx, calls context.Context, p *pending, granted *permit) {
	defer d.running.Done()
	defer d.underWay.Release(1)
	calls, end := d.loops.begin(calls, "call")
	defer end()
	for p != nil {
		d.call(calls, p, granted)
		p, granted = d.another(ctx)
	}
}

// another returns the next conversation and its permit if one may be called now.
func (d *dispatcher) another(ctx context.Context) (*pending, *permit) {
	if ready, _ := d.queue.promote(time.Now()); !ready || ctx.Err() != nil || d.breaker.isOpen() {
		return nil, nil
	}
	permit, granted := d.limiter.try()
	if !granted {
		return nil, nil
	}
	p := d.next(false)
	if p == nil {
		permit.unused()
	}
	return p, permit
}

// slowDown heeds a throttled answer.
func (d *dispatcher) slowDown(ctx context.Context, a Answer) {
	if d.limiter.throttled(a.Quiet, d.breaker.lastSuccess()) {
		d.log.LogAttrs(ctx, slog.LevelWarn, "calls slow down: the API, or what stands before it, takes no more",
			slog.Any("error", a.Err), slog.Duration("wants_quiet_for", a.Quiet), slog.Float64("calls_per_second", math.Round(100*d.limiter.pace())/100))
	}
}

// wait returns when no call is under way. It is called after run has returned.
func (d *dispatcher) wait() { d.running.Wait() }

// close ends the goroutines that are kept for calls.
func (d *dispatcher) close() { d.goroutines.close() }
