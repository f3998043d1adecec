package consumer

import (
	"container/heap"
	"slices"
)

// give leaves the events of a partition to its next owner, as far as they wait for a call or a list. Those under way are left when they would
// have to wait again. From now on none of its events is called anew.
func (q *queue) give(p *partition) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.leaving.Store(true)
	for _, c := range q.conversations {
		if !slices.ContainsFunc(c.queued, ofLeaving) {
			continue
		}
		c.queued = q.stayLocked(c.queued)
		switch {
		case len(c.queued) == 0:
			if c.in != nil {
				heap.Remove(c.in, c.index)
			}
			q.dropLocked(c)
		case c.in != nil:
			c.setOldest()
			heap.Fix(c.in, c.index)
		}
	}
	q.giveListedLocked()
	q.countLocked()
}

// stayLocked returns the events of partitions that are not given up, and leaves the others.
func (q *queue) stayLocked(events []*event) []*event {
	return slices.DeleteFunc(events, func(ev *event) bool {
		if !ofLeaving(ev) {
			return false
		}
		q.breaker.ended(ev)
		q.leave(ev)
		return true
	})
}

// giveListedLocked leaves the events that wait for a list. A list that is under way may have nobody to wait for it then.
func (q *queue) giveListedLocked() {
	if q.lists == nil {
		return
	}
	q.lists.desk.Each(func(a *account) {
		q.lists.desk.Retain(a, func(ev *event, _ bool) bool {
			if !ofLeaving(ev) {
				return true
			}
			q.lists.breaker.ended(ev)
			q.releasedLocked(ev)
			q.leave(ev)
			return false
		})
		if len(q.lists.desk.Waiting(a)) == 0 {
			delete(q.lists.delays, a.Name)
		}
	})
	q.lists.counted(q.lists.len())
}

func ofLeaving(ev *event) bool { return ev.partition.leaving.Load() }
