package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

// ledger is the final state of the brokers and the API, to be compared with the plan.
type ledger struct {
	w       *world
	planned map[string]*planned
	entries []*entry
	// letters is the dead-letter table: the newest record of each key. A tombstone has a null value.
	letters map[string]*kgo.Record
	// outcomes are the records of the outcome topic, by the ID of their source record.
	outcomes map[string][]told
	// replays counts the replays on the topic by the ID of their dead letter.
	replays map[string]int
	// calls are the calls that the API has seen, by conversation, in order of arrival.
	calls map[schema.Conversation][]*call
	// given are the conversations of dead letters from outages, by outage and replica.
	given map[string]map[schema.Conversation]bool
}

// entry is one record of the topic.
type entry struct {
	*planned
	r  *kgo.Record
	id string // the ID of its dead letter, if it has one
	// since is the earliest time at which a replica can have read the record.
	since time.Time
	// ended is when the record was deleted or its dead letter was acknowledged; zero if never.
	ended time.Time
	// removed is when retention removed the record; zero if never.
	removed time.Time
	deleted bool
	replay  bool
}

// audit draws up the ledger and notes every promise that was not kept.
func (w *world) audit() {
	l := &ledger{w: w, planned: map[string]*planned{}, letters: map[string]*kgo.Record{}, outcomes: map[string][]told{}, replays: map[string]int{}, calls: map[schema.Conversation][]*call{}, given: map[string]map[schema.Conversation]bool{}}
	for _, e := range w.sc.events {
		l.planned[e.id] = e
	}
	for _, c := range w.api.took() {
		l.calls[c.Conversation] = append(l.calls[c.Conversation], c)
	}
	for _, r := range w.readAll(deadLetters) {
		if before := l.letters[string(r.Key)]; before != nil && before.Partition != r.Partition {
			w.fail("bytes", "the letter %s is in partition %d and in %d, so that neither replaces the other", r.Key, before.Partition, r.Partition)
		}
		l.letters[string(r.Key)] = r
	}
	if w.sc.outcomes {
		l.readOutcomes(w.readAll(outcomes))
	}
	l.enter(append(w.retention.removed, w.readTopic()...))
	for _, e := range l.entries {
		l.judge(e)
	}
	l.judgeLetters()
	l.judgeOutcomes()
	l.judgeCommits()
	l.judgeCalls()
	l.judgeOwners()
	l.judgeBeats()
	l.judgeRevived()
	l.judgeRepeats()
	l.judgeErasures()
	l.judgeOutput()
	if n := w.tap.careless; n > 0 {
		w.fail("commit", "%d writes of dead letters or outcomes are not for all replicas of the log to acknowledge", n)
	}
	for _, text := range w.tap.strange {
		w.fail("bytes", "%s", text)
	}
	w.stats.take(l)
}

// enter makes entries from the topic's records.
func (l *ledger) enter(records []*kgo.Record) {
	published, entered := map[string]bool{}, map[string]bool{}
	for _, r := range records {
		e := &entry{planned: l.planned[testkit.Header(r, idHeader)], r: r, id: fmt.Sprintf("%s/%d/%d", topic, r.Partition, r.Offset)}
		if entered[e.id] { // a removal of it was refused
			continue
		}
		entered[e.id] = true
		e.removed = l.w.retention.removedAt(r.Partition, r.Offset)
		if e.planned == nil {
			e.planned = l.planPart(r)
		}
		if e.planned == nil {
			l.w.fail("bytes", "%s is no record that was planned: %q", e.id, r.Value)
			continue
		}
		e.since = l.w.sent[e.planned.id]
		if e.since.IsZero() {
			e.since = r.Timestamp // a part of an erasure
		}
		if origin, ok := schema.Origin(testkit.Headers(r)); ok {
			e.replay = true
			e.since = r.Timestamp
			l.replays[origin.ID()]++
			l.judgeReplay(e, origin.ID())
		} else {
			published[e.planned.id] = true
		}
		if at, ok := l.w.tap.acked[e.id]; ok {
			e.ended = at
		}
		if c := l.deleting(e); c != nil {
			e.deleted = true
			if e.ended.IsZero() || c.answered.Before(e.ended) {
				e.ended = c.answered
			}
		}
		l.entries = append(l.entries, e)
	}
	for id := range l.planned {
		if !published[id] {
			l.w.t.Errorf("seed %d: record %s is not on the topic: the simulation itself has lost it", l.w.sc.seed, id)
		}
	}
}

// deleting returns the call that deleted the record's conversation and that could know of the record. Of several, it is the
// one that was answered first.
func (l *ledger) deleting(e *entry) *call {
	if e.fate == undecodable || e.fate == unreadable {
		return nil
	}
	var first *call
	for _, c := range l.calls[e.Conversation] {
		if c.ok && !c.at.Before(e.since) && (c.clearRamble || !e.clearRamble) && (first == nil || c.answered.Before(first.answered)) {
			first = c
		}
	}
	return first
}

// judge checks that a record ended as it must.
func (l *ledger) judge(e *entry) {
	letter := l.letters[e.id]
	switch {
	case e.fate == rolledBack:
		if letter != nil {
			l.w.fail("unasked", "%s is a dead letter although it was rolled back: %s", e.id, l.describe(e))
		}
	case letter == nil && !e.removed.IsZero(): // whether it was read or not
	case letter == nil && !e.deleted:
		l.w.fail("lost", "%s is neither deleted nor a dead letter: %s", e.id, l.describe(e))
	case letter == nil && e.fate != good && e.fate != flaky:
		l.w.fail("class", "%s is no dead letter although it must be: %s", e.id, l.describe(e))
	case letter == nil:
	case letter.Value == nil:
		l.judgeTombstone(e, letter)
	case e.fate == unreadable:
		l.judgeRest(e, letter)
	default:
		l.judgeLetter(e, letter)
	}
}

// during returns true if an act of a kind had its effect at some time between two times.
func (w *world) during(kind func(*act) bool, from, to time.Time) bool {
	return slices.ContainsFunc(w.sc.acts, func(a *act) bool {
		if !kind(a) {
			return false
		}
		for _, off := range a.times() {
			if began := w.began.Add(a.at + off[0]); !began.After(to) && !began.Add(off[1]).Before(from) {
				return true
			}
		}
		return false
	})
}

// doubted returns true if a call for the record may have been executed without an answer to the replica.
func (l *ledger) doubted(e *entry) bool {
	return slices.ContainsFunc(l.calls[e.Conversation], func(c *call) bool {
		return l.w.during(func(a *act) bool { return a.doubt }, c.at, c.at.Add(l.w.sc.callTimeout))
	})
}

// describe tells what happened to a record.
func (l *ledger) describe(e *entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "record %s, %s, %v, clear %t", e.planned.id, e.fate, e.Conversation, e.clearRamble)
	if e.replay {
		b.WriteString(", a replay")
	}
	fmt.Fprintf(&b, ", known from %s, ended %s; calls:", l.w.clock(e.since), l.w.clock(e.ended))
	for _, c := range l.calls[e.Conversation] {
		fmt.Fprintf(&b, " [%s to %s by %s: http %d, code %d, ok %t, clear %t]", l.w.clock(c.at), l.w.clock(c.answered), c.by, c.status, c.code, c.ok, c.clearRamble)
	}
	return b.String()
}

// clock returns a time in the form of the timeline.
func (w *world) clock(at time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return strconv.FormatFloat(at.Sub(w.began).Seconds(), 'f', 3, 64) + " s"
}

// readAll reads a topic from its start to its end.
func (w *world) readAll(name string) []*kgo.Record {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	all, err := testkit.ReadTopic(ctx, w.client("reader"), name)
	if err != nil {
		w.t.Errorf("seed %d: %v", w.sc.seed, err)
	}
	return all
}

// ownHeaders are the headers that the publisher gave a record.
func ownHeaders(r *kgo.Record) []kgo.RecordHeader {
	return slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return strings.HasPrefix(h.Key, schema.HeaderPrefix) })
}
