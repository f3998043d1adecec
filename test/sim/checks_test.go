package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"convdel/schema"
)

// judgeLetters looks for dead letters of records that were never published.
func (l *ledger) judgeLetters() {
	known := map[string]bool{}
	for _, e := range l.entries {
		known[e.id] = true
	}
	for id, r := range l.letters {
		if !known[id] && !l.ofRest(id) {
			l.w.fail("bytes", "a letter %q of no record: %v", id, r.Headers)
		}
	}
}

// ofRest returns true for the dead letter of a part of a batch's unreadable rest. It is a part if retention removed the
// beginning before it was read, or a tool moved the group into the middle.
func (l *ledger) ofRest(id string) bool {
	_, partition, offset, err := schema.ParseID(id)
	return err == nil && slices.ContainsFunc(l.entries, func(e *entry) bool {
		return e.fate == unreadable && int(e.r.Partition) == partition && e.r.Offset < offset && offset <= e.last()
	})
}

// judgeCommits checks that no replica asked a broker to commit past a record that had not ended by then.
func (l *ledger) judgeCommits() {
	byPartition := map[int32][]*entry{}
	for _, e := range l.entries {
		byPartition[e.r.Partition] = append(byPartition[e.r.Partition], e)
	}
	for _, c := range l.w.tap.commits {
		for _, e := range byPartition[c.partition] {
			if (c.passes(e.r.Offset) || c.passes(e.last())) && e.fate != rolledBack && !e.had(c.at) {
				l.w.fail("commit", "at %s replica %s committed %d/%d, finished above %v, although %s had not ended: %s",
					l.w.clock(c.at), c.by, c.partition, c.offset, c.above, e.id, l.describe(e))
			} else if (c.passes(e.r.Offset) || c.passes(e.last())) && e.fate != rolledBack && !l.recordedBy(e, c.at) {
				l.w.fail("outcome", "at %s replica %s committed %d/%d, finished above %v, although %s had no outcome: %s",
					l.w.clock(c.at), c.by, c.partition, c.offset, c.above, e.id, l.describe(e))
			}
		}
	}
}

// had returns true if a record had ended or was removed by a time.
func (e *entry) had(at time.Time) bool {
	return !e.ended.IsZero() && !e.ended.After(at) || !e.removed.IsZero() && !e.removed.After(at)
}

// passes returns true if a commit says that an offset has ended.
func (c *commit) passes(offset int64) bool {
	return offset < c.offset || slices.ContainsFunc(c.above, func(r [2]int64) bool { return r[0] <= offset && offset <= r[1] })
}

// judgeCalls checks the pace, that calls for a conversation do not overlap, and that an event asks for each call.
func (l *ledger) judgeCalls() {
	asked := map[schema.Conversation]time.Time{}
	for _, e := range l.entries {
		if e.fate == undecodable || e.fate == unreadable || e.fate == expired || e.fate == revived || e.fate == rolledBack {
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

// judgeQuiet checks that a replica makes no call for a minute after 70050. Calls that it has sent before may still arrive.
func (l *ledger) judgeQuiet(calls []*call) {
	until := map[string]time.Time{}
	for _, c := range calls {
		if end, ok := until[c.by]; ok && c.at.Before(end) && c.at.After(end.Add(-59*time.Second)) {
			l.w.fail("quiet", "at %s replica %s calls although the API wants none until %s", l.w.clock(c.at), c.by, l.w.clock(end))
		}
		if c.code == 70050 {
			until[c.by] = c.answered.Add(time.Minute)
		}
	}
}

// judgeRepeats checks that work is repeated only after faults that allow it, and how much.
func (l *ledger) judgeRepeats() {
	repeats, allowed := 0, 0.0
	underway := 2 * l.w.sc.latency
	for _, a := range l.w.sc.acts {
		if a.slow {
			underway = l.w.sc.callTimeout
		}
	}
	for _, a := range l.w.sc.acts {
		if a.redo > 0 {
			allowed += float64(l.w.sc.quota) * (a.redo + underway).Seconds()
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
		if why := l.unexcused(e); why != "" {
			l.w.fail("repeated", "%s is deleted %d times, %s: %s", e.id, done, why, l.describe(e))
		}
	}
	l.w.stats.repeats = repeats
	if allowed > 0 && float64(repeats) > allowed {
		l.w.fail("repeated", "%d events done again, at most %.0f were to be expected", repeats, allowed)
	}
}

// uncommitted is how long before a kill an event may have ended without being committed: a commit under way, the second
// between two commits of a drain, and the time that a commit takes.
const uncommitted = 3 * time.Second

// unexcused says why a record may not have been deleted again; empty if it may. After a kill, only events that ended
// shortly before may be repeated. Where brokers fail there is no such bound, since lists of finished offsets can be lost.
func (l *ledger) unexcused(e *entry) string {
	var before *call
	for _, c := range l.calls[e.Conversation] {
		if !c.ok {
			continue
		}
		if before != nil {
			faulty := l.w.during(func(a *act) bool { return a.redo > 0 }, l.w.began, c.at)
			broken := l.w.during(func(a *act) bool { return a.redo > 0 && !a.kills }, l.w.began, c.at)
			fresh := l.w.during(func(a *act) bool { return a.kills }, before.answered.Add(-l.w.sc.callTimeout), before.answered.Add(uncommitted))
			switch {
			case !faulty:
				return "before any fault by which it may be"
			case !broken && !fresh:
				return "although it had ended long before the kill"
			}
		}
		before = c
	}
	return ""
}

// judgeOutput looks for secrets in all output and all records.
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
