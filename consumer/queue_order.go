package consumer

// nextLocked finds the conversation to call: the one with the oldest event. Those that have failed and those that have not take
// turns: the oldest events are those that always fail, and if nothing else was called, the API would seem to be down.
func (q *queue) nextLocked() *pending {
	from := q.fresh
	if q.fresh.Len() == 0 || q.failed.Len() > 0 && !q.lastFailed {
		from = q.failed
	}
	if from.Len() == 0 {
		return nil
	}
	q.lastFailed = from == q.failed
	return from.list[0]
}

// bestProbeLocked finds the ready conversation to probe with: one that has not been called yet, otherwise the one whose last
// call is the longest ago, since a few events that always fail must not keep the breaker open. Of those that have not been
// called it is the last to arrive: what is left of a partition's oldest events when a new owner takes it over is what has kept failing.
func (q *queue) bestProbeLocked() (best *pending) {
	for _, from := range []*pendingHeap{q.fresh, q.failed} {
		for _, p := range from.list {
			if best == nil || betterProbe(p, best) {
				best = p
			}
		}
	}
	return best
}

func betterProbe(a, b *pending) bool {
	if !a.call.Began.IsZero() || !b.call.Began.IsZero() {
		return a.call.Began.Before(b.call.Began)
	}
	return a.arrival > b.arrival
}

// pendingHeap orders pending conversations for container/heap.
type pendingHeap struct {
	list []*pending
	less func(a, b *pending) bool
}

func oldestFirst(a, b *pending) bool { return a.oldest.Before(b.oldest) }
func dueFirst(a, b *pending) bool    { return a.due.Before(b.due) }

func (h *pendingHeap) Len() int           { return len(h.list) }
func (h *pendingHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

func (h *pendingHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}

func (h *pendingHeap) Push(x any) {
	p, _ := x.(*pending)
	p.in, p.index = h, len(h.list)
	h.list = append(h.list, p)
}

func (h *pendingHeap) Pop() any {
	last := len(h.list) - 1
	p := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	p.in, p.index = nil, -1
	return p
}
