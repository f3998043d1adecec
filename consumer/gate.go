package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"convdel/schema"
)

const (
	// deniedInARow is how many answers of missing permission, with no success between, are taken for the
	// service's own: each of them is a dead letter.
	deniedInARow = 5
	// spentInARow is how many conversations may use up their attempts on internal errors of the API one after the other,
	// with no success between: this one and what follows is kept, since it is an outage in little traffic.
	spentInARow = 3
	probeFirst  = time.Second
	probeMost   = 30 * time.Second
	// While the gate is closed fetching pauses at fetchWhileClosed waiting conversations, and at
	// fetchPerProbe more after each probe: should all of those in memory be poisoned, there are
	// others to probe with.
	fetchWhileClosed = 50
	fetchPerProbe    = 20
	// patientProbes is how many probes must have failed before a few conversations that leave no room for others are
	// taken for what fails, rather than the API.
	patientProbes = 5
)

// PauseReason says why no calls are made.
type PauseReason string

// The reasons for a pause.
const (
	// PauseHalt: the API refuses the service's own credential, plan or configuration.
	PauseHalt PauseReason = "halt"
	// PauseOutage: nearly all calls fail, or none has succeeded for as long as an event was tried.
	PauseOutage PauseReason = "outage"
	// PauseDenied: one call after the other lacks the administrator's permission.
	PauseDenied PauseReason = "denied"
)

// Pause says why the consumer makes no calls, and what it does about it.
type Pause struct {
	Reason PauseReason
	// Since is when it began, NextProbe when the next call is tried; zero while one is under way.
	Since, NextProbe time.Time
	// LastError is the last answer's, free of secrets.
	LastError string
}

// gate stands in front of every call. It closes when a fault is not the event's own; then one call at a
// time, the probe, finds out when that is over. What failed meanwhile has used up nothing.
type gate struct {
	log     *slog.Logger
	metrics *Metrics
	// reopened is called when it opens: the pace is to rise again slowly.
	reopened func()

	mu       sync.Mutex
	pause    *Pause // nil: open
	interval time.Duration
	// quiet is until when the API wants no call at all.
	quiet   time.Time
	probing bool
	probes  int
	// denied and spent count in a row, see deniedInARow and spentInARow.
	denied, spent int
	spentSince    time.Time // when the first of those in a row was given up
	// gaveUp is when the gate was last opened for want of anybody to tell an outage by: who failed before may be blamed.
	gaveUp time.Time
	// proof is when the youngest call began that the API did its work for. Not when it was answered: a call that was under
	// way when an outage began proves nothing against those that were caught by it.
	proof   time.Time
	recent  recent
	changed chan struct{}
}

func newGate(log *slog.Logger, m *Metrics, reopened func()) *gate {
	return &gate{log: log, metrics: m, reopened: reopened, changed: make(chan struct{})}
}

// Paused returns why no calls are made, nil if they are.
func (g *gate) paused() *Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pause == nil {
		return nil
	}
	p := *g.pause
	p.NextProbe = g.dueLocked()
	if g.probing {
		p.NextProbe = time.Time{}
	}
	return &p
}

// open says whether calls may be made.
func (g *gate) open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pause == nil
}

// await returns when a call may be made: any if the gate is open, or the probe, one at a time. Who has
// been given the probe must end it with answered or abandoned.
func (g *gate) await(ctx context.Context) (probe bool, err error) {
	for {
		g.mu.Lock()
		if g.pause == nil {
			g.mu.Unlock()
			return false, ctx.Err()
		}
		due, changed := g.dueLocked(), g.changed
		if g.probing {
			due = time.Time{}
		} else if !time.Now().Before(due) && ctx.Err() == nil {
			g.probing = true
			g.mu.Unlock()
			return true, nil
		}
		g.mu.Unlock()
		if err := wait(ctx, due, changed); err != nil {
			return false, err
		}
	}
}

// dueLocked is when the next probe may be made: whatever has set it, not before the API wants calls again.
func (g *gate) dueLocked() time.Time {
	if g.quiet.After(g.pause.NextProbe) {
		return g.quiet
	}
	return g.pause.NextProbe
}

// abandoned ends a probe without an answer.
func (g *gate) abandoned() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	g.wakeLocked()
}

// hurry makes the next probe at once: something that may have been the fault has changed.
func (g *gate) hurry() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pause != nil {
		g.interval = probeFirst
		g.pause.NextProbe = time.Now()
		g.wakeLocked()
	}
}

// alive says whether an answer shows that the API does its work for us.
func alive(a Answer) bool {
	return a.Verdict == Deleted || a.Verdict == Permanent && !a.Denied
}

// answered is told of every answer, to a call that began at started. It says whether the answer counts for its events:
// not if the gate is closed, by this answer or already, unless it ends them. failing is since when the conversation's own
// calls have failed, zero if they have not; replay says that its events have been dead letters before.
func (g *gate) answered(conversation schema.Conversation, a Answer, started time.Time, probe, replay bool, failing time.Time) (counts bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if a.Quiet > 0 {
		g.quiet = now.Add(a.Quiet)
	}
	if alive(a) {
		g.denied = 0
	}
	if a.Verdict == Deleted { // a refusal of bad input may come from what stands before an API that is down
		if started.After(g.spentSince) { // not one that was under way before
			g.spent = 0
		}
		if started.After(g.proof) {
			g.proof = started
		}
	}
	switch {
	case probe:
		over := g.pause != nil && overBy(g.pause.Reason, a)
		g.probedLocked(a, over, now)
		return over || alive(a) || a.Verdict == Again
	case g.pause != nil:
		return alive(a) || a.Verdict == Again
	case a.Verdict == Halt:
		g.closeLocked(PauseHalt, a.Err, now)
		return false
	case a.Denied:
		if g.denied++; g.denied >= deniedInARow {
			g.closeLocked(PauseDenied, a.Err, now)
		}
		return true
	}
	if g.suspectLocked(failing) || replay && a.Outage {
		return true // it has failed while others succeeded, or before: that says nothing of the API
	}
	if a.Verdict == Throttled || a.Verdict == Again {
		return true // neither done nor failed
	}
	g.recent.add(conversation, a.Outage, now)
	if a.Outage && g.recent.outage(now) {
		g.closeLocked(PauseOutage, a.Err, now)
		return false
	}
	return true
}

// patient says whether an outage has been probed for in vain for long.
func (g *gate) patient() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.probes >= patientProbes
}

// suspect says whether a conversation whose calls have failed since failing is to blame for it: others
// that were called after it have succeeded, and not long ago.
func (g *gate) suspect(failing time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.suspectLocked(failing)
}

func (g *gate) suspectLocked(failing time.Time) bool {
	return !failing.IsZero() && g.proof.After(failing) && time.Since(g.proof) < outageWindow
}

// giveUp opens the gate where an outage can't be told from what is left: only conversations that have
// failed while others succeeded, or a house full of a few, or of replays. They use up their attempts, then.
func (g *gate) giveUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
	if g.pause != nil {
		g.gaveUp = time.Now()
		g.openLocked(g.gaveUp)
	}
}

// proven is when the youngest call began that the API is known by now to have done its work for.
func (g *gate) proven() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.proof
}

// blames says whether a conversation that has been failing since then, and has used up the attempts of an event, may be
// blamed for that, given when its last call began and what was proven by then. It may not where nothing that was called
// meanwhile has succeeded and either the API could not be reached at all or several others have just fared likewise: the
// traffic may be too little to tell an outage by. Then the gate closes, unless a later call shows that it is over already.
// What proves nothing is a call that was under way at first and was answered just before an outage began.
func (g *gate) blames(failing, called, proven time.Time, a Answer) bool {
	if !a.Outage || proven.After(failing) {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.proof.After(called):
		return false // the API came back while the last call hung
	case failing.Before(g.gaveUp):
		return true
	}
	if a.Code != 0 {
		if g.spent++; g.spent == 1 {
			g.spentSince = time.Now()
		}
		if g.spent < spentInARow {
			return true
		}
	}
	if g.pause == nil {
		g.closeLocked(PauseOutage, a.Err, time.Now())
	}
	return false
}

// overBy says whether a probe's answer shows that what a pause is about is over. The probe itself may have failed: whoever
// is told that an account does not exist has been let in.
func overBy(reason PauseReason, a Answer) bool {
	judged := a.Verdict == Permanent || a.Verdict == Transient && a.Code != 0 // by the API, not by something on the way to it
	switch reason {
	case PauseHalt:
		return alive(a) || judged
	case PauseDenied:
		return alive(a) || judged && !a.Denied
	case PauseOutage:
		return alive(a) || judged && !a.Outage
	}
	return alive(a)
}

func (g *gate) probedLocked(a Answer, over bool, now time.Time) {
	g.probing = false
	if g.pause == nil {
		return
	}
	switch {
	case over:
		g.openLocked(now)
		return
	case a.Verdict == Again:
		g.pause.NextProbe = now
		g.wakeLocked()
		return
	}
	g.probes++
	g.interval = min(2*g.interval, probeMost)
	g.pause.NextProbe = now.Add(g.interval)
	if a.Err != nil {
		g.pause.LastError = a.Err.Error()
	}
	g.wakeLocked()
}

func (g *gate) closeLocked(reason PauseReason, err error, now time.Time) {
	g.interval, g.probes = probeFirst, 0
	g.pause = &Pause{Reason: reason, Since: now, NextProbe: now.Add(probeFirst)}
	if err != nil {
		g.pause.LastError = err.Error()
	}
	g.metrics.pausedFor(reason, true)
	g.wakeLocked()
	g.log.Error("calls paused: the fault is not the events' own; probing until it is over",
		slog.String("reason", string(reason)), slog.String("error", g.pause.LastError))
}

func (g *gate) openLocked(now time.Time) {
	was := g.pause
	g.pause, g.denied = nil, 0
	g.recent = recent{}
	g.metrics.pausedFor(was.Reason, false)
	g.wakeLocked()
	g.reopened()
	g.log.Info("calls resumed", slog.String("reason", string(was.Reason)),
		slog.Duration("paused_for", now.Sub(was.Since).Round(time.Millisecond)), slog.Int("failed_probes", g.probes))
}

func (g *gate) wakeLocked() {
	close(g.changed)
	g.changed = make(chan struct{})
}

// awaitFetch holds fetching back while the gate is closed and enough conversations wait.
func (g *gate) awaitFetch(ctx context.Context, waiting func() int) error {
	for {
		n := waiting()
		g.mu.Lock()
		free := g.pause == nil || n < fetchWhileClosed+fetchPerProbe*g.probes
		changed := g.changed
		g.mu.Unlock()
		if free {
			return ctx.Err()
		}
		if err := wait(ctx, time.Time{}, changed); err != nil {
			return err
		}
	}
}
