package consumer

import (
	"container/heap"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/consumer/internal/breaker"
	"convdel/consumer/internal/revival"
	"convdel/schema"
)

// pending is a conversation with unfinished events. There is at most one call for it at a time: events that arrive while it
// waits share its next call; events that arrive while it is called share the one after, since the call under way may have been
// answered before they happened.
type pending struct {
	conversation schema.Conversation
	// queued are the events that the next call answers, calling those of the call under way.
	queued, calling []*event
	// revoked is how many of its events wait for another list before they are queued again.
	revoked int
	// oldest is the earliest event time of queued.
	oldest time.Time
	// arrival numbers conversations in the order in which they have become pending.
	arrival int
	// due is when a waiting conversation is ready again.
	due time.Time
	// in is the heap that it is in, nil while it is called, index its place there.
	in    *pendingHeap
	index int
	// failed says that one of its calls has failed, though others may have been at fault.
	failed bool
	// call is the last one; standing is what the breaker knows of the conversation.
	call     breaker.Call
	standing breaker.Standing
	// backoff spaces the attempts; nil until the first failure.
	backoff *backoff.ExponentialBackOff
}

// ended is an event that a queue has let go, and how it has ended.
type ended struct {
	*event
	outcome Outcome
}

// queue holds the pending conversations. It gives them out, and keeps those that wait for their next attempt without a goroutine
// and without quota.
type queue struct {
	breaker     *breakerGuard
	maxAttempts int
	// expired says whether an event has become too old to be executed, and makes that its error.
	expired func(*event) bool
	// full says whether no further event has room.
	full func() bool
	// spacing makes the backoff between the attempts of a conversation.
	spacing func() *backoff.ExponentialBackOff
	// counted is told how many conversations are ready, whenever that changes. It must not call the queue.
	counted func(ready int)
	// retried, if not nil, is told of a failed call: the first of its events that go on, the answer, and when the next call is due. It must not
	// call the queue.
	retried func(ev *event, a Answer, due time.Time)
	// lists says which events an account's list must allow; nil: none.
	lists *listQueue
	// leave is told of an event that is left to its partition's next owner. It must not call the queue.
	leave func(*event)

	// mu is held while the breaker rules on an answer: all events are as they were when it opened. The breaker's lock and
	// those of counted are taken inside it, never the other way round.
	mu            sync.Mutex
	conversations map[schema.Conversation]*pending
	// fresh and failed conversations can be called, oldest event first; waiting ones are ordered by when they are due.
	fresh, failed, waiting *pendingHeap
	// arrivals counts the conversations that have become pending.
	arrivals int
	// lastFailed says that the last call went to a failed one.
	lastFailed bool
	woken      chan struct{}
	// taker is the loop that takes conversations; nil before there is one.
	taker *loop
}

func newQueue(cfg Config, guard *breakerGuard, expired func(*event) bool, full func() bool, counted func(ready int)) *queue {
	return &queue{
		breaker: guard, maxAttempts: cfg.MaxAttempts, expired: expired, full: full, counted: counted,
		spacing: func() *backoff.ExponentialBackOff {
			return backoff.NewExponentialBackOff(
				backoff.WithInitialInterval(cfg.RetryInitial), backoff.WithMaxInterval(cfg.RetryMax),
				backoff.WithMultiplier(2), backoff.WithMaxElapsedTime(0))
		},
		conversations: make(map[schema.Conversation]*pending),
		fresh:         &pendingHeap{less: oldestFirst}, failed: &pendingHeap{less: oldestFirst},
		waiting: &pendingHeap{less: dueFirst},
		woken:   make(chan struct{}, 1),
	}
}

// join puts an event with the others of its conversation, or has it wait for its account's list. It returns the event if it is not to be
// executed.
func (q *queue) join(ev *event) (over []ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch q.examineLocked(ev, time.Now()) {
	case revival.Wait:
		q.awaitListLocked(ev)
	case revival.Revived:
		over = append(over, ended{ev, OutcomeRevived})
	case revival.Execute:
		q.joinLocked(ev)
	}
	return over
}

func (q *queue) joinLocked(ev *event) {
	p := q.conversations[ev.conversation]
	if p == nil {
		q.arrivals++
		p = &pending{conversation: ev.conversation, queued: []*event{ev}, oldest: ev.at, arrival: q.arrivals}
		q.conversations[ev.conversation] = p
		q.pushReadyLocked(p)
		return
	}
	p.queued = append(p.queued, ev)
	if len(p.queued) == 1 || ev.at.Before(p.oldest) {
		p.oldest = ev.at
	}
	switch {
	case p.in == q.fresh || p.in == q.failed:
		heap.Fix(p.in, p.index)
	case p.in == nil && len(p.calling) == 0: // its events have waited for a list
		q.pushReadyLocked(p)
	}
}

// len is how many conversations are pending. Those of which all events wait for a list are not: no call can be made for them.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lists.len() == 0 {
		return len(q.conversations)
	}
	n := 0
	for _, p := range q.conversations {
		if len(p.queued)+len(p.calling) > 0 {
			n++
		}
	}
	return n
}

// retrying is how many of them wait for their next attempt, and how many accounts' lists are waited for.
func (q *queue) retrying() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting.Len() + q.lists.accounts()
}

// countLocked tells how many conversations can be called.
func (q *queue) countLocked() {
	n := q.readyLocked()
	q.counted(n)
	q.taker.has(n > 0)
}

// readyLocked is how many conversations can be called.
func (q *queue) readyLocked() int { return q.fresh.Len() + q.failed.Len() }

// answered has the breaker rule on the answer to a call, and puts back the events that go on. It returns those that have ended.
func (q *queue) answered(p *pending, a Answer) (over []ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kind, calling := kindOf(a), p.calling
	p.failed = p.failed || kind.Failure() || kind == breaker.Halted
	ruling := q.breaker.answered(q.evidenceLocked(p, kind, a.Quiet), a, calling)
	if ruling.Change == breaker.Opened {
		q.forgetLocked()
	}
	p.calling = nil
	if kind.Failure() || kind.Final() && !ruling.Void {
		for _, ev := range calling {
			ev.answered(a, p.call.Began)
		}
	}
	switch {
	case ruling.Void, kind == breaker.Renewed:
		q.putBackLocked(p, calling, 0)
	case kind == breaker.Deleted:
		over = endAll(calling, OutcomeDeleted)
		q.putBackLocked(p, nil, 0)
	case kind == breaker.Refused, kind == breaker.Denied:
		for _, ev := range calling {
			q.breaker.ended(ev) // a probe for it may have failed before
		}
		over = endAll(calling, OutcomePermanent)
		q.putBackLocked(p, nil, 0)
	case kind == breaker.Throttled:
		q.putBackLocked(p, calling, a.Quiet+q.delay(p))
	default:
		q.retryLocked(p, calling, a, &over)
	}
	return over
}

// retryLocked puts back the events that have an attempt left, to wait for quiet and the backoff.
func (q *queue) retryLocked(p *pending, calling []*event, a Answer, over *[]ended) {
	left := calling[:0]
	for _, ev := range calling {
		if ev.attempts.Counted >= q.maxAttempts {
			*over = append(*over, ended{ev, OutcomeExhausted})
		} else {
			left = append(left, ev)
		}
	}
	left = q.stayLocked(left)
	q.putBackLocked(p, left, a.Quiet+q.delay(p))
	if q.retried != nil && len(left) > 0 && kindOf(a).Failure() {
		q.retried(left[0], a, p.due)
	}
}

// delay is how long to wait after a failed call: exponential, with jitter.
func (q *queue) delay(p *pending) time.Duration {
	if p.backoff == nil {
		p.backoff = q.spacing()
	}
	return p.backoff.NextBackOff()
}

// forgetLocked has the failed calls of all waiting events counted or forgotten: the breaker has opened.
func (q *queue) forgetLocked() {
	for _, p := range q.conversations {
		q.breaker.forget(p.queued)
		q.breaker.forget(p.calling)
		p.backoff = nil
	}
	q.lists.all(q.breaker.forget)
}

// putBackLocked ends a call: the events of left, and those that arrived meanwhile, get another one after delay; with none of either
// the conversation is not pending any more.
func (q *queue) putBackLocked(p *pending, left []*event, delay time.Duration) {
	left = q.stayLocked(left)
	if len(left) == 0 && p.revoked == 0 {
		p.backoff, p.standing, p.failed, delay = nil, breaker.Standing{}, false, 0
	}
	p.queued = append(left, p.queued...)
	if len(p.queued) == 0 {
		q.dropLocked(p)
		return
	}
	p.setOldest()
	if delay <= 0 {
		q.pushReadyLocked(p)
		return
	}
	p.due = time.Now().Add(delay)
	heap.Push(q.waiting, p)
	q.wake()
}

// setOldest finds the earliest event time of what is queued.
func (p *pending) setOldest() {
	p.oldest = p.queued[0].at
	for _, ev := range p.queued {
		if ev.at.Before(p.oldest) {
			p.oldest = ev.at
		}
	}
}

// dropLocked forgets a conversation that has no event left.
func (q *queue) dropLocked(p *pending) {
	if len(p.queued)+len(p.calling)+p.revoked == 0 {
		delete(q.conversations, p.conversation)
	}
}

func (q *queue) pushReadyLocked(p *pending) {
	if p.failed {
		heap.Push(q.failed, p)
	} else {
		heap.Push(q.fresh, p)
	}
	q.countLocked()
	q.wake()
}

func endAll(events []*event, o Outcome) []ended {
	over := make([]ended, len(events))
	for i, ev := range events {
		over[i] = ended{ev, o}
	}
	return over
}
