package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/consumer/internal/breaker"
	"convdel/consumer/internal/revival"
	"convdel/schema"
)

// listQueue keeps the events that wait for their account's list. The queue's lock guards it. If it is nil, no event needs a list.
type listQueue struct {
	breaker *breakerGuard
	// after is the age from which on an event needs a list.
	after   time.Duration
	spacing func() *backoff.ExponentialBackOff
	desk    *revival.Desk[*event]
	// delays space the lists of the accounts whose last list has failed.
	delays map[string]*backoff.ExponentialBackOff
	// wanted wakes the lister.
	wanted chan struct{}
	// counted is told how many events wait, whenever that changes.
	counted func(events int)
}

// account is one whose list events wait for.
type account = revival.Account[*event]

func newListQueue(cfg Config, guard *breakerGuard, spacing func() *backoff.ExponentialBackOff) *listQueue {
	return &listQueue{
		breaker: guard, after: cfg.RevivedCheck, spacing: spacing, desk: revival.NewDesk[*event](),
		delays: make(map[string]*backoff.ExponentialBackOff), wanted: make(chan struct{}, 1),
		counted: func(events int) { cfg.Metrics.listWaiters.Set(float64(events)) },
	}
}

// len is how many events wait, accounts how many accounts they wait for.
func (l *listQueue) len() int {
	if l == nil {
		return 0
	}
	return l.desk.Len()
}

func (l *listQueue) accounts() int {
	if l == nil {
		return 0
	}
	return l.desk.Accounts()
}

// leave notes that the events that wait are left to the next owner of their partitions.
func (l *listQueue) leave() {
	if l != nil {
		l.counted(0)
	}
}

// all calls a function with all events that wait.
func (l *listQueue) all(of func([]*event)) {
	if l != nil {
		l.desk.All(of)
	}
}

// examineLocked rules on whether an event may be called now. If its conversation has had a message since, that becomes its error.
func (q *queue) examineLocked(ev *event, now time.Time) revival.Ruling {
	l := q.lists
	if l == nil || now.Sub(ev.at) <= l.after {
		return revival.Execute
	}
	ruling := l.desk.Rule(ev.conversation, ev.at, now)
	switch {
	case ruling == revival.Revived:
		ev.revivedBy(l.desk.List(ev.conversation.From))
	case ruling == revival.Wait && revival.Fresh(ev.listed, now):
		return revival.Execute
	}
	return ruling
}

// revivedBy makes an event's error that a list shows a message since. No failed list or call is the reason then, and what counts of these
// is told.
func (ev *event) revivedBy(l *revival.List) {
	ev.code = 0
	switch ev.attempts.Counted {
	case 0:
		ev.first, ev.last = time.Time{}, time.Time{}
	case 1: // the last one may not count
		ev.last = ev.first
	}
	if last := l.LastMessage(ev.conversation); !last.IsZero() {
		ev.err = fmt.Errorf("conversation has had a message since the event: its last one at %s, the event at %s",
			last.UTC().Format(time.RFC3339), ev.at.UTC().Format(time.RFC3339Nano))
		return
	}
	ev.err = errors.New("conversation may have had a message since the event: its account's list does not say when the last one was")
}

// awaitListLocked has an event wait for its account's list.
func (q *queue) awaitListLocked(ev *event) {
	q.lists.desk.Wait(ev.conversation.From, ev, ev.at)
	q.lists.counted(q.lists.len())
	wake(q.lists.wanted)
}

// revokeLocked has an event of p wait for another list. The conversation is kept, since the breaker knows it.
func (q *queue) revokeLocked(p *pending, ev *event) {
	ev.revoked = true
	p.revoked++
	q.awaitListLocked(ev)
}

// releasedLocked notes that an event waits for a list no longer.
func (q *queue) releasedLocked(ev *event) {
	if !ev.revoked {
		return
	}
	ev.revoked = false
	p := q.conversations[ev.conversation]
	p.revoked--
	q.dropLocked(p)
}

// awaitList returns when a list is to be read. It never does if no event needs one.
func (q *queue) awaitList(ctx context.Context) error {
	for {
		q.mu.Lock()
		a, due := q.lists.desk.Next(false, time.Now())
		q.mu.Unlock()
		if a != nil {
			return ctx.Err()
		}
		if err := wait(ctx, due, q.lists.wanted); err != nil {
			return err
		}
	}
}

// takeList takes the account whose list is read next. Events that have no attempt left, or have become too old, are in over. The
// account is nil where no event needs its list any more.
func (q *queue) takeList(probe bool) (a *account, over []ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l, now := q.lists, time.Now()
	if a, _ = l.desk.Next(probe, now); a == nil {
		return nil, nil
	}
	l.desk.Begin(a, l.breaker.begin(probe, l.desk.Waiting(a)))
	l.desk.Retain(a, func(ev *event, _ bool) bool {
		ev.attempts.Counted, ev.listing.Counted = ev.attempts.Counted+ev.listing.Counted, 0
		o := q.done(ev)
		if o == "" {
			return true
		}
		over = append(over, ended{ev, o})
		l.breaker.ended(ev)
		q.releasedLocked(ev)
		return false
	})
	l.counted(l.len())
	if len(l.desk.Waiting(a)) == 0 {
		l.desk.Released(a)
		delete(l.delays, a.Name)
		return nil, over
	}
	return a, over
}

// listed takes in what has become of the list of a. It returns the events that are over.
func (q *queue) listed(a *account, list *revival.List, answer ListAnswer) (over []ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lists
	defer func() { l.counted(l.len()) }()
	if answer.Failed != nil {
		return q.listFailedLocked(a, *answer.Failed)
	}
	kind := breaker.Deleted
	if answer.Doubt != "" { // of the API it says nothing
		kind = breaker.Throttled
	}
	l.breaker.answered(l.evidence(a, kind, 0), Answer{Verdict: Deleted, Err: doubtOf(answer)}, nil)
	now := time.Now()
	l.desk.Read(a, list, now)
	// A list that took too long serves nobody. It says nothing of its account, but the next one waits.
	doubted := !revival.Fresh(list.Began(), now)
	l.desk.Retain(a, func(ev *event, asked bool) bool {
		switch q.examineLocked(ev, now) {
		case revival.Wait:
			doubted = doubted || answer.Doubt != ""
			if answer.Doubt != "" && asked {
				ev.listFailed(Answer{Err: doubtOf(answer)}, a.Call.Began)
				l.breaker.failed(l.evidence(a, breaker.Unreached, 0), ev)
			}
			return true
		case revival.Revived:
			over = append(over, ended{ev, OutcomeRevived})
			q.releasedLocked(ev)
		case revival.Execute:
			ev.listed = list.Began()
			q.joinLocked(ev)
			q.releasedLocked(ev)
		}
		return false
	})
	if doubted && len(l.desk.Waiting(a)) > 0 {
		l.desk.Failed(a, now.Add(l.delay(a)))
	} else {
		delete(l.delays, a.Name)
	}
	wake(l.wanted)
	return over
}

// doubtOf is the doubt in a list as an error; nil if it is complete.
func doubtOf(a ListAnswer) error {
	if a.Doubt == "" {
		return nil
	}
	return errors.New("it may lack the conversation: " + a.Doubt)
}

// listFailedLocked takes in that the list of a could not be read: its events wait for the next one, unless the API has no such account.
// Events that came while it was read wait for the next one in any case.
func (q *queue) listFailedLocked(a *account, answer Answer) (over []ended) {
	l := q.lists
	kind, events := listKind(answer), l.desk.Asked(a)
	ruling := l.breaker.answered(l.evidence(a, kind, answer.Quiet), answer, events)
	if ruling.Change == breaker.Opened {
		l.all(l.breaker.forget)
		clear(l.delays)
	}
	if kind == breaker.Refused {
		l.desk.Retain(a, func(ev *event, asked bool) bool {
			if !asked {
				return true
			}
			ev.listFailed(answer, a.Call.Began)
			ev.attempts.Counted++
			l.breaker.ended(ev)
			over = append(over, ended{ev, OutcomePermanent})
			q.releasedLocked(ev)
			return false
		})
		l.desk.Released(a)
		delete(l.delays, a.Name)
		wake(l.wanted)
		return over
	}
	if kind.Failure() {
		for _, ev := range events {
			ev.listFailed(answer, a.Call.Began)
		}
	}
	delay := time.Duration(0)
	if kind != breaker.Renewed {
		delay = answer.Quiet + l.delay(a)
	}
	l.desk.Failed(a, time.Now().Add(delay))
	wake(l.wanted)
	return nil
}

// evidence is what the breaker needs to know of a list.
func (l *listQueue) evidence(a *account, kind breaker.Kind, quiet time.Duration) breaker.Evidence {
	return breaker.Evidence{
		Call: a.Call, Kind: kind, Conversation: schema.Conversation{From: a.Name}, Standing: &a.Standing, Quiet: quiet,
	}
}

// delay is how long to wait after a failed list.
func (l *listQueue) delay(a *account) time.Duration {
	if l.delays[a.Name] == nil {
		l.delays[a.Name] = l.spacing()
	}
	return l.delays[a.Name].NextBackOff()
}

// listFailed notes a list that could not be read, or does not rule on the event. Its reading began at began.
func (ev *event) listFailed(a Answer, began time.Time) {
	if ev.attempts.None() {
		ev.first = began
	}
	ev.last, ev.code, ev.err = began, a.Code, fmt.Errorf("its account's list of conversations: %w", a.Err)
}

// listKind sorts the answer to a list for the breaker. A failure counts only if it has a witness, whether it has a code or not. That the
// permission is missing is a fault of the service's own.
func listKind(a Answer) breaker.Kind {
	switch kind := kindOf(a); kind {
	case breaker.Deleted, breaker.Refused, breaker.Unreached, breaker.Throttled, breaker.Renewed, breaker.Halted:
		return kind
	case breaker.Coded, breaker.Denied:
	}
	return breaker.Unreached
}
