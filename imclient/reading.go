package imclient

import (
	"slices"
	"strconv"
)

// These bound the reading of a list. The vendor keeps at most 500 conversations of an account.
const (
	maxPages         = 1000
	maxConversations = 10_000
)

// entry identifies a conversation within a list.
type entry struct {
	kind int
	to   string
}

// pass is one reading of a list from its first page on.
type pass struct {
	// asked are the cursors of all pages so far.
	asked map[cursors]bool
	// shown are the conversations in the order of the pages, each once. within has the same ones.
	shown                        []Conversation
	within                       map[entry]bool
	repeated, unknown, malformed int
}

func newPass() *pass {
	return &pass{asked: map[cursors]bool{{}: true}, within: make(map[entry]bool)}
}

// reading decides which pages of a list are read, what is new in each, and whether the list is complete. It makes no calls.
type reading struct {
	// at are the cursors of the next page.
	at cursors
	// over says that there is none. doubt says why the list may not be complete then.
	over  bool
	doubt string

	now *pass
	// before is the pass before this one, nil for the first.
	before *pass
	given  map[entry]bool
	counts ListCounts
}

func newReading() *reading {
	return &reading{now: newPass(), given: make(map[entry]bool)}
}

// take takes the page that was asked for, and returns its conversations that no page has shown before.
func (r *reading) take(p page) []Conversation {
	var fresh []Conversation
	for _, c := range p.items {
		id := entry{kind: c.Type, to: c.To}
		if r.now.within[id] {
			r.now.repeated++
			continue
		}
		r.now.within[id] = true
		r.now.shown = append(r.now.shown, c)
		if !r.given[id] {
			r.given[id] = true
			fresh = append(fresh, c)
		}
	}
	r.now.unknown += p.unknown
	r.now.malformed += p.malformed
	r.counts.Given = len(r.given)
	r.counts.Repeated = max(r.counts.Repeated, r.now.repeated)
	r.counts.Unknown = max(r.counts.Unknown, r.now.unknown)
	r.counts.Malformed = max(r.counts.Malformed, r.now.malformed)
	r.proceed(&p)
	return fresh
}

// proceed decides what follows after a page.
func (r *reading) proceed(p *page) {
	switch {
	case p.last:
		r.endPass()
		return
	case r.now.asked[p.next]:
		r.end("the cursors of a page lead back to an earlier page")
	case len(r.now.asked) >= maxPages:
		r.end("more than " + strconv.Itoa(maxPages) + " pages")
	case len(r.given) >= maxConversations:
		r.end("more than " + strconv.Itoa(maxConversations) + " conversations")
	}
	r.at = p.next
	r.now.asked[p.next] = true
}

func (r *reading) end(doubt string) { r.over, r.doubt = true, doubt }

// endPass decides about the whole list, behind its last page. A single page shows the list at one moment. With several pages, a
// conversation is left out only if it, or one that was shown before it, has got a message or has gone. The next pass shows that: by another
// time, another order, or by what it lacks. So if two passes show the same, nothing was left out.
func (r *reading) endPass() {
	switch {
	case r.now.malformed > 0:
		r.end(strconv.Itoa(r.now.malformed) + " items could not be read")
	case r.now.repeated > 0:
		r.end("it changed while it was read: conversations came twice")
	case len(r.now.asked) == 1:
		r.end("")
	case r.before == nil:
		r.before, r.now, r.at = r.now, newPass(), cursors{}
	case slices.Equal(r.before.shown, r.now.shown):
		r.end("")
	default:
		r.end("it changed while it was read: a second reading shows other conversations")
	}
}
