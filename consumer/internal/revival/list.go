package revival

import (
	"math"
	"time"

	"convdel/schema"
)

const (
	// Serves is for how long a list serves, from its beginning.
	Serves = 10 * time.Second
	// maxShown is how many conversations of an account are kept. The vendor shows at most 500.
	maxShown = 1000
	// unknown is the time of a message that the API does not name: it may be after any event.
	unknown = math.MaxInt64
)

// Ruling is what a list says of an event.
type Ruling int

// The rulings.
const (
	// Wait: no list says anything of the event.
	Wait Ruling = iota
	// Execute: the event may be executed.
	Execute
	// Revived: the conversation has had a message since the event, or may have had one.
	Revived
)

// List is what an account's list of conversations shows. Make it with [NewList].
type List struct {
	began time.Time
	// last has the second of each conversation's last message.
	last map[item]int64
	// doubt says why the list may lack conversations; empty if it is complete. Until it is closed, it is in doubt.
	doubt string
}

// item names a conversation within an account's list.
type item struct {
	kind schema.ConversationType
	to   string
}

// NewList returns the list whose reading begins at a time. It shows nothing yet.
func NewList(began time.Time) *List {
	return &List{began: began, last: make(map[item]int64), doubt: "not read to its end"}
}

// Show notes a conversation and the time of its last message, zero if that is not known. It returns false if there is no room for more.
func (l *List) Show(c schema.Conversation, last time.Time) bool {
	if len(l.last) >= maxShown {
		return false
	}
	second := int64(unknown)
	if !last.IsZero() {
		second = last.Unix()
	}
	l.last[item{c.Type, c.To}] = second
	return true
}

// Close notes that the list was read. doubt says why it may lack conversations.
func (l *List) Close(doubt string) { l.doubt = doubt }

// Began is when its reading began.
func (l *List) Began() time.Time { return l.began }

// Doubt says why the list may lack conversations; empty if it is complete.
func (l *List) Doubt() string { return l.doubt }

// LastMessage is when a conversation has had its last message, zero if the list does not say so.
func (l *List) LastMessage(c schema.Conversation) time.Time {
	if second, shown := l.last[item{c.Type, c.To}]; shown && second != unknown {
		return time.Unix(second, 0)
	}
	return time.Time{}
}

// Rule rules at a time on an event of the list's account, for conversation c, that happened at another time. A nil list serves nobody.
func (l *List) Rule(c schema.Conversation, at, now time.Time) Ruling {
	if l == nil || !at.Before(l.began) || !Fresh(l.began, now) {
		return Wait
	}
	second, shown := l.last[item{c.Type, c.To}]
	switch {
	case !shown && l.doubt != "":
		return Wait
	case shown && second >= at.Unix():
		return Revived
	}
	return Execute
}

// Fresh says whether a list that began at a time still serves. Before the first list, that time is zero.
func Fresh(began, now time.Time) bool { return !began.IsZero() && now.Sub(began) <= Serves }
