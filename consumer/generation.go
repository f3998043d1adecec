package consumer

import (
	"context"
	"log/slog"

	"golang.org/x/sync/semaphore"
)

// newOpener returns what opens the partitions that the group has given to member m. The quota is shared by so many partitions,
// 0 if it is not shared.
func (c *Consumer) newOpener(m *member, ids []int, shares int, kafkas *connections, log *slog.Logger) *opener {
	return &opener{
		assignment: &assignment{
			cfg: &c.cfg, client: kafkas.client, source: kafkas.log(c.cfg.Topic), limiter: c.limiter, metrics: c.cfg.Metrics, log: log,
			ids: ids, shares: shares,
		},
		sender: newCommitSender(m, &c.cfg, kafkas, log), began: c.began, troubled: c.troubled,
	}
}

// workOn opens the partitions of an assignment and works on them until the generation ends or stop is closed. An error is one that
// Run ends with.
func (c *Consumer) workOn(generation context.Context, stop <-chan struct{}, o *opener, writers deadLetterWriters) error {
	ctx, cancel := context.WithCancel(generation)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	committer, err := o.open(ctx)
	if err != nil {
		if isFinal(err) {
			return err
		}
		return nil // the generation has ended
	}
	s := c.newSession(o.assignment, committer, writers)
	c.working(s)
	return s.run(ctx, cancel, stop)
}

// newSession wires the parts of a session.
func (c *Consumer) newSession(owned *assignment, commits *committer, writers deadLetterWriters) *session {
	s := &session{
		cfg: c.cfg, log: owned.log, metrics: c.cfg.Metrics, limiter: c.limiter, breaker: c.breaker,
		source: owned.source, owned: owned, committer: commits,
		goroutines: newGoroutinePool(),
		capacity:   newCapacity(c.cfg, c.cfg.Metrics.inFlight),
		slots:      semaphore.NewWeighted(int64(c.cfg.MaxCalls)),
	}
	s.queue = newQueue(c.cfg, c.breaker, s.expired, s.capacity.full, func(ready int) {
		s.metrics.callWaiters.Set(float64(ready))
		s.limiter.ready.Store(int64(ready))
	})
	s.deadLetters = newDeadLetters(deadLettersConfig{
		topic: c.cfg.Topic, group: c.cfg.Group, deadLetterTopic: c.cfg.DeadLetterTopic,
		writers: writers, source: owned.source, capacity: s.capacity, metrics: s.metrics, log: owned.log,
		acknowledged: s.end,
	})
	s.moved()
	return s
}
