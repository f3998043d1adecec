// Package repeats keeps equal log lines from filling a log: of equal lines the first ten a minute are written, and then how many more
// there were. A flood of bad records is a flood of such lines.
package repeats

import (
	"cmp"
	"log/slog"
	"slices"
	"time"
)

const (
	// firstLines is how many equal lines are written in a window.
	firstLines = 10
	// window is how long equal lines are counted together, from the first one on.
	window = time.Minute
	// maxKinds bounds the kinds that are counted at once. Lines beyond it are counted by level and message alone. If messages vary as
	// well, lines beyond maxMessages are written and not counted, so that no line is lost and the memory is bounded.
	maxKinds    = 256
	maxMessages = 2 * maxKinds
)

// kind is what equal lines have in common.
type kind struct {
	level   slog.Level
	message string
	// class and reason are the attributes of these names. failure is the attribute error of a line at level ERROR: a rare error is
	// not lost among frequent others.
	class, reason, failure string
}

// tally counts the lines of a kind in a window.
type tally struct {
	ends time.Time
	// written and kept are the numbers of lines that were written and that were not.
	written, kept int
	// failure is the value of which the kind's failure is the text. Handlers may show it in another way.
	failure slog.Value
}

// summary says how many lines of a kind were not written.
type summary struct {
	kind    kind
	failure slog.Value
	more    int
	ends    time.Time
}

// counter decides which lines are written. It has neither a clock nor a lock.
type counter struct{ kinds map[kind]*tally }

// ruling is what becomes of a line.
type ruling struct {
	// write says that the line is written.
	write bool
	// before is the summary of the window that has ended before this line, if its more is above 0.
	before summary
	// due is when the summary of the line's window is due. It is set for the first line that is not written.
	due time.Time
}

// line counts a line at a time.
func (c *counter) line(k kind, failure slog.Value, now time.Time) (r ruling) {
	t := c.kinds[k]
	if t == nil && len(c.kinds) >= maxKinds && !c.forget(now) {
		k.class, k.reason, k.failure = "", "", ""
		t = c.kinds[k]
	}
	if t == nil && len(c.kinds) >= maxMessages {
		return ruling{write: true}
	}
	if t != nil && !now.Before(t.ends) {
		r.before = summary{kind: k, failure: t.failure, more: t.kept, ends: t.ends}
		t = nil
	}
	if t == nil {
		t = &tally{ends: now.Add(window), failure: failure}
		c.kinds[k] = t
	}
	if r.write = t.written < firstLines; r.write {
		t.written++
		return r
	}
	if t.kept++; t.kept == 1 {
		r.due = t.ends
	}
	return r
}

// forget drops kinds whose window has ended with all of its lines written. It returns true if there is room for another kind.
func (c *counter) forget(now time.Time) bool {
	for k, t := range c.kinds {
		if t.kept == 0 && !now.Before(t.ends) {
			delete(c.kinds, k)
		}
	}
	return len(c.kinds) < maxKinds
}

// due takes the summaries that are due at a time, and forgets their kinds. With all it takes them all.
func (c *counter) due(now time.Time, all bool) (list []summary) {
	for k, t := range c.kinds {
		if !all && now.Before(t.ends) {
			continue
		}
		if t.kept > 0 {
			list = append(list, summary{kind: k, failure: t.failure, more: t.kept, ends: t.ends})
		}
		delete(c.kinds, k)
	}
	slices.SortFunc(list, func(a, b summary) int {
		return cmp.Or(a.ends.Compare(b.ends), cmp.Compare(a.kind.message, b.kind.message), cmp.Compare(a.kind.class, b.kind.class))
	})
	return list
}
