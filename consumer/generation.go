package consumer

import (
	"context"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"
)

// workOn works on what this replica holds in a term of its membership, until ctx ends, the membership is lost, or the partitions have to be
// opened anew. stop is closed when Run is told to end. An error is one that Run ends with.
func (c *Consumer) workOn(ctx context.Context, stop <-chan struct{}, g *groupMember, term int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := c.newSession(ctx, g, term)
	c.session.Store(s)
	defer c.session.Store(nil)
	defer context.AfterFunc(ctx, func() { s.ends(stop) })()
	err := s.run(ctx, cancel, stop)
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
func (c *Consumer) newSession(ctx context.Context, g *groupMember, term int) *session {
	owned := &assignment{
		cfg: &c.cfg, client: g.kafkas.client, source: g.kafkas.log(c.cfg.Topic), share: g.share, metrics: c.cfg.Metrics, log: c.log,
		loops: c.loops, sees: g.sees, partitions: make(map[int]*partition),
	}
	named := func() (member, error) {
		now := g.member()
		return now, now.commits(term)
	}
	commits := newCommitter(owned, newCommitSender(named, g.commitRefused, &c.cfg, g.kafkas, c.log))
	work, cancelWork := context.WithCancel(context.WithoutCancel(ctx))
	to := g.kafkas.writers(work, &c.cfg)
	l := c.newPipeline(owned, commits, to) //nolint:contextcheck // a line of the log needs none
	s := &session{
		log: c.log, work: work, cancelWork: cancelWork, writers: to, drainTimeout: c.cfg.DrainTimeout, holdings: g.holdings, term: term,
		opener:      &opener{assignment: owned, committer: commits, began: c.began, atStart: c.atStart},
		newFetcher:  func(p *partition) *fetcher { return c.newFetcher(p, owned, l) },
		worked:      func() { c.worked.Store(true) },
		owned:       owned,
		deadLetters: l.deadLetters, outcomes: l.outcomes, committer: commits, stalls: l.stalls,
		dispatcher: &dispatcher{
			api: c.cfg.API, queue: l.queue, breaker: c.breaker, limiter: c.limiter, pipeline: l, stalls: l.stalls, metrics: l.metrics, log: c.log, loops: c.loops,
			underWay: semaphore.NewWeighted(int64(c.cfg.MaxCalls)), goroutines: newGoroutinePool(),
		},
	}
	s.lister = &lister{
		lists: c.cfg.Lists, queue: l.queue, breaker: c.lists, limiter: c.limiter.beside, pipeline: l, stalls: l.stalls, metrics: l.metrics,
		loops: c.loops, log: c.log, underWay: semaphore.NewWeighted(MaxLists),
	}
	return s
}

func (c *Consumer) newPipeline(owned *assignment, commits *committer, to *topicWriters) *pipeline {
	l := &pipeline{
		maxEventAge: c.cfg.MaxEventAge, capacity: newCapacity(c.cfg), committer: commits, metrics: c.cfg.Metrics, traces: newEventTraces(c.cfg),
	}
	expired := func(ev *event) bool { return ev.expired(l.maxEventAge) }
	l.queue = newQueue(c.cfg, c.breaker, expired, l.full, func(ready int) {
		l.metrics.callWaiters.Set(float64(ready))
		c.limiter.ready.Store(int64(ready))
	})
	l.queue.retried = func(ev *event, a Answer, due time.Time) { c.causes.tell(owned.log, c.cfg.Topic, ev, a, due) }
	l.queue.leave = l.leave
	if c.cfg.RevivedCheck > 0 {
		l.queue.lists = newListQueue(c.cfg, c.lists, l.queue.spacing)
	}
	from := provenance{
		topic: c.cfg.Topic, group: c.cfg.Group, outcomeTopic: c.cfg.OutcomeTopic, hidesAccounts: c.cfg.OutcomesHideAccounts,
	}
	l.outcomes = newOutcomes(outcomesConfig{
		from: from, to: to.outcomes, capacity: l.capacity, metrics: l.metrics, log: owned.log, loops: c.loops, written: l.end, leave: l.leave,
	})
	l.deadLetters = newDeadLetters(deadLettersConfig{
		from: from, topic: c.cfg.DeadLetterTopic, writers: to.deadLetters, source: owned.source,
		capacity: l.capacity, metrics: l.metrics, log: owned.log, loops: c.loops, written: l.outcomes.add, leave: l.leave,
	})
	l.stalls = newStallWatch(l.queue, l.deadLetters, l.outcomes, owned)
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
