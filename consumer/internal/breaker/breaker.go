package breaker

import (
	"slices"
	"time"

	"convdel/schema"
)

const (
	// AllFail is how many conversations must have failed, with no success since, for all to fail.
	AllFail = 3
	// deniedMost is how many denied calls, with no success between, are taken for the service's own fault: each is a dead letter.
	deniedMost = 5
	// aloneAfter is how long memory may be full of a few conversations that fail before their failures count; aloneGap is the
	// longest time without one of these failures, for instance while others have room for a moment.
	aloneAfter = 3 * time.Minute
	aloneGap   = time.Minute
	// The first probe comes after probeFirst, each later one after twice as long as the one before, up to probeMost.
	probeFirst = time.Second
	probeMost  = 30 * time.Second
	// While the breaker is open, fetching pauses at fetchOpen pending conversations, and at fetchPerProbe more after each probe:
	// if all of those in memory always fail, there are others to probe with.
	fetchOpen     = 50
	fetchPerProbe = 20
)

// Breaker is the state. Make it with [New].
type Breaker struct {
	callTimeout time.Duration
	// open is nil while the breaker is closed; changes counts how often it has opened and closed.
	open    *Pause
	changes int
	// interval is the time from the last probe to the next; probing says that one is under way.
	interval time.Duration
	probing  bool
	// quiet is until when the API wants no call at all.
	quiet time.Time
	// denied counts the denied calls since the last success.
	denied int
	// witness is when the youngest call began that has been answered "deleted". A call that was under way when an outage began
	// is no witness for those that began after it.
	witness time.Time
	votes   votes
	// failing has the conversations that have failed since the breaker last changed, with no later witness; each with the time
	// at which its first failed call began.
	failing map[schema.Conversation]time.Time
	// aloneSince and lastAlone are when a call first and last failed while memory was full of a few conversations, with no longer
	// gap than aloneGap.
	aloneSince, lastAlone time.Time
	// probed are the events of the last probe, if it has failed.
	probed []*Attempts
}

// Pause says why the breaker is open.
type Pause struct {
	Reason Reason
	// Since is when it opened, NextProbe when the next probe may go; zero while one is under way.
	Since, NextProbe time.Time
	// Probes is how many probes have failed.
	Probes int
	// outage says that it has been an outage at some time: then only a success shows that it is over.
	outage bool
}

// New returns a closed breaker. callTimeout is how long a call may take.
func New(callTimeout time.Duration) *Breaker {
	return &Breaker{callTimeout: callTimeout, failing: map[schema.Conversation]time.Time{}}
}

// Open says why the breaker is open; ok is false if it is closed.
func (b *Breaker) Open() (p Pause, ok bool) {
	if b.open == nil {
		return Pause{}, false
	}
	p = *b.open
	p.NextProbe = b.due()
	if b.probing {
		p.NextProbe = time.Time{}
	}
	return p, true
}

// IsOpen says whether only probes may be called.
func (b *Breaker) IsOpen() bool { return b.open != nil }

// due is when the next probe may go, whatever has set it.
func (b *Breaker) due() time.Time {
	if b.quiet.After(b.open.NextProbe) {
		return b.quiet
	}
	return b.open.NextProbe
}

// Witness is when the youngest call began that has been answered "deleted"; zero if there is none.
func (b *Breaker) Witness() time.Time { return b.witness }

// Admission is whether a call may be made.
type Admission int

// The admissions.
const (
	// Go: any call may be made.
	Go Admission = iota
	// Probe: one call may be made. It has to end with [Breaker.Answered] or [Breaker.Abandon].
	Probe
	// Wait: no call may be made before a time, or before the breaker changes.
	Wait
)

// Admit says whether a call may be made at a time, and how long to wait for that: until then, or where that is zero, until the
// breaker changes. It hands out a probe once.
func (b *Breaker) Admit(now time.Time) (a Admission, until time.Time) {
	switch {
	case b.open == nil:
		return Go, time.Time{}
	case b.probing:
		return Wait, time.Time{}
	case now.Before(b.due()):
		return Wait, b.due()
	}
	b.probing = true
	return Probe, time.Time{}
}

// Abandon ends a probe that has got no answer.
func (b *Breaker) Abandon() { b.probing = false }

// Hurry makes the next probe due at once: a possible reason has been mended.
func (b *Breaker) Hurry(now time.Time) {
	if b.open != nil {
		b.interval = probeFirst
		b.open.NextProbe = now
	}
}

// MayFetch says whether further records are wanted where so many conversations are pending.
func (b *Breaker) MayFetch(pending int) bool {
	return b.open == nil || pending < fetchOpen+fetchPerProbe*b.open.Probes
}

// Begin notes that a call begins.
func (b *Breaker) Begin(now time.Time, probe bool) Call {
	return Call{Began: now, Probe: probe, change: b.changes}
}

// Answered rules on an answer.
func (b *Breaker) Answered(e Evidence, now time.Time) Ruling {
	if quiet := now.Add(e.Quiet); e.Quiet > 0 && quiet.After(b.quiet) {
		b.quiet = quiet
	}
	b.note(e, now)
	switch {
	case e.Call.Probe && b.open != nil:
		return b.afterProbe(e, now)
	case b.open != nil || e.Call.change != b.changes:
		return Ruling{Void: e.Kind.Failure() || e.Kind == Halted || e.Kind == Denied && b.open != nil}
	case e.Kind == Halted:
		return b.opens(Halt, now, true)
	case e.Kind == Denied:
		if b.denied >= deniedMost {
			return b.opens(NoPermission, now, false)
		}
		return Ruling{}
	}
	b.count(e, now)
	if e.Kind.Failure() && !b.alone(e, now) && (b.votes.mostFail(now) || b.allFail(now)) {
		return b.opens(Outage, now, true)
	}
	return Ruling{}
}

// note takes in what an answer says whenever its call began.
func (b *Breaker) note(e Evidence, now time.Time) {
	switch e.Kind {
	case Deleted:
		b.denied = 0
		if e.Call.Began.After(b.witness) {
			b.witness = e.Call.Began
			for c, began := range b.failing {
				if began.Before(b.witness) {
					delete(b.failing, c)
				}
			}
		}
	case Coded, Unreached:
		if e.Few && e.Full {
			if now.Sub(b.lastAlone) > aloneGap {
				b.aloneSince = now
			}
			b.lastAlone = now
		}
	case Denied:
		b.denied++
	case Refused, Throttled, Renewed, Halted:
	}
}

// alone says whether no witness can come: for long, memory has been full of a few conversations that fail.
func (b *Breaker) alone(e Evidence, now time.Time) bool {
	return e.Few && e.Full && now.Sub(b.aloneSince) >= aloneAfter
}

// count counts an answer for the rules by which the breaker opens for an outage.
func (b *Breaker) count(e Evidence, now time.Time) {
	if e.Kind.votes() && !e.Replay && !e.Standing.voted {
		e.Standing.voted = true
		b.votes.add(e.Kind.Failure(), now)
	}
	if e.Kind.Failure() && e.Standing.failed != b.changes+1 {
		e.Standing.failed = b.changes + 1
		if !e.Call.Began.Before(b.witness) {
			b.failing[e.Conversation] = e.Call.Began
		}
	}
}

// allFail says whether enough conversations have failed, with no success since the first of them, and that one long enough ago.
func (b *Breaker) allFail(now time.Time) bool {
	if len(b.failing) < AllFail {
		return false
	}
	for _, began := range b.failing {
		if now.Sub(began) >= b.callTimeout {
			return true
		}
	}
	return false
}

// afterProbe rules on the answer to a probe.
func (b *Breaker) afterProbe(e Evidence, now time.Time) Ruling {
	b.probing = false
	r := Ruling{Void: e.Kind.Failure() || e.Kind == Halted}
	was := b.open.Reason
	switch {
	case e.Kind == Denied && b.denied >= deniedMost:
		return b.deniedProbe(now)
	case was.overBy(e.Kind) && (e.Kind == Deleted || !b.open.outage), was == Outage && b.alone(e, now):
		b.close(e.Kind)
		r.Change = Closed
		return r
	case e.Kind == Renewed, e.Kind.Final(): // says nothing of an outage
		b.open.NextProbe = now
		return r
	}
	b.probeFailed(now)
	if b.open.Reason = was.after(e.Kind); b.open.Reason != was {
		b.open.outage = b.open.outage || b.open.Reason == Outage
		r.Change = OtherReason
	}
	return r
}

// deniedProbe rules on a probe that lacks the permission, as enough calls before it: it does not end its events.
func (b *Breaker) deniedProbe(now time.Time) Ruling {
	r := Ruling{Void: true}
	if b.open.Reason != NoPermission {
		b.open.Reason, r.Change = NoPermission, OtherReason
	}
	b.probeFailed(now)
	return r
}

// probeFailed spaces the next probe.
func (b *Breaker) probeFailed(now time.Time) {
	b.probed = nil
	b.open.Probes++
	b.interval = min(2*b.interval, probeMost)
	b.open.NextProbe = now.Add(b.interval)
}

// close closes the breaker. A success is the witness of the failed probe before it.
func (b *Breaker) close(k Kind) {
	if k == Deleted {
		for _, a := range b.probed {
			a.Counted++
		}
	}
	b.open = nil
	b.changed()
}

// opens opens the breaker.
func (b *Breaker) opens(reason Reason, now time.Time, void bool) Ruling {
	b.interval, b.probing = probeFirst, false
	b.open = &Pause{Reason: reason, Since: now, NextProbe: now.Add(probeFirst), outage: reason == Outage}
	b.changed()
	return Ruling{Void: void, Change: Opened}
}

func (b *Breaker) changed() {
	b.changes++
	b.votes = votes{}
	clear(b.failing)
	b.probed = nil
}

// Probed notes the events of a failed probe. It counts against them if the next probe is answered "deleted": it has a witness then,
// and an outage costs no more than one attempt of one conversation.
func (b *Breaker) Probed(events []*Attempts) { b.probed = events }

// Ended notes that an event has ended without another call: a failed probe does not count against it any more.
func (b *Breaker) Ended(a *Attempts) {
	b.probed = slices.DeleteFunc(b.probed, func(of *Attempts) bool { return of == a })
}

// Fail counts a failed call against an event, unless the ruling on it is void.
func (b *Breaker) Fail(e Evidence, a *Attempts, now time.Time) {
	switch {
	case b.alone(e, now):
		a.Counted++
	case e.Kind == Coded && e.Last && len(b.failing) >= AllFail: // an outage perhaps
	case e.Kind == Coded:
		a.Counted++
		a.coded++
		a.open = e.Call.Began
	default:
		a.unreached, a.open = true, e.Call.Began
	}
}

// Take looks for the witness of a waiting event's failed calls: the event is taken for a call. A failure without a code counts
// if it has a witness, and is forgotten otherwise.
func (b *Breaker) Take(a *Attempts) {
	if !a.open.IsZero() && b.witness.After(a.open) {
		b.settle(a)
	}
	a.unreached = false
}

// Forget looks for the witness of a waiting event's failed calls as well: the breaker has opened. All failures without a witness
// are forgotten.
func (b *Breaker) Forget(a *Attempts) {
	b.Take(a)
	a.Counted -= a.coded
	a.coded, a.open = 0, time.Time{}
}

// settle counts failed calls for good: they have a witness.
func (b *Breaker) settle(a *Attempts) {
	if a.unreached {
		a.Counted++
	}
	a.coded, a.open = 0, time.Time{}
}
