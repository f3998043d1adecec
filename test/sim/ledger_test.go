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

// ledger is what the brokers and the API have at the end, held against what was planned.
type ledger struct {
	w       *world
	planned map[string]*planned
	entries []*entry
	// letters is the dead-letter table: the newest record of each key. A tombstone has no value.
	letters map[string]*kgo.Record
	// replays are the letters of which a record on the topic is a replay, by ID.
	replays map[string]int
	// calls are the API's, by conversation, in order of arrival.
	calls map[schema.Conversation][]*call
	// given are the conversations given up in an outage, by that and by replica.
	given map[string]map[schema.Conversation]bool
}

// entry is one record of the topic.
type entry struct {
	*planned
	r  *kgo.Record
	id string // of its dead letter, if it has one
	// since is a time before which nobody can have known of the record.
	since time.Time
	// ended is when it had ended, deleted or acknowledged as a dead letter; zero if never.
	ended time.Time
	// removed is when retention removed it; zero if never.
	removed time.Time
	deleted bool
	replay  bool
}

// audit draws up the ledger and notes every promise that was not kept.
func (w *world) audit() {
	l := &ledger{w: w, planned: map[string]*planned{}, letters: map[string]*kgo.Record{}, replays: map[string]int{}, calls: map[schema.Conversation][]*call{}, given: map[string]map[schema.Conversation]bool{}}
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
	l.enter(append(w.retention.removed, w.readTopic()...))
	for _, e := range l.entries {
		l.judge(e)
	}
	l.judgeLetters()
	l.judgeCommits()
	l.judgeCalls()
	l.judgeRepeats()
	l.judgeOutput()
	if n := w.tap.careless; n > 0 {
		w.fail("commit", "%d writes of dead letters are not for all replicas of the log to acknowledge", n)
	}
	for _, text := range w.tap.strange {
		w.fail("bytes", "%s", text)
	}
	w.stats.take(l)
}

// enter makes entries of the topic's records.
func (l *ledger) enter(records []*kgo.Record) {
	published, entered := map[string]bool{}, map[string]bool{}
	for _, r := range records {
		e := &entry{planned: l.planned[testkit.Header(r, idHeader)], r: r, id: fmt.Sprintf("%s/%d/%d", topic, r.Partition, r.Offset)}
		if entered[e.id] { // left by a removal that was refused
			continue
		}
		entered[e.id] = true
		e.removed = l.w.retention.removedAt(r.Partition, r.Offset)
		if e.planned == nil {
			l.w.fail("bytes", "%s is no record that was planned: %q", e.id, r.Value)
			continue
		}
		e.since = l.w.sent[e.planned.id]
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

// deleting is the call that did what the record asks for and could know of it: of several the one answered first.
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

// judge says whether a record ended as it must.
func (l *ledger) judge(e *entry) {
	letter := l.letters[e.id]
	switch {
	case e.fate == rolledBack:
		if letter != nil {
			l.w.fail("unasked", "%s is a dead letter although it was rolled back: %s", e.id, l.describe(e))
		}
	case letter == nil && !e.removed.IsZero(): // with or without having been read
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

// during says whether an act of a kind was going on at some time between two.
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

// doubted says whether one of the record's calls may have been executed without its caller learning of it.
func (l *ledger) doubted(e *entry) bool {
	return slices.ContainsFunc(l.calls[e.Conversation], func(c *call) bool {
		return l.w.during(func(a *act) bool { return a.doubt }, c.at, c.at.Add(l.w.sc.callTimeout))
	})
}

// describe tells a record's story.
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

// clock is a time as the timeline has it.
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

// ownHeaders are those that the publisher gave a record.
func ownHeaders(r *kgo.Record) []kgo.RecordHeader {
	return slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return strings.HasPrefix(h.Key, schema.HeaderPrefix) })
}
