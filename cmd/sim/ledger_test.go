package sim

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

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
	ended   time.Time
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
		l.letters[string(r.Key)] = r
	}
	l.enter(w.readAll(topic))
	for _, e := range l.entries {
		l.judge(e)
	}
	l.judgeLetters()
	l.judgeCommits()
	l.judgeCalls()
	l.judgeRepeats()
	l.judgeOutput()
	for _, text := range w.tap.strange {
		w.fail("bytes", "%s", text)
	}
	w.stats.take(l)
}

// enter makes entries of the topic's records.
func (l *ledger) enter(records []*kgo.Record) {
	published := map[string]bool{}
	for _, r := range records {
		e := &entry{planned: l.planned[header(r, idHeader)], r: r, id: fmt.Sprintf("%s/%d/%d", topic, r.Partition, r.Offset)}
		if e.planned == nil {
			l.w.fail("bytes", "%s is no record that was planned: %q", e.id, r.Value)
			continue
		}
		e.since = l.w.sent[e.planned.id]
		if origin, ok := schema.Origin(headersOf(r)); ok {
			e.replay = true
			e.since = r.Timestamp
			l.replays[origin.ID()]++
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
	if e.fate == undecodable {
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
	case letter == nil && !e.deleted:
		l.w.fail("lost", "%s is neither deleted nor a dead letter: %s", e.id, l.describe(e))
	case letter == nil && e.fate != good && e.fate != flaky:
		l.w.fail("class", "%s is no dead letter although it must be: %s", e.id, l.describe(e))
	case letter == nil:
	case letter.Value == nil:
		l.judgeTombstone(e, letter)
	default:
		l.judgeLetter(e, letter)
	}
}

// judgeTombstone finds out who settled a letter.
func (l *ledger) judgeTombstone(e *entry, r *kgo.Record) {
	how := l.w.settled[e.id]
	discarded := header(r, schema.HeaderReason) != ""
	if how == "" && !l.w.unsure[e.id] && l.replays[e.id] == 0 && !discarded {
		l.w.fail("lost", "the letter of %s is settled, but by nobody: %s", e.id, l.describe(e))
	}
	if !discarded && l.replays[e.id] == 0 {
		l.w.fail("lost", "the letter of %s is settled as replayed, but there is no replay: %s", e.id, l.describe(e))
	}
}

// judgeLetter holds an open letter against its source record and against what the API said.
func (l *ledger) judgeLetter(e *entry, r *kgo.Record) {
	d, err := schema.ParseDeadLetter(headersOf(r))
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
	late := l.w.during(func(a *act) bool { return a.late }, e.since, time.Now())
	if l.w.sc.gentle && e.deleted && e.alone && !e.replay && l.replays[e.id] == 0 && !l.doubted(e) && !late {
		l.w.fail("class", "%s is deleted and a dead letter: %s", e.id, l.describe(e))
	}
}

// wrongClass says why a letter should not be what it is; empty if it should.
func (l *ledger) wrongClass(e *entry, d schema.DeadLetter, written time.Time) string {
	switch {
	case e.fate == undecodable || e.fate == expired:
		if string(d.Class) != e.fate.String() || d.Attempts != 0 {
			return "it must be " + e.fate.String()
		}
		return ""
	case d.Class == schema.ClassPermanent:
		if !l.answered(e, d.Code) || d.Code != 50001 && d.Code != 50002 && d.Code != 50003 {
			return "the API never said so"
		}
		if e.fate != refused && !l.w.during(func(a *act) bool { return a.denied }, e.since, written) {
			return "the API has nothing against it"
		}
		return ""
	case d.Class != schema.ClassExhausted:
		return "nothing makes it so"
	case d.Attempts != l.w.sc.maxAttempts:
		return "attempts are left"
	}
	if e.fate == poisoned {
		return ""
	}
	switch {
	case l.ownFailures(e, written) > 0 || l.blamable(e, d):
		return ""
	case d.Code == 0:
		return "it failed in outages only, in which the API could not be reached"
	case l.obvious(e, d) || l.spent(e, d) > 2:
		return "it failed in outages only"
	}
	return ""
}

// spent counts the conversations that a replica has given up in the outage that a record was given up in.
func (l *ledger) spent(e *entry, d schema.DeadLetter) int {
	for i, a := range l.w.sc.acts {
		for j, wave := range a.times() {
			if began := l.w.began.Add(a.at + wave[0]); a.outage && !began.After(d.LastAttempt) && !began.Add(wave[1]).Before(d.FirstAttempt) {
				key := fmt.Sprintf("%d/%d by %s", i, j, l.w.tap.writer[e.id])
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

// blamable says whether a call that began after the record's conversation had begun to fail was answered well: then the
// replica may take the record for the one at fault.
func (l *ledger) blamable(e *entry, d schema.DeadLetter) bool {
	by, failing := l.w.tap.writer[e.id], d.FirstAttempt
	for _, c := range slices.Backward(l.calls[e.Conversation]) {
		if c.by == by && !c.at.After(d.LastAttempt) {
			failing = l.failingSince(c)
			break
		}
	}
	return slices.ContainsFunc(l.w.api.took(), func(c *call) bool {
		return c.by == by && (c.ok || c.code == 50001 || c.code == 50002) && c.at.After(failing) && c.answered.Before(d.LastAttempt)
	})
}

// obvious says whether the replica that gave a record up had to take what happened for an outage, by the rule in the
// README with something to spare.
func (l *ledger) obvious(e *entry, d schema.DeadLetter) bool {
	by := l.w.tap.writer[e.id]
	calls, failed, conversations := 0, 0, map[schema.Conversation]bool{}
	for _, c := range l.w.api.took() {
		if c.by != by || c.at.After(d.LastAttempt) || c.answered.After(d.LastAttempt) || c.at.Before(d.LastAttempt.Add(-8*time.Second)) || l.suspect(c) {
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

// suspect says whether a failed call's conversation had failed while others succeeded, as far as its replica knows: then
// it says nothing of the API.
func (l *ledger) suspect(c *call) bool {
	if c.ok {
		return false
	}
	failing := l.failingSince(c)
	return slices.ContainsFunc(l.w.api.took(), func(o *call) bool {
		return o.by == c.by && (o.ok || o.code == 50001 || o.code == 50002) && o.answered.After(failing) && o.answered.Before(c.at)
	})
}

// failingSince is when the calls for a failed call's conversation began to fail, as far as its replica knows.
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

// usesUp says whether a failed call is the kind that counts as an attempt, by the table in the README.
func usesUp(c *call) bool {
	switch c.code {
	case 50001, 50002, 50003, 60007, 60011, 60018, 60019, 60004, 60005, 60006, 60009, 60010, 60012, 60016, 60017, 60020, 60021:
		return false
	}
	return c.code < 70001 || c.code > 70099
}

// answered says whether the API has answered a call that could know of the record with a code.
func (l *ledger) answered(e *entry, code int) bool {
	return slices.ContainsFunc(l.calls[e.Conversation], func(c *call) bool { return c.code == code && !c.at.Before(e.since) })
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

// judgeLetters looks for letters of what was never published.
func (l *ledger) judgeLetters() {
	known := map[string]bool{}
	for _, e := range l.entries {
		known[e.id] = true
	}
	for id, r := range l.letters {
		if !known[id] {
			l.w.fail("bytes", "a letter %q of no record: %v", id, r.Headers)
		}
	}
}

// judgeCommits checks that nobody ever asked a broker to commit past a record that had not ended by then.
func (l *ledger) judgeCommits() {
	byPartition := map[int32][]*entry{}
	for _, e := range l.entries {
		byPartition[e.r.Partition] = append(byPartition[e.r.Partition], e)
	}
	for _, c := range l.w.tap.commits {
		for _, e := range byPartition[c.partition] {
			if c.passes(e.r.Offset) && e.fate != rolledBack && (e.ended.IsZero() || e.ended.After(c.at)) {
				l.w.fail("commit", "at %s replica %s committed %d/%d, finished above %v, although %s had not ended: %s",
					l.w.clock(c.at), c.by, c.partition, c.offset, c.above, e.id, l.describe(e))
			}
		}
	}
}

// passes says whether a commit declares an offset as ended.
func (c *commit) passes(offset int64) bool {
	return offset < c.offset || slices.ContainsFunc(c.above, func(r [2]int64) bool { return r[0] <= offset && offset <= r[1] })
}

// judgeCalls checks the pace, that calls for a conversation do not overlap, and that each was asked for.
func (l *ledger) judgeCalls() {
	asked := map[schema.Conversation]time.Time{}
	for _, e := range l.entries {
		if e.fate == undecodable || e.fate == expired || e.fate == rolledBack {
			continue
		}
		if at, ok := asked[e.Conversation]; !ok || e.since.Before(at) {
			asked[e.Conversation] = e.since
		}
	}
	calls := l.w.api.took()
	from := 0
	for i, c := range calls {
		for c.at.Sub(calls[from].at) > time.Second {
			from++
		}
		if n := i - from + 1; n > l.w.sc.quota {
			l.w.fail("quota", "%d calls in the second up to %s", n, l.w.clock(c.at))
		}
		l.w.stats.peak = max(l.w.stats.peak, float64(i-from+1)/float64(l.w.sc.quota))
		if at, ok := asked[c.Conversation]; !ok || c.at.Before(at) {
			l.w.fail("unasked", "at %s replica %s deletes %v, which nobody has asked for", l.w.clock(c.at), c.by, c.Conversation)
		}
	}
	l.judgeQuiet(calls)
	for _, c := range l.w.api.overlaps {
		l.w.fail("overlap", "at %s replica %s calls for %v while another of its calls for that is under way", l.w.clock(c.at), c.by, c.Conversation)
	}
}

// judgeQuiet checks that after 70050 a replica makes no call for a minute. What it has sent before still arrives.
func (l *ledger) judgeQuiet(calls []*call) {
	until := map[string]time.Time{}
	for _, c := range calls {
		if end, ok := until[c.by]; ok && c.at.Before(end) && c.at.After(end.Add(-55*time.Second)) {
			l.w.fail("quiet", "at %s replica %s calls although the API wants none until %s", l.w.clock(c.at), c.by, l.w.clock(end))
		}
		if c.code == 70050 {
			until[c.by] = c.answered.Add(time.Minute)
		}
	}
}

// judgeRepeats checks that work is done again only where it may be, and how much.
func (l *ledger) judgeRepeats() {
	repeats, allowed := 0, 0.0
	for _, a := range l.w.sc.acts {
		if a.redo > 0 {
			allowed += float64(l.w.sc.quota) * (a.redo + 2*l.w.sc.latency + l.w.sc.callTimeout).Seconds()
		}
	}
	for _, e := range l.entries {
		if !e.alone || e.replay || l.replays[e.id] > 0 || e.fate != good && e.fate != flaky {
			continue
		}
		done := 0
		for _, c := range l.calls[e.Conversation] {
			if c.ok {
				done++
			}
		}
		if done < 2 || l.doubted(e) {
			continue
		}
		repeats += done - 1
		if allowed == 0 {
			l.w.fail("repeated", "%s is deleted %d times: %s", e.id, done, l.describe(e))
		}
	}
	l.w.stats.repeats = repeats
	if allowed > 0 && float64(repeats) > allowed {
		l.w.fail("repeated", "%d events done again, at most %.0f were to be expected", repeats, allowed)
	}
}

// judgeOutput looks for secrets in all that was printed and written.
func (l *ledger) judgeOutput() {
	secrets := []string{firstKey, secondKey, password, redisGuard}
	for sig := range l.w.api.sigs {
		if sig != "" {
			secrets = append(secrets, sig)
		}
	}
	look := func(where, text string) {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				l.w.fail("secret", "%.8s… is in %s", s, where)
			}
		}
	}
	for _, o := range l.w.output {
		look("the output of replica "+o.name, o.String())
	}
	for id, r := range l.letters {
		look("letter "+id, fmt.Sprintf("%s %q", r.Value, r.Headers))
	}
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
	c := w.client("reader", kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, name)
	if err != nil {
		w.t.Error(err)
		return nil
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		if ctx.Err() != nil {
			w.t.Errorf("seed %d: topic %s not read to its end, missing %v", w.sc.seed, name, left)
			return all
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func headersOf(r *kgo.Record) []schema.Header {
	all := make([]schema.Header, len(r.Headers))
	for i, h := range r.Headers {
		all[i] = schema.Header{Key: h.Key, Value: h.Value}
	}
	return all
}

// ownHeaders are those that the publisher gave a record.
func ownHeaders(r *kgo.Record) []kgo.RecordHeader {
	return slices.DeleteFunc(slices.Clone(r.Headers), func(h kgo.RecordHeader) bool { return strings.HasPrefix(h.Key, schema.HeaderPrefix) })
}

func sortDurations(all []time.Duration) { slices.Sort(all) }
