package imclient

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shelf is a model of the API's list of an account. Each change has a second of its own.
type shelf struct {
	// items are in order of their messages.
	items []Conversation
	clock int64
	// lost are those that were gone at some time since watch.
	lost map[string]bool
	// ever are all that there ever were.
	ever map[string]bool

	// size is the size of a page. oldest puts the oldest first. byTime has cursors that say where to go on, and not how many there were.
	size           int
	oldest, byTime bool
}

func (s *shelf) message(name string, pinned bool) {
	s.items = slices.DeleteFunc(s.items, func(c Conversation) bool { return c.To == name })
	s.clock++
	s.items = append(s.items, Conversation{Type: C2C, To: name, MsgTime: time.Unix(s.clock, 0).UTC(), Pinned: pinned})
	s.ever[name] = true
}

func (s *shelf) vanish(name string) {
	s.items = slices.DeleteFunc(s.items, func(c Conversation) bool { return c.To == name })
	s.lost[name] = true
}

// part returns a page of the pinned or of the others: what is shown, the cursors behind it, and how much is left.
func (s *shelf) part(pinned bool, at, index int64, room int) (shown []Conversation, next, nextIndex int64, left int) {
	var all []Conversation
	for _, c := range s.items {
		if c.Pinned == pinned {
			all = append(all, c)
		}
	}
	if !s.oldest {
		slices.Reverse(all)
	}
	if s.byTime {
		all = slices.DeleteFunc(all, func(c Conversation) bool {
			return at != 0 && (s.oldest && c.MsgTime.Unix() <= at || !s.oldest && c.MsgTime.Unix() >= at)
		})
	} else {
		all = all[min(int(index), len(all)):]
	}
	shown = all[:min(room, len(all))]
	if len(shown) > 0 {
		at, index = shown[len(shown)-1].MsgTime.Unix(), index+int64(len(shown))
	}
	if !s.byTime {
		at = 0
	}
	return shown, at, index, len(all) - len(shown)
}

func (s *shelf) page(at cursors) page {
	top, topAt, topIndex, topLeft := s.part(true, at[2], at[3], s.size)
	rest, restAt, restIndex, restLeft := s.part(false, at[0], at[1], s.size-len(top))
	return page{
		items: slices.Concat(top, rest),
		last:  topLeft+restLeft == 0,
		next:  cursors{restAt, restIndex, topAt, topIndex},
	}
}

// TestListsNeitherInventNorLose: whatever appears, gets messages and goes between pages, each conversation given existed, none is given
// twice, and a list that is called complete has all that were there from its first call to its last.
func TestListsNeitherInventNorLose(t *testing.T) {
	t.Parallel()
	completed, changed := 0, 0
	for range 20 { // of a hundred lists each
		rapid.Check(t, func(rt *rapid.T) { readShelf(rt, &completed, &changed) })
	}
	t.Logf("%d lists were complete, %d of them although something changed", completed, changed)
	if completed == 0 || changed == 0 {
		t.Error("the property was never tried")
	}
}

// readShelf reads one list while it changes.
func readShelf(t *rapid.T, completed, changed *int) {
	s := &shelf{
		lost: map[string]bool{}, ever: map[string]bool{}, size: rapid.IntRange(1, 4).Draw(t, "size"),
		oldest: rapid.Bool().Draw(t, "oldest first"), byTime: rapid.Bool().Draw(t, "cursors by time"),
	}
	pinned := func(i int) bool { return i%5 == 4 }
	name := func(i int) string { return fmt.Sprintf("c%d", i) }
	for i := range rapid.IntRange(0, 8).Draw(t, "at first") {
		s.message(name(i), pinned(i))
	}
	begin := make(map[string]bool)
	for _, c := range s.items {
		begin[c.To] = true
	}
	busy := rapid.IntRange(0, 4).Draw(t, "busy")
	given := make(map[string]bool)
	changes := 0
	r := newReading()
	for !r.over {
		for _, c := range r.take(s.page(r.at)) {
			if given[c.To] || !s.ever[c.To] {
				t.Fatalf("%s given twice, or never there", c.To)
			}
			given[c.To] = true
		}
		if r.over {
			break
		}
		for range rapid.IntRange(0, busy).Draw(t, "changes") {
			changes++
			if i := rapid.IntRange(0, 9).Draw(t, "which"); rapid.Bool().Draw(t, "goes") {
				s.vanish(name(i))
			} else {
				s.message(name(i), pinned(i))
			}
		}
	}
	if changes == 0 && r.doubt != "" {
		t.Fatalf("nothing changed, and still: %s", r.doubt)
	}
	if r.doubt != "" {
		return
	}
	*completed++
	if changes > 0 {
		*changed++
	}
	for lasting := range begin {
		if !s.lost[lasting] && !given[lasting] {
			t.Fatalf("complete without %s, which was there all the time", lasting)
		}
	}
}

func conversations(names string) []Conversation {
	var list []Conversation
	for name := range strings.FieldsSeq(names) {
		list = append(list, Conversation{Type: C2C, To: name})
	}
	return list
}

// TestWhenAListIsComplete has pages and what is to be thought of them: the doubt, the conversations, the number of pages.
func TestWhenAListIsComplete(t *testing.T) {
	t.Parallel()
	next := func(n int64) cursors { return cursors{n, n} }
	more := func(names string, to int64) page { return page{items: conversations(names), next: next(to)} }
	last := func(names string) page { return page{items: conversations(names), last: true} }
	renewed := last("c")
	renewed.items[0].MsgTime = time.Unix(5, 0)
	pinned := last("c")
	pinned.items[0].Pinned = true
	for name, tt := range map[string]struct {
		pages []page
		doubt string
		given string
	}{
		"empty":                     {[]page{last("")}, "", ""},
		"one page":                  {[]page{last("a b")}, "", "a b"},
		"two readings alike":        {[]page{more("a b", 2), last("c"), more("a b", 2), last("c")}, "", "a b c"},
		"other pages, same list":    {[]page{more("a b", 2), last("c"), more("a", 1), last("b c")}, "", "a b c"},
		"empty pages":               {[]page{more("", 1), last("a"), more("", 1), last("a")}, "", "a"},
		"short at the second time":  {[]page{more("a b", 2), last("c"), last("b")}, "", "a b c"},
		"one more":                  {[]page{more("a b", 2), last("c"), more("d a", 2), last("b c")}, "other conversations", "a b c d"},
		"one less":                  {[]page{more("a b", 2), last("c"), more("a", 1), last("c")}, "other conversations", "a b c"},
		"another order":             {[]page{more("a b", 2), last("c"), more("b a", 2), last("c")}, "other conversations", "a b c"},
		"a message":                 {[]page{more("a b", 2), last("c"), more("a b", 2), renewed}, "other conversations", "a b c"},
		"a pin":                     {[]page{more("a b", 2), last("c"), more("a b", 2), pinned}, "other conversations", "a b c"},
		"repeated":                  {[]page{more("a b", 2), last("b c")}, "came twice", "a b c"},
		"repeated in a page":        {[]page{last("a b a")}, "came twice", "a b"},
		"repeated later":            {[]page{more("a b", 2), last("c"), more("a b", 2), last("b c")}, "came twice", "a b c"},
		"unreadable":                {[]page{{items: conversations("a"), malformed: 2, last: true}}, "2 items could not be read", "a"},
		"unknown":                   {[]page{{items: conversations("a"), unknown: 2, last: true}}, "", "a"},
		"no way on":                 {[]page{more("a", 0)}, "lead back", "a"},
		"back to the first":         {[]page{more("a", 1), more("b", 0)}, "lead back", "a b"},
		"back":                      {[]page{more("a", 1), more("b", 2), more("c", 1)}, "lead back", "a b c"},
		"back at the second time":   {[]page{more("a", 1), last("b"), more("a", 0)}, "lead back", "a b"},
		"one cursor alone moves on": {[]page{more("a", 1), {next: cursors{1, 1, 0, 1}}, last("b"), more("a", 1), last("b")}, "", "a b"},
	} {
		r := newReading()
		var given []string
		for i, p := range tt.pages {
			if r.over {
				t.Errorf("%s: over after %d pages: %q", name, i, r.doubt)
				break
			}
			for _, c := range r.take(p) {
				given = append(given, c.To)
			}
		}
		if !r.over || !strings.Contains(r.doubt, tt.doubt) || (tt.doubt == "") != (r.doubt == "") {
			t.Errorf("%s: over %v, doubt %q, want %q", name, r.over, r.doubt, tt.doubt)
		}
		if got := strings.Join(given, " "); got != tt.given || r.counts.Given != len(given) {
			t.Errorf("%s: given %q (counted %d), want %q", name, got, r.counts.Given, tt.given)
		}
	}
}

// TestEndlessLists: pages without end come to one, and never count as complete.
func TestEndlessLists(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		each  int
		doubt string
		pages int
	}{
		"empty pages":        {0, "more than 1000 pages", maxPages},
		"more conversations": {100, "more than 10000 conversations", maxConversations / 100},
	} {
		r, pages, n := newReading(), 0, 0
		for ; !r.over; pages++ {
			p := page{next: cursors{0, int64(pages + 1)}}
			for range tt.each {
				n++
				p.items = append(p.items, Conversation{Type: G2C, To: strconv.Itoa(n)})
			}
			r.take(p)
		}
		if r.doubt != tt.doubt || pages != tt.pages {
			t.Errorf("%s: %d pages, doubt %q", name, pages, r.doubt)
		}
	}
}
