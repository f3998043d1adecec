package consumer

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"
)

// newOpener returns what opens the partitions that the group has given to member m. The quota is shared by so many partitions,
// 0 if it is not shared.
func (c *Consumer) newOpener(m *member, ids []int, shares int, kafkas *connections, log *slog.Logger) *opener {
	return &opener{
		assignment: &assignment{
			cfg: &c.cfg, client: kafkas.client, source: kafkas.log(c.cfg.Topic), limiter: c.limiter, metrics: c.cfg.Metrics, log: log,
			loops: c.loops, ids: ids, shares: shares,
		},
		sender: newCommitSender(m, &c.cfg, kafkas, log), began: c.began, troubled: c.troubled, atStart: c.atStart,
	}
}

// workOn opens the partitions of an assignment and works on them until the generation ends or stop is closed. An error is one that
// Run ends with.
func (c *Consumer) workOn(generation context.Context, stop <-chan struct{}, o *opener, to topicWriters) error {
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
			o.log.LogAttrs(ctx, slog.LevelError, "the partitions are not opened: leaving the group", slog.Any("error", err))
			return err
		}
		return nil // the generation has ended
	}
	s := c.newSession(ctx, o.assignment, committer, to)
	if len(o.ids) == 0 {
		c.worked.Store(true)
	}
	c.working(s)
	defer context.AfterFunc(ctx, func() { s.ends(stop) })()
	err = s.run(ctx, cancel, stop)
	left := s.unfinished()
	c.left.Store(&left)
	if text := s.unreached(); text != "" {
		since := time.Now()
		if over := s.over.Load(); over != nil {
			since = over.since
		}
		c.trouble.Store(&trouble{text: text, unreached: true, since: since})
	}
	return err
}

// newSession returns a session with its parts. Its work outlives ctx.
func (c *Consumer) newSession(ctx context.Context, owned *assignment, commits *committer, to topicWriters) *session {
	l := c.newPipeline(owned, commits, to) //nolint:contextcheck // a line of the log needs none
	s := &session{
		log: owned.log, drainTimeout: c.cfg.DrainTimeout,
		owned: owned, deadLetters: l.deadLetters, outcomes: l.outcomes, committer: commits, stalls: l.stalls,
		dispatcher: &dispatcher{
			api: c.cfg.API, queue: l.queue, breaker: c.breaker, limiter: c.limiter, pipeline: l, stalls: l.stalls, metrics: l.metrics, log: owned.log, loops: c.loops,
			underWay: semaphore.NewWeighted(int64(c.cfg.MaxCalls)), goroutines: newGoroutinePool(),
		},
	}
	s.lister = &lister{
		lists: c.cfg.Lists, queue: l.queue, breaker: c.lists, limiter: c.limiter.beside, pipeline: l, stalls: l.stalls, metrics: l.metrics,
		loops: c.loops, log: owned.log, underWay: semaphore.NewWeighted(MaxLists),
	}
	s.work, s.cancelWork = context.WithCancel(context.WithoutCancel(ctx))
	for _, p := range owned.partitions {
		s.fetchers = append(s.fetchers, c.newFetcher(p, owned, l))
	}
	return s
}

func (c *Consumer) newPipeline(owned *assignment, commits *committer, to topicWriters) *pipeline {
	l := &pipeline{
		maxEventAge: c.cfg.MaxEventAge, capacity: newCapacity(c.cfg), committer: commits, metrics: c.cfg.Metrics, traces: newEventTraces(c.cfg),
	}
	expired := func(ev *event) bool { return ev.expired(l.maxEventAge) }
	l.queue = newQueue(c.cfg, c.breaker, expired, l.full, func(ready int) {
		l.metrics.callWaiters.Set(float64(ready))
		c.limiter.ready.Store(int64(ready))
	})
	l.queue.retried = func(ev *event, a Answer, due time.Time) { c.causes.tell(owned.log, c.cfg.Topic, ev, a, due) }
	if c.cfg.RevivedCheck > 0 {
		l.queue.lists = newListQueue(c.cfg, c.lists, l.queue.spacing)
	}
	from := provenance{
		topic: c.cfg.Topic, group: c.cfg.Group, outcomeTopic: c.cfg.OutcomeTopic, hidesAccounts: c.cfg.OutcomesHideAccounts,
	}
	l.outcomes = newOutcomes(outcomesConfig{
		from: from, to: to.outcomes, capacity: l.capacity, metrics: l.metrics, log: owned.log, loops: c.loops, written: l.end,
	})
	l.deadLetters = newDeadLetters(deadLettersConfig{
		from: from, topic: c.cfg.DeadLetterTopic, writers: to.deadLetters, source: owned.source,
		capacity: l.capacity, metrics: l.metrics, log: owned.log, loops: c.loops, written: l.outcomes.add,
	})
	l.stalls = newStallWatch(l.queue, l.deadLetters, l.outcomes, owned.partitions)
	return l
}

func (c *Consumer) newFetcher(p *partition, owned *assignment, l *pipeline) *fetcher {
	return &fetcher{
		p: p, owned: owned, source: owned.source, capacity: l.capacity, pipeline: l, metrics: l.metrics,
		log:            owned.log.With(slog.String("topic", c.cfg.Topic), slog.Int("partition", p.id)),
		mayFetch:       func(ctx context.Context) error { return c.breaker.awaitFetch(ctx, l.queue.len) },
		maxRecordBytes: c.cfg.MaxRecordBytes, size: newFetchSize(), atStart: c.atStart, worked: func() { c.worked.Store(true) },
	}
}

// full says whether the pending events alone leave no room for another. A dead letter or an outcome that waits for its topic says
// nothing of the API.
func (l *pipeline) full() bool {
	unwritten, _ := l.deadLetters.unacknowledged()
	return unwritten == 0 && l.outcomes.waiting.Load() == 0 && l.capacity.full()
}
