package sim

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

// told is a record of the outcome topic.
type told struct {
	schema.Outcome
	value   string
	written time.Time
}

// readOutcomes sorts the records of the outcome topic by their source records.
func (l *ledger) readOutcomes(records []*kgo.Record) {
	for _, r := range records {
		o, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil {
			l.w.fail("outcome", "a record of the outcome topic: %v: %s", err, r.Value)
			continue
		}
		l.outcomes[o.Record()] = append(l.outcomes[o.Record()], told{o, string(r.Value), r.Timestamp})
	}
}

// recordedBy returns true if an outcome of a record was acknowledged by a time, or need not be there.
func (l *ledger) recordedBy(e *entry, at time.Time) bool {
	proven, ok := l.w.tap.proven[e.id]
	return !l.w.sc.outcomes || ok && !proven.After(at) || !e.removed.IsZero() && !e.removed.After(at)
}

// judgeOutcomes checks that each outcome is of a record that has come to this end before, and that what it says is true.
func (l *ledger) judgeOutcomes() {
	known := map[string]*entry{}
	for _, e := range l.entries {
		known[e.id] = e
	}
	for id, all := range l.outcomes {
		e := known[id]
		if e == nil {
			if !l.ofRest(id) {
				l.w.fail("outcome", "an outcome of %s, which is no record: %s", id, all[0].value)
			}
			continue
		}
		for _, o := range all {
			if why := l.untold(e, o); why != "" {
				l.w.fail("outcome", "an outcome of %s: %s: %s: %s", id, why, o.value, l.describe(e))
			}
		}
		l.judgeKinds(e, all)
	}
}

// judgeKinds checks that the last end of a record with an open dead letter has an outcome, and that both say the same. On a gentle day
// no outcome is written twice, but for that of an unreadable batch, which lists of finished offsets do not cover.
func (l *ledger) judgeKinds(e *entry, all []told) {
	of := func(kind schema.OutcomeKind) (found []told) {
		for _, o := range all {
			if o.Kind == kind {
				found = append(found, o)
			}
		}
		return found
	}
	for _, o := range all {
		if l.w.sc.gentle && e.fate != unreadable && len(of(o.Kind)) > 1 {
			l.w.fail("outcome", "%s has the outcome %s %d times: %s", e.id, o.Kind, len(of(o.Kind)), l.describe(e))
		}
	}
	r := l.letters[e.id]
	if r == nil || r.Value == nil || len(of(schema.OutcomeDeleted)) > 0 || l.w.during(func(a *act) bool { return a.late }, e.since, time.Now()) {
		return
	}
	d, err := schema.ParseDeadLetter(testkit.Headers(r))
	if err != nil {
		return // told elsewhere
	}
	same := of(schema.OutcomeKind(d.Class))
	if len(same) == 0 {
		l.w.fail("outcome", "%s is a dead letter, %s, and has no such outcome: %s", e.id, d.Class, l.describe(e))
		return
	}
	o := same[0]
	if len(same) == 1 && (o.Code != d.Code || o.Attempts != d.Attempts || !o.FirstAttempt.Equal(d.FirstAttempt) || o.Ended.Before(d.LastAttempt)) {
		l.w.fail("outcome", "%s has the dead letter %+v and the outcome %s", e.id, d, o.value)
	}
}

// untold says what is wrong in an outcome; empty if all of it is true.
func (l *ledger) untold(e *entry, o told) string {
	if why := l.unlike(e, o); why != "" {
		return why
	}
	if o.Kind.Settles() {
		if !l.settledBySomebody(e, string(o.Kind)) || o.By != operatorName || (o.Reason != "") != (o.Kind == schema.OutcomeDiscarded) {
			return "nobody has settled it so"
		}
		return ""
	}
	since := l.w.tap.told[o.ID()]
	switch {
	case since.IsZero():
		return "no replica has written it"
	case o.By != "" || o.Reason != "":
		return "it names an operator"
	case o.Ended.Before(e.since) || o.Ended.After(o.written.Add(time.Millisecond)) || !o.FirstAttempt.IsZero() && o.FirstAttempt.After(o.Ended):
		return "its times are out of order"
	case o.Shared && e.alone && !e.replay && l.replays[e.id] == 0:
		return "no other event can have shared its call"
	case o.Kind != schema.OutcomeDeleted:
		if at, ok := l.w.tap.acked[e.id]; !ok || at.After(since) {
			return "its dead letter was not acknowledged before"
		}
		return ""
	}
	c := l.deleting(e)
	switch {
	case c == nil || c.answered.After(since):
		return "nothing had deleted it by then"
	case o.Code != 0 || o.Attempts < 1 || o.Attempts > l.w.sc.maxAttempts || o.FirstAttempt.IsZero():
		return "its attempts can't be"
	}
	return ""
}

// unlike says what an outcome has of its record that the record has not; empty if nothing.
func (l *ledger) unlike(e *entry, o told) string {
	event := e.fate != undecodable && e.fate != unreadable
	id, source, erasure, replayOf := "", "", "", ""
	if event && e.named {
		id, source, erasure = e.event(), cmp.Or(e.source, "/sim"), e.erasure()
	}
	if origin, ok := schema.Origin(testkit.Headers(e.r)); ok && e.fate != unreadable {
		replayOf = origin.ID()
	}
	switch {
	case o.Group != group:
		return "it names another group"
	case o.EventID != id || o.EventSource != source || o.ErasureID != erasure:
		return "its event is another"
	case o.ReplayOf != replayOf && (!o.Kind.Settles() || o.ReplayOf != ""):
		return "it is a replay of another"
	case !l.w.sc.accounts && (o.Event != nil || e.From != "" && strings.Contains(o.value, e.From)):
		return "it names an account"
	case l.w.sc.accounts && event != (o.Event != nil):
		return "it lacks the conversation, or has one of no event"
	case o.Event != nil && (o.Event.Conversation != e.Conversation || o.Event.ClearRamble != e.clearRamble):
		return "its conversation is another"
	}
	return ""
}

// judgeSettlement checks that a tombstone was written after its outcome.
func (l *ledger) judgeSettlement(e *entry, tombstone *kgo.Record, how string) {
	if !l.w.sc.outcomes {
		return
	}
	if !slices.ContainsFunc(l.outcomes[e.id], func(o told) bool {
		return string(o.Kind) == how && !o.written.After(tombstone.Timestamp)
	}) {
		l.w.fail("outcome", "the letter of %s is %s, and no outcome said so before: %s", e.id, how, l.describe(e))
	}
}
