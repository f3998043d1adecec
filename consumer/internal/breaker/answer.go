package breaker

import (
	"time"

	"convdel/schema"
)

// Kind is what an answer says of the API.
type Kind int

// The kinds. The zero value is none of them.
const (
	// Deleted: the API has done its work.
	Deleted Kind = iota + 1
	// Refused: the API refuses this request for good.
	Refused
	// Denied: the API refuses this request for good, since the administrator lacks the permission.
	Denied
	// Coded: the API itself has answered with an error code that may pass.
	Coded
	// Unreached: the API itself has not answered: there was no answer, a timeout, an HTTP status, something other than JSON.
	Unreached
	// Throttled: the API takes no more calls at the moment.
	Throttled
	// Renewed: the signature had expired and has been replaced.
	Renewed
	// Halted: the API refuses the service's own credential, plan or configuration.
	Halted
)

// Failure says whether an answer of the kind is a failed attempt.
func (k Kind) Failure() bool { return k == Coded || k == Unreached }

// Final says whether an answer of the kind ends its events.
func (k Kind) Final() bool { return k == Deleted || k == Refused || k == Denied }

// votes says whether an answer of the kind tells how well the API is. A refusal does not: it may come from what stands before an
// API that is down.
func (k Kind) votes() bool { return k.Failure() || k == Deleted }

// Reason is why the breaker is open.
type Reason string

// The reasons.
const (
	// Halt: the API refuses the service's own credential, plan or configuration.
	Halt Reason = "halt"
	// Outage: most calls fail, or all do.
	Outage Reason = "outage"
	// NoPermission: one call after the other is denied for lack of the administrator's permission.
	NoPermission Reason = "denied"
)

// overBy says whether a probe's answer of the kind shows that the reason is over.
func (r Reason) overBy(k Kind) bool {
	switch k {
	case Deleted:
		return true
	case Refused, Coded, Denied: // the API has let the service in
		return r == Halt
	case Unreached, Throttled, Renewed, Halted:
	}
	return false
}

// after is the reason once a probe's answer of the kind has not ended it.
func (r Reason) after(k Kind) Reason {
	switch k {
	case Halted:
		return Halt
	case Coded, Unreached:
		return Outage
	case Deleted, Refused, Denied, Throttled, Renewed:
	}
	return r
}

// Call is a call that has been made. [Breaker.Begin] makes it.
type Call struct {
	// Began is when the call began.
	Began time.Time
	// Probe says that it is the probe of an open breaker.
	Probe bool
	// change is how often the breaker had changed by then.
	change int
}

// Standing is what is known of a pending conversation. The zero value is that of a new one; a conversation whose events have
// ended begins anew.
type Standing struct {
	voted bool
	// failed says since which change of the breaker the conversation has failed, counted from 1; 0 for none.
	failed int
}

// Attempts are the calls that count against an event. The zero value is that of a new one.
type Attempts struct {
	// Counted is how many failed calls count, those that may still be forgotten included.
	Counted int
	// open is when the last failed call without a witness began, zero for none; coded is how many of the counted ones have an
	// error code and no witness yet, unreached says that the last one has no code and does not count yet.
	open      time.Time
	coded     int
	unreached bool
}

// None says that no failed call counts, or may count yet.
func (a *Attempts) None() bool { return a.Counted == 0 && !a.unreached }

// Evidence is the answer to a call.
type Evidence struct {
	Call Call
	Kind Kind
	// Conversation names the conversation that was called; Standing is what is known of it, which the breaker updates.
	Conversation schema.Conversation
	Standing     *Standing
	// Replay says that all events of the call have been dead letters before.
	Replay bool
	// Last says that this failure would be the last attempt of one of the call's events.
	Last bool
	// Few says that fewer conversations are pending than it takes to tell that all fail, replays aside; Full that no further
	// event has room.
	Few, Full bool
	// Quiet is for how long the API wants no call at all; 0 if it does not say so.
	Quiet time.Duration
}

// Change is what an answer has done to the breaker.
type Change int

// The changes.
const (
	Unchanged Change = iota
	Opened
	Closed
	// OtherReason: the breaker stays open, for another reason than before.
	OtherReason
)

// Ruling is what follows from an answer.
type Ruling struct {
	// Void says that the answer counts neither for nor against its events: they are called again as if this call had not been
	// made.
	Void   bool
	Change Change
}
