package evidence

import (
	"time"

	"convdel/schema"
)

// These are the notes of rulings.
const (
	noteInferred       = "inferred: the offset has ended, and there is neither an outcome nor a dead letter"
	noteNoRecord       = "its record is no longer in the topic, so only the evidence itself says to which conversation it belongs"
	noteSkipped        = "another program than the service has committed the offset, so the event may never have been executed"
	noteLost           = "its record is gone, and nothing says whether it was executed before"
	noteForgotten      = "the record is no event, and its dead letter is gone: settled so long ago that the tombstone is gone, or lost"
	noteUnreadable     = "its batch can't be read, and no dead letter stands for it"
	noteAbsent         = "the topic has no record there: compaction has removed it, or the offset is a transaction's"
	noteBeyond         = "the topic has no such record: its partition ends before it"
	noteOutcomesHidden = "its offset has ended; not all outcomes can be read yet, since a transaction is open in their topic"
	noteLettersHidden  = "its offset has ended; not all dead letters can be read yet, since a transaction is open in their topic"
	noteLettersUnread  = "its offset has ended, there is no outcome, and a part of the dead letters can't be read"
	noteSettled        = "settled by a program that does not say how"
	noteNoReplay       = "it was replayed, and the record of the replay is not found"
	noteNoOutcome      = "it has a dead letter, and its outcome is not recorded yet: until then the service may execute it again"
	noteLetterOpen     = "a replay of it was deleted; its dead letter is still open"
)

// rule weighs the evidence of an event. Its replays have been ruled on.
func (e *Event) rule() Ruling {
	if o := e.last(func(k schema.OutcomeKind) bool { return k == schema.OutcomeDeleted }); o != nil {
		return e.byOutcome(o)
	}
	if r, ok := e.deletedAgain(); ok {
		return r
	}
	last := e.last(func(schema.OutcomeKind) bool { return true })
	switch {
	case e.Settled != nil && (last == nil || !last.Kind.Settles()):
		return e.byTombstone()
	case last == nil && e.Letter != nil && e.awaitsOutcome():
		return Ruling{Record: e.ID}
	case last == nil && e.Letter != nil:
		return e.byLetter()
	case last == nil && e.replaced && len(e.Replays) > 0:
		return e.replayed("")
	case last == nil:
		return e.byOffset()
	case last.Kind == schema.OutcomeReplayed:
		return e.replayed(last.By)
	}
	return e.byOutcome(last)
}

// last returns the latest outcome of some kinds. Of two at the same time the settlement is the later one.
func (e *Event) last(of func(schema.OutcomeKind) bool) *schema.Outcome {
	var last *schema.Outcome
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if of(o.Kind) && (last == nil || o.Ended.After(last.Ended) || o.Ended.Equal(last.Ended) && o.Kind.Settles()) {
			last = o
		}
	}
	return last
}

func (e *Event) byOutcome(o *schema.Outcome) Ruling {
	e.noteSource()
	return Ruling{
		How: How(o.Kind), Code: o.Code, Attempts: o.Attempts, Time: o.Ended, By: o.By, Reason: o.Reason,
		Record: e.ID, Basis: ByOutcome, Proven: true,
	}
}

func (e *Event) byLetter() Ruling {
	e.noteSource()
	return Ruling{
		How: How(e.Letter.Class), Code: e.Letter.Code, Attempts: e.Letter.Attempts, Time: e.Letter.LastAttempt,
		Record: e.ID, Basis: ByLetter, Proven: true,
	}
}

// awaitsOutcome says whether the event of a dead letter has not ended, or its outcome may not be seen yet. It notes why. A service that records outcomes
// has not ended an event before that. If it dies in between, or loses the partition, the event is executed again, and may be deleted. An event
// whose record is gone is not executed again.
func (e *Event) awaitsOutcome() bool {
	switch {
	case e.Letter.OutcomeTopic == "" || e.Source == Removed || e.Source == Absent || e.Source == Beyond:
		return false
	case !e.committed():
		e.note(noteNoOutcome)
		return true
	case e.outcomesHidden:
		e.note(noteOutcomesHidden)
		return true
	}
	return false
}

func (e *Event) byTombstone() Ruling {
	s := e.Settled
	if s.Reason == "" && (s.By != "" || len(e.Replays) > 0) {
		return e.replayed(s.By)
	}
	e.noteSource()
	r := Ruling{How: discarded, Time: s.At, By: s.By, Reason: s.Reason, Record: e.ID, Basis: ByTombstone, Proven: true}
	if s.Reason == "" {
		e.note(noteSettled)
		r.How, r.Proven = Unknown, false
	}
	return r
}

// replayMargin is by how much the clocks of two replicas may lie apart when a replay ends soon after the event that it replays.
const replayMargin = time.Minute

// deletedAgain returns the ruling of a replay that was deleted, whatever has become of the event's own record. A replay is made of a dead
// letter. So a record that has ended before the event had one is no replay of it, whatever its headers claim.
func (e *Event) deletedAgain() (Ruling, bool) {
	if !e.wasOver() {
		return Ruling{}, false
	}
	first := e.firstEnd()
	for _, again := range e.Replays {
		at := again.Ruling.Time
		if at.IsZero() {
			at = again.Published
		}
		if !again.Ruling.Deleted() || !at.IsZero() && at.Before(first.Add(-replayMargin)) {
			continue
		}
		if e.Letter != nil {
			e.note(noteLetterOpen)
		}
		r := again.Ruling
		if by := e.replayedBy(); by != "" {
			r.By = by
		}
		e.takeNotes(again)
		return r, true
	}
	return Ruling{}, false
}

// wasOver says whether anything but its replays shows that the event has ended, if only as a dead letter.
func (e *Event) wasOver() bool {
	return len(e.Outcomes) > 0 || e.Letter != nil || e.Settled != nil || e.replaced || e.committed()
}

// firstEnd returns when the event had ended, at the latest; if that is not known, when it was published. It is zero if neither is.
func (e *Event) firstEnd() time.Time {
	at := time.Time{}
	take := func(t time.Time) {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	for _, o := range e.Outcomes {
		take(o.Ended)
	}
	if e.Letter != nil {
		take(e.Letter.LastAttempt)
	}
	if e.Settled != nil {
		take(e.Settled.At)
	}
	if at.IsZero() {
		return e.Published
	}
	return at
}

// replayed rules on an event that has ended only if all of its replays have.
func (e *Event) replayed(by string) Ruling {
	if len(e.Replays) == 0 {
		e.note(noteNoReplay)
		return Ruling{How: Unknown, By: by, Record: e.ID, Basis: ByTombstone}
	}
	var latest *Event
	for _, again := range e.Replays {
		e.takeNotes(again)
		if !again.Ruling.Final() {
			return Ruling{Record: again.Ruling.Record}
		}
		if latest == nil || again.Ruling.Time.After(latest.Ruling.Time) {
			latest = again
		}
	}
	r := latest.Ruling
	if r.By == "" {
		r.By = by
	}
	return r
}

// replayedBy names whoever has replayed the event.
func (e *Event) replayedBy() string {
	if o := e.last(func(k schema.OutcomeKind) bool { return k == schema.OutcomeReplayed }); o != nil {
		return o.By
	}
	if e.Settled != nil && e.Settled.Reason == "" {
		return e.Settled.By
	}
	return ""
}

// wasReplayed says whether the event's dead letter was replayed, or settled nobody knows how.
func (e *Event) wasReplayed() bool {
	replay := e.last(func(k schema.OutcomeKind) bool { return k == schema.OutcomeReplayed })
	return replay != nil || e.Settled != nil && e.Settled.Reason == ""
}

// byOffset rules where there is neither an outcome nor a dead letter. What the offset says counts only once the dead letters were read
// after it.
func (e *Event) byOffset() Ruling {
	pending := Ruling{Record: e.ID}
	if !e.letters {
		if e.unread && e.committed() {
			e.note(noteLettersHidden)
		}
		return pending
	}
	switch {
	case e.Source == Absent:
		e.note(noteAbsent)
		return Ruling{How: None, Record: e.ID, Basis: ByRecord, Proven: true}
	case e.Source == Beyond:
		e.note(noteBeyond)
		return Ruling{How: None, Record: e.ID, Basis: ByRecord, Proven: true}
	case !e.committed():
		return pending
	case e.outcomesHidden:
		e.note(noteOutcomesHidden)
		return pending
	}
	unknown := Ruling{How: Unknown, Record: e.ID, Basis: ByOffset}
	switch {
	case e.Commit == CommitByOther:
		e.note(noteSkipped)
	case e.Source == Removed:
		e.note(noteLost)
	case e.Source == Unreadable:
		e.note(noteUnreadable)
	case e.Source == Hidden:
		return pending // an offset behind an open transaction can't have ended: another log's
	case e.unread:
		e.note(noteLettersUnread)
	case e.Event == nil:
		e.note(noteForgotten)
	default:
		e.note(noteInferred)
		return Ruling{How: deleted, Record: e.ID, Basis: ByOffset}
	}
	return unknown
}

// needsLetters says whether nothing but the dead letters can tell more of a pending event now.
func (e *Event) needsLetters() bool {
	for _, again := range e.Replays {
		if again.Ruling.Record == e.Ruling.Record {
			return again.needsLetters()
		}
	}
	if e.letters || e.replaced || len(e.Outcomes) > 0 {
		return false
	}
	return e.committed() || e.Source == Absent || e.Source == Beyond
}

// noteSource notes that the record itself can't be looked at.
func (e *Event) noteSource() {
	if e.Source != Present {
		e.note(noteNoRecord)
	}
}

func (e *Event) takeNotes(of *Event) {
	for _, text := range of.Notes {
		e.note(of.ID + ": " + text)
	}
}
