package breaker

import (
	"slices"
	"time"

	"convdel/schema"
)

// heard is an answer as a naive observer remembers it.
type heard struct {
	e  Evidence
	at time.Time
	// life numbers the conversation's time as a pending one: its standing begins anew with each.
	life int
	// period is how often the breaker had changed by then. counts says that the answer was to a call of that period, and that
	// the breaker was closed.
	period int
	counts bool
}

// naive is the breaker as doc.go says it, looked up in the list of all answers.
type naive struct {
	now     time.Time
	answers []heard
	period  int
	// reason is empty while it is closed. outage says that it has been Outage since it opened.
	reason  Reason
	outage  bool
	since   time.Time
	next    time.Time
	quiet   time.Time
	probing bool
	// pauses are how long to wait after each failed probe; probes counts these.
	pauses []time.Duration
	probes int
	// probed are the events of the last failed probe, if nothing has been answered since that tells of the outage.
	probed []*failures
	fired  map[string]int
}

// failures are an event's failed calls, as far as they count or may yet count. last is when the last one began.
type failures struct {
	calls []failedCall
	last  time.Time
}

// failedCall is a failed call: sure says that it counts for good, coded that it counts until it is forgotten.
type failedCall struct{ coded, sure bool }

func (n *naive) fires(rule string) { n.fired[rule]++ }

// witnessed says whether a call that began later than a time has been answered "deleted".
func (n *naive) witnessed(began time.Time) bool {
	return slices.ContainsFunc(n.answers, func(h heard) bool { return h.e.Kind == Deleted && h.e.Call.Began.After(began) })
}

// mostFail: within ten tenths of the window, 90 % of at least 100 votes are failures, or all of at least 20. Every life votes once.
func (n *naive) mostFail() bool {
	all, failed := 0, 0
	voted := map[int]bool{}
	for _, h := range n.answers {
		k := h.e.Kind
		if !h.counts || h.e.Replay || voted[h.life] || k != Deleted && k != Coded && k != Unreached {
			continue
		}
		voted[h.life] = true
		if h.period == n.period && h.at.UnixNano()/1e9 > n.now.UnixNano()/1e9-10 {
			all++
			if k != Deleted {
				failed++
			}
		}
	}
	return all >= 20 && failed == all || all >= 100 && 10*failed >= 9*all
}

// failing is the conversations that have failed since the breaker changed, without a later witness, each with its first failure. Of a
// conversation that became pending again its present life counts.
func (n *naive) failing() (first []heard) {
	known := map[schema.Conversation]heard{}
	for _, h := range n.answers {
		if !h.counts || h.period != n.period || h.e.Kind != Coded && h.e.Kind != Unreached {
			continue
		}
		if was, ok := known[h.e.Conversation]; !ok || was.life != h.life {
			known[h.e.Conversation] = h
		}
	}
	for _, h := range known {
		if !n.witnessed(h.e.Call.Began) {
			first = append(first, h)
		}
	}
	return first
}

// allFail: three conversations are failing, and the first failure is five seconds old.
func (n *naive) allFail() bool {
	failing := n.failing()
	old := slices.ContainsFunc(failing, func(h heard) bool { return n.now.Sub(h.e.Call.Began) >= callTimeout })
	return len(failing) >= 3 && old
}

// alone: for three minutes, with no gap of more than one, calls have failed while memory was full of a few conversations.
func (n *naive) alone(e Evidence) bool {
	since := n.now
	for _, h := range slices.Backward(n.answers) {
		if !h.e.Few || !h.e.Full {
			continue
		}
		if since.Sub(h.at) > time.Minute {
			break
		}
		since = h.at
	}
	return e.Few && e.Full && n.now.Sub(since) >= 3*time.Minute
}

// denied counts the denied calls since one was deleted.
func (n *naive) denied() (denied int) {
	for _, h := range n.answers {
		if h.e.Kind == Deleted {
			denied = 0
		}
		if h.e.Kind == Denied {
			denied++
		}
	}
	return denied
}

// answered is the ruling on an answer.
func (n *naive) answered(h heard) Ruling {
	h.at, h.period = n.now, n.period
	k := h.e.Kind
	probe := h.e.Call.Probe && n.reason != ""
	h.counts = !probe && n.reason == "" && h.e.Call.change == n.period
	n.answers = append(n.answers, h)
	if h.e.Quiet > 0 {
		n.quiet = slices.MaxFunc([]time.Time{n.quiet, n.now.Add(h.e.Quiet)}, time.Time.Compare)
	}
	failure := k == Coded || k == Unreached
	switch {
	case probe:
		return n.probeAnswered(h.e)
	case !h.counts:
		n.fires("late")
		return Ruling{Void: failure || k == Halted || k == Denied && n.reason != ""}
	case k == Halted:
		return n.opens(Halt, true)
	case k == Denied && n.denied() >= 5:
		return n.opens(NoPermission, false)
	case failure && n.alone(h.e):
		n.fires("alone")
	case failure && n.mostFail():
		n.fires("most fail")
		return n.opens(Outage, true)
	case failure && n.allFail():
		n.fires("all fail")
		return n.opens(Outage, true)
	}
	return Ruling{}
}

func (n *naive) opens(r Reason, void bool) Ruling {
	n.fires("opens: " + string(r))
	n.changes()
	n.reason, n.outage, n.since, n.next, n.probes = r, r == Outage, n.now, n.now.Add(time.Second), 0
	n.pauses = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}
	return Ruling{Void: void, Change: Opened}
}

func (n *naive) changes() {
	n.period++
	n.probed, n.probing = nil, false
}

// over says whether a probe's answer shows that the pause's reason is over.
func (n *naive) over(e Evidence) bool {
	if n.reason == Outage && n.alone(e) && e.Kind.Failure() {
		return true
	}
	letIn := e.Kind == Denied || e.Kind == Refused || e.Kind == Coded
	return e.Kind == Deleted || letIn && n.reason == Halt && !n.outage
}

func (n *naive) probeAnswered(e Evidence) Ruling {
	n.probing = false
	k := e.Kind
	forbidden := k == Denied && n.denied() >= 5
	void := k == Coded || k == Unreached || k == Halted || forbidden
	switch {
	case forbidden:
	case n.over(e):
		n.fires("closes: " + string(n.reason))
		if n.alone(e) {
			n.fires("closes, being alone")
		}
		if k == Deleted {
			for _, a := range n.probed {
				n.fires("a failed probe counts")
				a.calls = append(a.calls, failedCall{sure: true})
			}
		}
		n.changes()
		n.reason = ""
		return Ruling{Void: void, Change: Closed}
	case k == Renewed, k == Refused, k == Denied:
		n.next = n.now
		return Ruling{}
	}
	n.probed = nil
	n.probes++
	n.next = n.now.Add(n.pauses[0])
	if len(n.pauses) > 1 {
		n.pauses = n.pauses[1:]
	}
	was := n.reason
	if k == Halted {
		n.reason = Halt
	}
	if forbidden {
		n.reason = NoPermission
	}
	if k.Failure() {
		n.reason, n.outage = Outage, true
	}
	if n.reason == was {
		return Ruling{Void: void}
	}
	n.fires("another reason")
	return Ruling{Void: void, Change: OtherReason}
}

// admit says whether a call may be made.
func (n *naive) admit() (Admission, time.Time) {
	next := n.next
	if n.quiet.After(next) {
		next = n.quiet
	}
	switch {
	case n.reason == "":
		return Go, time.Time{}
	case n.probing:
		return Wait, time.Time{}
	case n.now.Before(next):
		return Wait, next
	}
	n.probing = true
	return Probe, time.Time{}
}

func (n *naive) hurry() {
	if n.reason != "" {
		n.next = n.now
		n.pauses = []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second}
	}
}

// taken looks for the witness of an event's failed calls. A success later than the last of them is the witness of all; a call without
// a code that has none is forgotten.
func (n *naive) taken(a *failures) {
	witness := !a.last.IsZero() && n.witnessed(a.last)
	for i := range a.calls {
		if c := &a.calls[i]; witness && !c.sure {
			n.fires("a witness")
			c.sure = true
		}
	}
	a.calls = slices.DeleteFunc(a.calls, func(c failedCall) bool { return !c.sure && !c.coded })
}

// forgets is what happens to a waiting event when the breaker opens.
func (n *naive) forgets(a *failures) {
	n.taken(a)
	a.calls = slices.DeleteFunc(a.calls, func(c failedCall) bool {
		if !c.sure {
			n.fires("a failure is forgotten")
		}
		return !c.sure
	})
}

// failed notes a failed call that is not void.
func (n *naive) failed(e Evidence, a *failures) {
	alone := n.alone(e)
	if !alone && e.Kind == Coded && e.Last && len(n.failing()) >= 3 {
		n.fires("a last attempt is not counted")
		return
	}
	a.calls = append(a.calls, failedCall{coded: e.Kind == Coded, sure: alone})
	if !alone {
		a.last = e.Call.Began
	}
}

// counted is how many failed calls count, and none says that none does or may.
func (a *failures) counted() (counted int, none bool) {
	for _, c := range a.calls {
		if c.sure || c.coded {
			counted++
		}
	}
	return counted, len(a.calls) == 0
}
