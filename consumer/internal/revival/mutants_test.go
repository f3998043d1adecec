//go:build mutants

package revival

import (
	"testing"

	"convdel/internal/testkit/mutation"
)

// TestMutantsApply: each broken rule still replaces something, and compiles.
func TestMutantsApply(t *testing.T) {
	t.Parallel()
	mutation.Apply(t, mutants())
}

// TestMutants: the package's tests notice each broken rule.
func TestMutants(t *testing.T) {
	t.Parallel()
	mutation.Notice(t, "consumer/internal/revival", mutants())
}

func mutants() []mutation.Mutant {
	return mutation.InPackage("consumer/internal/revival", [][4]string{
		{"a list serves for ever", "list.go", "now.Sub(began) <= Serves", "now.Sub(began) <= 100*Serves"},
		{"a list serves too short", "list.go", "now.Sub(began) <= Serves", "now.Sub(began) < Serves"},
		{"a list serves younger events", "list.go", "!at.Before(l.began) || ", ""},
		{"a list serves an event of its own moment", "list.go", "!at.Before(l.began)", "at.After(l.began)"},
		{"the event's second is before it", "list.go", "second >= at.Unix()", "second > at.Unix()"},
		{"an unknown time is long ago", "list.go", "	unknown = math.MaxInt64\n", "	unknown = math.MinInt64\n"},
		{"an incomplete list permits", "list.go", "!shown && l.doubt != \"\"", "!shown && l.doubt == \"none\""},
		{"an incomplete list rules on nothing", "list.go", "!shown && l.doubt != \"\"", "l.doubt != \"\""},
		{"a list is complete before its end", "list.go", "doubt: \"not read to its end\"", "doubt: \"\""},
		{"a group is a user", "list.go", "	second, shown := l.last[item{c.Type, c.To}]\n	switch", "	second, shown := l.last[item{schema.C2C, c.To}]\n	switch"},
		{"a list has no bound", "list.go", "	if len(l.last) >= maxShown {\n", "	if len(l.last) >= 10*maxShown {\n"},

		{"the shelf has no bound", "shelf.go", "s.shown > maxShelved || ", ""},
		{"lists stay on the shelf", "shelf.go", " || !Fresh(s.order[0].began, now)", ""},
		{"a new list goes with the old one", "shelf.go", "		if s.lists[oldest.account] == oldest.List {\n			delete(s.lists, oldest.account)\n		}\n", "		delete(s.lists, oldest.account)\n"},
		{"the shelf forgets what it drops", "shelf.go", "		s.shown -= 1 + len(oldest.last)\n", "		s.shown -= len(oldest.last)\n"},

		{"an account is listed twice at once", "desk.go", "		case a.listed:\n", ""},
		{"an account is listed before it is due", "desk.go", "		case a.due.After(now):\n", "		case a.due.After(now.Add(time.Second)):\n"},
		{"the next time is the last one", "desk.go", "a.due.Before(due)", "a.due.After(due)"},
		{"accounts that fail go first", "desk.go", "failed != nil && !d.failedLast", "failed != nil"},
		{"accounts that fail go last", "desk.go", "failed != nil && !d.failedLast", "failed != nil && d.failedLast && !d.failedLast"},
		{"the youngest event goes first", "desk.go", "order < 0 || order == 0", "order > 0 || order == 0"},
		{"a probe takes the oldest event", "desk.go", "	if probe {\n", "	if probe && a == nil {\n"},
		{"a failed list may be read at once", "desk.go", "a.listed, a.failed, a.due = false, true, due", "a.listed, a.failed, a.due = false, true, time.Time{}"},
		{"a list is an attempt of later events", "desk.go", "		if w.asked {\n", "		if w.asked || !w.asked {\n"},
		{"a list is nobody's attempt", "desk.go", "		a.waiting[i].asked = true\n", "		a.waiting[i].asked = a.failed\n"},
		{"the oldest event is the first", "desk.go", "len(a.waiting) == 0 || at.Before(a.oldest)", "len(a.waiting) == 0"},
		{"events that left are counted", "desk.go", "	d.waiting -= before - len(a.waiting)\n", "	d.waiting -= before - before\n"},
		{"the oldest event stays when it has left", "desk.go", "		if i == 0 || w.at.Before(a.oldest) {\n", "		if i < 0 || w.at.Before(a.oldest) {\n"},
		{"accounts stay", "desk.go", "	if len(a.waiting) == 0 && !a.listed {\n", "	if len(a.waiting) < 0 {\n"},
	})
}
