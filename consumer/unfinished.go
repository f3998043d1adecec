package consumer

// Unfinished is the number of events in memory that have not ended, by state. A stop leaves them to the next owner of their
// partitions: their offsets are not committed.
type Unfinished struct {
	// Ready events can be called, Waiting ones wait for their next attempt or their account's list.
	Ready, Waiting int
	// Calling events have a call under way. After a stop their call was cut off: the API may have executed it.
	Calling int
	// DeadLetters are events whose dead letter no broker has acknowledged, Outcomes those of which nothing but the acknowledgement of
	// their outcome is missing.
	DeadLetters, Outcomes int
}

// Total is the number of all of them.
func (u Unfinished) Total() int { return u.Ready + u.Waiting + u.Calling + u.DeadLetters + u.Outcomes }

// Unfinished returns the unfinished events at this moment, and, once Run has returned, those that the stop has left.
func (c *Consumer) Unfinished() Unfinished {
	if s := c.session.Load(); s != nil {
		return s.unfinished()
	}
	if left := c.left.Load(); left != nil {
		return *left
	}
	return Unfinished{}
}

func (s *session) unfinished() Unfinished {
	u := s.dispatcher.queue.unfinished()
	u.Outcomes = int(s.outcomes.waiting.Load())
	u.DeadLetters = max(0, int(s.dispatcher.pipeline.capacity.admitted.Load())-u.Total())
	return u
}

// unfinished counts the events of all pending conversations.
func (q *queue) unfinished() (u Unfinished) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.conversations {
		u.Calling += len(p.calling)
		if p.in == q.waiting {
			u.Waiting += len(p.queued)
		} else {
			u.Ready += len(p.queued)
		}
	}
	u.Waiting += q.lists.len()
	return u
}
