package consumer

import (
	"container/heap"
	"slices"

	"convdel/consumer/internal/revival"
)

// take takes a ready conversation for a call. Events that have no attempt left, or have become too old, are not called: they are
// in over. p is nil where no event is left to call.
func (q *queue) take(probe bool) (p *pending, over []ended) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if probe {
		p = q.bestProbeLocked()
	} else {
		p = q.nextLocked()
	}
	if p == nil {
		return nil, nil
	}
	heap.Remove(p.in, p.index)
	q.countLocked()
	p.calling, p.queued = p.queued, nil
	p.call = q.breaker.begin(probe, p.calling)
	if over = q.sortOut(p); len(p.calling) > 0 {
		return p, over
	}
	q.putBackLocked(p, nil, 0)
	return nil, over
}

// sortOut takes the events out of a call that are not to be called any more, and those that wait for their account's list.
func (q *queue) sortOut(p *pending) (over []ended) {
	p.calling = slices.DeleteFunc(p.calling, func(ev *event) bool {
		if o := q.done(ev); o != "" {
			over = append(over, ended{ev, o})
			q.breaker.ended(ev)
			return true
		}
		switch q.examineLocked(ev, p.call.Began) {
		case revival.Wait:
			q.revokeLocked(p, ev)
			return true
		case revival.Revived:
			over = append(over, ended{ev, OutcomeRevived})
			q.breaker.ended(ev)
			return true
		case revival.Execute:
		}
		if ev.attempts.None() {
			ev.first = p.call.Began
		}
		return false
	})
	return over
}

// done says how an event ends that is not to be executed any more; empty if it may be.
func (q *queue) done(ev *event) Outcome {
	switch {
	case ev.attempts.Counted >= q.maxAttempts:
		return OutcomeExhausted
	case q.expired(ev):
		return OutcomeExpired
	}
	return ""
}
