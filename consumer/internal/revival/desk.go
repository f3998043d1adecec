package revival

import (
	"slices"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/schema"
)

// Desk keeps events that wait for their account's list. E is an event. Make it with [NewDesk].
type Desk[E any] struct {
	accounts map[string]*Account[E]
	waiting  int
	shelf    shelf
	// failedLast says that the last list was that of an account whose lists have failed.
	failedLast bool
}

// Account is an account whose list events wait for.
type Account[E any] struct {
	Name string
	// Call is its last list, zero before the first. Standing is what the breaker knows of it.
	Call     breaker.Call
	Standing breaker.Standing
	// waiting are the events, oldest the earliest time of one.
	waiting []waiting[E]
	oldest  time.Time
	// due is when its next list may be read, after one that has failed.
	due time.Time
	// failed says that its last list has failed, listed that one is being read.
	failed, listed bool
}

type waiting[E any] struct {
	event E
	at    time.Time
	// asked says that it waited when the reading of a list began. What becomes of that list is an attempt of such events alone.
	asked bool
}

// NewDesk returns a desk at which no event waits.
func NewDesk[E any]() *Desk[E] { return &Desk[E]{accounts: make(map[string]*Account[E])} }

// Len is how many events wait.
func (d *Desk[E]) Len() int { return d.waiting }

// Accounts is how many accounts they wait for.
func (d *Desk[E]) Accounts() int { return len(d.accounts) }

// Rule rules on an event for conversation c by the lists at hand, see [List.Rule].
func (d *Desk[E]) Rule(c schema.Conversation, at, now time.Time) Ruling {
	return d.shelf.lists[c.From].Rule(c, at, now)
}

// List returns the last list of an account that is at hand; nil if there is none.
func (d *Desk[E]) List(account string) *List { return d.shelf.lists[account] }

// Wait has an event, which happened at a time, wait for the account's list.
func (d *Desk[E]) Wait(account string, event E, at time.Time) {
	a := d.accounts[account]
	if a == nil {
		a = &Account[E]{Name: account}
		d.accounts[account] = a
	}
	if len(a.waiting) == 0 || at.Before(a.oldest) {
		a.oldest = at
	}
	a.waiting = append(a.waiting, waiting[E]{event: event, at: at})
	d.waiting++
}

// Next returns the account whose list is to be read at a time; nil if there is none. due is then when there will be one, zero if that takes
// another event. As a probe, the account is best that was never listed, then the one whose list is the longest ago.
func (d *Desk[E]) Next(probe bool, now time.Time) (a *Account[E], due time.Time) {
	var fresh, failed *Account[E]
	for _, a := range d.accounts {
		switch {
		case a.listed:
		case a.due.After(now):
			if due.IsZero() || a.due.Before(due) {
				due = a.due
			}
		case a.failed && !probe:
			failed = better(a, failed, probe)
		default:
			fresh = better(a, fresh, probe)
		}
	}
	if fresh == nil || failed != nil && !d.failedLast {
		return failed, due
	}
	return fresh, due
}

// better returns the account that goes first.
func better[E any](a, than *Account[E], probe bool) *Account[E] {
	if than == nil {
		return a
	}
	first, second := a.oldest, than.oldest
	if probe {
		first, second = a.Call.Began, than.Call.Began
	}
	if order := first.Compare(second); order < 0 || order == 0 && a.Name < than.Name {
		return a
	}
	return than
}

// Begin notes that the account's list is being read.
func (d *Desk[E]) Begin(a *Account[E], call breaker.Call) {
	a.Call, a.listed = call, true
	d.failedLast = a.failed
	for i := range a.waiting {
		a.waiting[i].asked = true
	}
}

// Waiting are the events that wait for the account's list.
func (d *Desk[E]) Waiting(a *Account[E]) []E {
	all := make([]E, len(a.waiting))
	for i, w := range a.waiting {
		all[i] = w.event
	}
	return all
}

// Asked are those of them that waited when its last list began.
func (d *Desk[E]) Asked(a *Account[E]) []E {
	all := make([]E, 0, len(a.waiting))
	for _, w := range a.waiting {
		if w.asked {
			all = append(all, w.event)
		}
	}
	return all
}

// All calls a function with all events that wait.
func (d *Desk[E]) All(of func([]E)) {
	for _, a := range d.accounts {
		of(d.Waiting(a))
	}
}

// Each calls a function with each account. The function may call [Desk.Retain].
func (d *Desk[E]) Each(of func(*Account[E])) {
	for _, a := range d.accounts {
		of(a)
	}
}

// Retain keeps the events that wait for the account's list and for which keep returns true. asked is as in [Desk.Asked].
func (d *Desk[E]) Retain(a *Account[E], keep func(event E, asked bool) bool) {
	before := len(a.waiting)
	a.waiting = slices.DeleteFunc(a.waiting, func(w waiting[E]) bool { return !keep(w.event, w.asked) })
	d.waiting -= before - len(a.waiting)
	for i, w := range a.waiting {
		if i == 0 || w.at.Before(a.oldest) {
			a.oldest = w.at
		}
	}
	d.drop(a)
}

// Read notes that the account's list was read. The caller rules on the events that wait for it.
func (d *Desk[E]) Read(a *Account[E], l *List, now time.Time) {
	d.shelf.put(a.Name, l, now)
	a.listed, a.failed, a.due = false, false, time.Time{}
}

// Failed notes that the account's list could not be read, or did not rule on an event; and when it may be read again.
func (d *Desk[E]) Failed(a *Account[E], due time.Time) { a.listed, a.failed, a.due = false, true, due }

// Released notes that the account's list was not read after all.
func (d *Desk[E]) Released(a *Account[E]) {
	a.listed = false
	d.drop(a)
}

// drop forgets an account that nobody waits for.
func (d *Desk[E]) drop(a *Account[E]) {
	if len(a.waiting) == 0 && !a.listed {
		delete(d.accounts, a.Name)
	}
}
