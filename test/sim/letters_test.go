package sim

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

// judgeTombstone checks that an operator settled a dead letter that has a tombstone.
func (l *ledger) judgeTombstone(e *entry, r *kgo.Record) {
	how := "replayed"
	if testkit.Header(r, schema.HeaderReason) != "" {
		how = "discarded"
	}
	if by := schema.ParseSettlement(testkit.Headers(r)); by.By != operatorName || by.At.After(r.Timestamp.Add(time.Minute)) || by.At.Before(r.Timestamp.Add(-time.Minute)) {
		l.w.fail("headers", "the tombstone of %s says %+v and is of %s", e.id, by, r.Timestamp)
	}
	if !l.settledBySomebody(e, how) {
		l.w.fail("lost", "the letter of %s is %s, but by nobody: %s", e.id, how, l.describe(e))
	}
	l.judgeSettlement(e, r, how)
	if how == "replayed" && l.replays[e.id] == 0 {
		l.w.fail("lost", "the letter of %s is settled as replayed, but there is no replay: %s", e.id, l.describe(e))
	}
}

// settledBySomebody returns true if an operator has, or may have, settled a dead letter in this way. It is enough to have
// settled the dead letter of a replay of its record, since that replaces it.
func (l *ledger) settledBySomebody(e *entry, how string) bool {
	if l.w.settled[e.id] == how || l.w.unsure[e.id] {
		return true
	}
	return slices.ContainsFunc(l.entries, func(o *entry) bool {
		origin, ok := schema.Origin(testkit.Headers(o.r))
		return ok && origin.ID() == e.id && l.settledBySomebody(o, how)
	})
}

// maxReplayAge is the largest age of an event that operators replay, and some time for the replay.
const maxReplayAge = 24*time.Hour + 5*time.Minute

// judgeReplay checks that a replay is the planned record, and that its event is not too old.
func (l *ledger) judgeReplay(e *entry, of string) {
	want := e.header
	if e.source == "" {
		want = append([]kgo.RecordHeader{{Key: idHeader, Value: []byte(e.planned.id)}}, e.header...)
	}
	same := func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
	if !same(e.r.Key, e.key) || !same(e.r.Value, e.value) ||
		!slices.EqualFunc(ownHeaders(e.r), want, func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }) {
		l.w.fail("bytes", "%s, a replay of %s, has key %q, value %q, headers %v", e.id, of, e.r.Key, e.r.Value, ownHeaders(e.r))
	}
	if e.fate == expired && e.r.Timestamp.Sub(e.happened) > maxReplayAge {
		l.w.fail("unasked", "%s is a replay of %s, whose event is of %s", e.id, of, e.happened)
	}
}

// judgeLetter compares an open dead letter with its source record and with the API's answers.
func (l *ledger) judgeLetter(e *entry, r *kgo.Record) {
	d, err := schema.ParseDeadLetter(testkit.Headers(r))
	if err != nil {
		l.w.fail("bytes", "the letter of %s does not parse: %v", e.id, err)
		return
	}
	if !bytes.Equal(r.Value, e.r.Value) || d.NullValue != (e.r.Value == nil) || !bytes.Equal(d.Key, e.r.Key) || (d.Key == nil) != (e.r.Key == nil) {
		l.w.fail("bytes", "the letter of %s has value %q and key %q, the record %q and %q", e.id, r.Value, d.Key, e.r.Value, e.r.Key)
	}
	if !slices.EqualFunc(ownHeaders(r), ownHeaders(e.r), func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
		l.w.fail("bytes", "the letter of %s has headers %v, the record %v", e.id, ownHeaders(r), ownHeaders(e.r))
	}
	if why := l.wrongClass(e, d, r.Timestamp); why != "" {
		l.w.fail("class", "the letter of %s is %s, code %d, after %d attempts: %s: %s", e.id, d.Class, d.Code, d.Attempts, why, l.describe(e))
	}
	if why := l.untrue(e, d, r.Timestamp); why != "" {
		l.w.fail("headers", "the letter of %s: %s: %+v: %s", e.id, why, d, l.describe(e))
	}
	late := l.w.during(func(a *act) bool { return a.late }, e.since, time.Now())
	if l.w.sc.gentle && e.deleted && e.alone && !e.replay && l.replays[e.id] == 0 && !l.doubted(e) && !late {
		l.w.fail("class", "%s is deleted and a dead letter: %s", e.id, l.describe(e))
	}
}

// wrongClass says why a dead letter has the wrong class; empty if the class is right.
func (l *ledger) wrongClass(e *entry, d schema.DeadLetter, written time.Time) string {
	switch {
	case e.fate == undecodable || e.fate == expired:
		if string(d.Class) != e.fate.String() || d.Attempts != 0 {
			return "it must be " + e.fate.String()
		}
		return ""
	case e.old && (d.Class == schema.ClassRevived || l.listsFailed(e, d)):
		return l.wronglyKept(e, d, written)
	case e.fate == revived:
		return "it must be revived"
	case d.Class == schema.ClassPermanent:
		if !l.answered(e, d.Code) || d.Code != 50001 && d.Code != 50002 && d.Code != 50003 {
			return "the API never said so"
		}
		if e.fate != refused && !l.w.forbids(e.From, d.Code) && !l.w.during(func(a *act) bool { return a.denied }, e.since, written) {
			return "the API has nothing against it"
		}
		return ""
	case d.Class != schema.ClassExhausted:
		return "nothing makes it so"
	case d.Attempts != l.w.sc.maxAttempts:
		return "attempts are left"
	}
	switch {
	case !usesUp(&call{code: d.Code}):
		return "its last answer uses up no attempt"
	case e.fate == poisoned:
		return ""
	case l.ownFailures(e, written) > 0 || l.excused(e, d):
		return ""
	case d.Code == 0:
		return "it failed in outages only, in which the API could not be reached"
	case l.clearOutage(e, d) || l.inSameOutage(e, d) > 2:
		return "it failed in outages only"
	}
	return ""
}

// inSameOutage counts the conversations with dead letters from the outage in which the record's calls failed, of one
// replica.
func (l *ledger) inSameOutage(e *entry, d schema.DeadLetter) int {
	for i, a := range l.w.sc.acts {
		for j, wave := range a.times() {
			if began := l.w.began.Add(a.at + wave[0]); a.outage && !began.After(d.LastAttempt) && !began.Add(wave[1]).Before(d.FirstAttempt) {
				key := fmt.Sprintf("%d/%d by %s", i, j, l.w.tap.by(e.id))
				if l.given[key] == nil {
					l.given[key] = map[schema.Conversation]bool{}
				}
				l.given[key][e.Conversation] = true
				return len(l.given[key])
			}
		}
	}
	return 0
}

// excused returns true if a call that began after the calls for the record's conversation had begun to fail was answered
// well. Then the replica may take the event itself for the reason of the failures.
func (l *ledger) excused(e *entry, d schema.DeadLetter) bool {
	by, failing := l.w.tap.by(e.id), d.FirstAttempt
	for _, c := range slices.Backward(l.calls[e.Conversation]) {
		if c.by == by && !c.at.After(d.LastAttempt) {
			failing = l.failingSince(c)
			break
		}
	}
	return slices.ContainsFunc(l.w.api.took(), func(c *call) bool {
		return c.by == by && c.ok && c.at.After(failing) && c.answered.Before(d.LastAttempt)
	})
}

// clearOutage returns true if the replica that wrote the dead letter had to take the failures for an outage, by the rule in
// docs/failures.md with a margin.
func (l *ledger) clearOutage(e *entry, d schema.DeadLetter) bool {
	by := l.w.tap.by(e.id)
	calls, failed, conversations := 0, 0, map[schema.Conversation]bool{}
	for _, c := range l.w.api.took() {
		if c.by != by || c.at.After(d.LastAttempt) || c.answered.After(d.LastAttempt) || c.at.Before(d.LastAttempt.Add(-11*time.Second)) || l.failsAlone(c) || l.forReplay(c) {
			continue
		}
		calls++
		conversations[c.Conversation] = true
		if !c.ok && (c.code == 0 || c.code == 50004 || c.code == 50005) {
			failed++
		}
	}
	return calls >= 40 && len(conversations) >= 15 && float64(failed) >= 0.85*float64(calls)
}

// forReplay returns true if a failed call may have been for a replay alone. Then it says nothing about the API.
func (l *ledger) forReplay(c *call) bool {
	return !c.ok && slices.ContainsFunc(l.entries, func(e *entry) bool {
		return e.replay && e.Conversation == c.Conversation && !e.since.After(c.at)
	})
}

// failsAlone returns true if a failed call's conversation had failed while others succeeded, as far as its replica knows.
// Then the call says nothing about the API.
func (l *ledger) failsAlone(c *call) bool {
	if c.ok {
		return false
	}
	failing := l.failingSince(c)
	return slices.ContainsFunc(l.w.api.took(), func(o *call) bool {
		return o.by == c.by && o.ok && o.answered.After(failing) && o.answered.Before(c.at)
	})
}

// failingSince returns when the calls for a failed call's conversation began to fail, as far as its replica knows.
func (l *ledger) failingSince(c *call) time.Time {
	failing := c.at
	for _, before := range slices.Backward(l.calls[c.Conversation]) {
		if before.by != c.by || !before.at.Before(c.at) {
			continue
		}
		if before.ok {
			break
		}
		failing = before.at
	}
	return failing
}

// ownFailures counts the calls for a record's conversation that used up an attempt outside of outages.
func (l *ledger) ownFailures(e *entry, until time.Time) (own int) {
	for _, c := range l.calls[e.Conversation] {
		if !c.ok && !c.at.Before(e.since) && !c.at.After(until) && usesUp(c) && !l.w.during(func(a *act) bool { return a.outage }, c.at, c.at) {
			own++
		}
	}
	return own
}

// usesUp returns true if a failed call uses up an attempt, by the table in docs/failures.md.
func usesUp(c *call) bool {
	switch c.code {
	case 50001, 50002, 50003, 60007, 60011, 60018, 60019, 60004, 60005, 60006, 60009, 60010, 60012, 60016, 60017, 60020, 60021:
		return false
	}
	return c.code < 70001 || c.code > 70099
}

// answered returns true if the API has answered a call that could know of the record with this code.
func (l *ledger) answered(e *entry, code int) bool {
	return slices.ContainsFunc(l.calls[e.Conversation], func(c *call) bool { return c.code == code && !c.at.Before(e.since) })
}
