package consumer

import (
	"container/heap"
	"context"
	"time"
)

// wake makes awaitReady look again.
func (q *queue) wake() {
	select {
	case q.woken <- struct{}{}:
	default:
	}
}

// watch notes the loop that takes conversations.
func (q *queue) watch(taker *loop) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taker = taker
	q.countLocked()
}

// awaitReady returns when a conversation is ready to be called.
func (q *queue) awaitReady(ctx context.Context) error {
	for {
		ready, due := q.promote(time.Now())
		if ready {
			return ctx.Err()
		}
		l := loopOf(ctx)
		l.idles(true)
		err := wait(ctx, due, q.woken)
		l.idles(false)
		if err != nil {
			return err
		}
	}
}

// promote makes conversations ready whose wait is over. It says whether any is ready, and when the next one will be (zero: none
// waits).
func (q *queue) promote(now time.Time) (ready bool, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.waiting.Len() > 0 && !q.waiting.list[0].due.After(now) {
		p, _ := heap.Pop(q.waiting).(*pending)
		q.pushReadyLocked(p)
	}
	if q.waiting.Len() > 0 {
		due = q.waiting.list[0].due
	}
	return q.readyLocked() > 0, due
}
