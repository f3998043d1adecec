package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"convdel/consumer/internal/breaker"
)

// PauseReason says why no calls are made.
type PauseReason string

// The reasons for a pause.
const (
	// PauseHalt: the API refuses the service's own credential, plan or configuration.
	PauseHalt = PauseReason(breaker.Halt)
	// PauseOutage: most calls fail, or all do.
	PauseOutage = PauseReason(breaker.Outage)
	// PauseDenied: one call after the other lacks the administrator's permission.
	PauseDenied = PauseReason(breaker.NoPermission)
	// PauseLists: accounts' lists of conversations can't be read. Only events that need one wait.
	PauseLists PauseReason = "lists"
)

// Pause says why the consumer makes no calls, and what it does about it.
type Pause struct {
	Reason PauseReason
	// Since is when it began, NextProbe when the next call is tried; zero while one is under way.
	Since, NextProbe time.Time
	// LastError is the last answer's, free of secrets. Err is the error of which it is the text, nil if there is none: [WithoutAccounts] shows
	// it without the accounts that it may name.
	LastError string
	Err       error
}

// breakerGuard keeps the breaker: it has the lock, the clock, the log and the metrics. The queue takes the guard's lock while
// it holds its own, never the other way round.
type breakerGuard struct {
	log     *slog.Logger
	metrics *Metrics
	// closed is called when the breaker closes.
	closed func()
	guarded

	mu      sync.Mutex
	breaker *breaker.Breaker
	// lastError is the one that the breaker has opened for, or that of the last probe.
	lastError error
	// changed is closed and replaced when those that wait must look again.
	changed chan struct{}
}

func newBreakerGuard(cfg Config, of guarded, closed func()) *breakerGuard {
	return &breakerGuard{
		log: cfg.Logger, metrics: cfg.Metrics, closed: closed, guarded: of,
		breaker: breaker.New(cfg.CallTimeout), changed: make(chan struct{}),
	}
}

// paused says why no calls are made, nil if they are.
func (g *breakerGuard) paused() *Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pausedLocked()
}

func (g *breakerGuard) pausedLocked() *Pause {
	p, open := g.breaker.Open()
	if !open {
		return nil
	}
	return &Pause{Reason: g.named(p.Reason), Since: p.Since, NextProbe: p.NextProbe, LastError: textOf(g.lastError), Err: g.lastError}
}

// textOf is the text of an error; empty for nil.
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// isOpen says whether only probes may be called.
func (g *breakerGuard) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.IsOpen()
}

// await returns when a call may be made: any call, or the probe, which has to end with answered or abandon.
func (g *breakerGuard) await(ctx context.Context) (probe bool, err error) {
	for ctx.Err() == nil {
		g.mu.Lock()
		admission, until := g.breaker.Admit(time.Now())
		changed := g.changed
		g.mu.Unlock()
		if admission != breaker.Wait {
			return admission == breaker.Probe, nil
		}
		_ = wait(ctx, until, changed) // the loop looks at ctx
	}
	return false, ctx.Err()
}

// lastSuccess is when the youngest call began that has been answered "deleted"; zero if there is none.
func (g *breakerGuard) lastSuccess() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.breaker.Witness()
}

// abandon ends a probe that has got no answer.
func (g *breakerGuard) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.Abandon()
	g.wakeLocked()
}

// hurry makes the next probe at once: a possible reason has been mended.
func (g *breakerGuard) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.Hurry(time.Now())
	g.wakeLocked()
}

// begin notes that a call begins, and looks for the witness of its events' failed calls.
func (g *breakerGuard) begin(probe bool, events []*event) breaker.Call {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, ev := range events {
		g.breaker.Take(g.attempts(ev))
	}
	return g.breaker.Begin(time.Now(), probe)
}

// answered rules on an answer a, and counts a failed attempt against the events of its call unless that is void. A throttled answer
// never counts against them, whatever it says of the API.
func (g *breakerGuard) answered(e breaker.Evidence, a Answer, events []*event) breaker.Ruling {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, _ := g.breaker.Open()
	now := time.Now()
	ruling := g.breaker.Answered(e, now)
	if e.Kind.Failure() && a.Verdict != Throttled {
		g.failedLocked(e, ruling, events, now)
	}
	if ruling.Change == breaker.Opened || e.Call.Probe {
		g.lastError = a.Err
	}
	if e.Call.Probe || g.breaker.IsOpen() { // it has changed, or fewer are pending: fetching looks again
		g.wakeLocked()
	}
	g.tellLocked(ruling.Change, before)
	return ruling
}

// failedLocked counts a failed call against its events, as far as the ruling lets it.
func (g *breakerGuard) failedLocked(e breaker.Evidence, ruling breaker.Ruling, events []*event, now time.Time) {
	if !ruling.Void {
		for _, ev := range events {
			g.breaker.Fail(e, g.attempts(ev), now)
		}
		return
	}
	if !e.Call.Probe || !g.breaker.IsOpen() {
		return
	}
	probed := make([]*breaker.Attempts, len(events))
	for i, ev := range events {
		probed[i] = g.attempts(ev)
	}
	g.breaker.Probed(probed)
}

// failed counts a failure against an event whose call has shown nothing of the API. It counts once there is a witness.
func (g *breakerGuard) failed(e breaker.Evidence, ev *event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.breaker.IsOpen() {
		g.breaker.Fail(e, g.attempts(ev), time.Now())
	}
}

// forget has waiting events' failed calls counted or forgotten: the breaker has opened.
func (g *breakerGuard) forget(events []*event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, ev := range events {
		g.breaker.Forget(g.attempts(ev))
	}
}

// ended notes that an event has ended without another call.
func (g *breakerGuard) ended(ev *event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.breaker.Ended(g.attempts(ev))
}

func (g *breakerGuard) wakeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// awaitFetch holds fetching back while the breaker is open and enough conversations are pending.
func (g *breakerGuard) awaitFetch(ctx context.Context, pending func() int) error {
	for {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		n := pending()
		g.mu.Lock()
		wanted := g.breaker.MayFetch(n)
		g.mu.Unlock()
		if wanted {
			return ctx.Err()
		}
		if err := wait(ctx, time.Time{}, changed); err != nil {
			return err
		}
	}
}

// kindOf sorts an answer for the breaker. It is the one place that does.
func kindOf(a Answer) breaker.Kind {
	switch a.Verdict {
	case Deleted:
		return breaker.Deleted
	case Permanent:
		if a.Denied {
			return breaker.Denied
		}
		return breaker.Refused
	case Throttled:
		if a.Unavailable {
			return breaker.Unreached
		}
		return breaker.Throttled
	case Again:
		return breaker.Renewed
	case Halt:
		return breaker.Halted
	case Transient:
		if a.Code != 0 {
			return breaker.Coded
		}
	}
	return breaker.Unreached
}
