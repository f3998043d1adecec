package consumer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/recordlog"
)

// session is the work of one generation: it begins with the partitions that the group has given to
// this member and ends before the group may give them to another.
type session struct {
	cfg     Config
	log     *slog.Logger
	metrics *Metrics
	limiter *limiter
	breaker *breakerGuard

	source      *recordlog.Log
	owned       *assignment
	committer   *committer
	deadLetters *deadLetters
	goroutines  *goroutinePool
	queue       *queue

	capacity *capacity
	// slots bounds the calls under way.
	slots *semaphore.Weighted
	// movedAt is when something last moved: a record read, a call answered, an event ended (Unix nanoseconds).
	movedAt atomic.Int64

	// work counts calls under way. workCtx is theirs and the dead letters': it outlives the generation, so that a
	// rebalance does not cut off a call that the API executes.
	work       sync.WaitGroup
	workCtx    context.Context //nolint:containedctx // the session is the scope that it stands for
	cancelWork context.CancelFunc
	fenced     atomic.Bool
	// final is an error that Run ends with, found while working.
	final atomic.Pointer[error]
}

// run works until ctx ends, or until it finds that the generation can't go on and cancels it; then it drains. stop is
// closed when Run is told to end. An error is one that Run ends with.
func (s *session) run(ctx context.Context, cancel context.CancelFunc, stop <-chan struct{}) error {
	s.workCtx, s.cancelWork = context.WithCancel(context.WithoutCancel(ctx))
	var writing sync.WaitGroup
	writing.Go(func() { s.deadLetters.run(s.workCtx) })
	s.intake(ctx, cancel)
	s.drain(context.WithoutCancel(ctx), stop)
	s.cancelWork()
	writing.Wait()
	s.goroutines.close()
	s.owned.leave()
	if err := s.final.Load(); err != nil {
		return *err
	}
	return nil
}

// intake fetches, calls and commits until ctx ends or one of them finds that the generation can't go
// on. Calls and dead letters outlive it.
func (s *session) intake(ctx context.Context, stop context.CancelFunc) {
	var tasks sync.WaitGroup
	for _, p := range s.owned.partitions {
		tasks.Go(func() { s.leave(s.fetch(ctx, p), stop) })
	}
	tasks.Go(func() { s.dispatch(ctx) })
	tasks.Go(func() { s.owned.watchLag(ctx) })
	tasks.Go(func() { s.leave(s.owned.watchTopic(ctx), stop) })
	tasks.Go(func() {
		if err := s.committer.run(ctx); err != nil {
			s.fence(err)
			stop()
		}
	})
	tasks.Wait()
}

// leave ends the generation for an error. One that Run ends with is kept.
func (s *session) leave(err error, stop context.CancelFunc) {
	if err == nil {
		return
	}
	if isFinal(err) {
		s.final.CompareAndSwap(nil, &err)
	}
	stop()
}

// fence stops everything at once: the partitions are another member's already, and every
// further call or dead letter would be one too many.
func (s *session) fence(err error) {
	s.fenced.Store(true)
	s.log.Warn("work given up, another member will do it again", slog.Any("error", err))
	s.cancelWork()
}

// drain lets the calls under way and the dead letters end, committing all the while, and commits
// what has ended. What is only queued, or waits for a retry, is left to the next owner. Its ctx
// does not end.
func (s *session) drain(ctx context.Context, stop <-chan struct{}) {
	if s.fenced.Load() {
		s.awaitWork()
		return
	}
	commits, stopCommits := context.WithCancel(ctx)
	var committing sync.WaitGroup
	committing.Go(func() {
		if err := s.committer.drain(commits); err != nil {
			s.fence(err)
		}
	})
	s.awaitWork()
	stopCommits()
	committing.Wait()
	if !s.fenced.Load() {
		s.commitLast(ctx, stop)
	}
}

// commitLast commits what has ended since the commit before, and does not give up at once.
//
// Where the coordinator is lost, and we go on, it waits for the next one for as long as that lets members come back. To
// join takes a coordinator as well, so that nothing is gained by giving up; and kafka-go forgets who it was when it
// finds none, after which the group would wait for that member until its session ends.
func (s *session) commitLast(ctx context.Context, stop <-chan struct{}) {
	for began := time.Now(); ; {
		err := s.committer.commit(ctx, false)
		if err == nil || isFenced(err) {
			return
		}
		patience := 2 * commitTimeout
		if coordinatorLost(err) && !closed(stop) {
			patience = s.cfg.DrainTimeout + rebalanceSlack
		}
		if time.Since(began)+commitRetry > patience || pause(ctx, commitRetry) != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "the last commit failed: what has ended since the one before will be done again",
				slog.Any("error", err))
			return
		}
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// awaitWork waits for calls and dead letters until the drain timeout, and cuts off the rest.
func (s *session) awaitWork() {
	done := make(chan struct{})
	go func() {
		s.work.Wait() // calls make dead letters
		s.deadLetters.wait()
		close(done)
	}()
	timer := time.NewTimer(s.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-s.workCtx.Done(): // fenced
		s.abandon(done)
	case <-timer.C:
		s.log.Warn("drain timeout: calls or dead letters cut off, their events will be delivered again",
			slog.Duration("drain_timeout", s.cfg.DrainTimeout))
		s.abandon(done)
	}
}

// abandon cuts off calls and dead-letter writes.
func (s *session) abandon(done <-chan struct{}) {
	s.cancelWork()
	s.deadLetters.close()
	<-done
}
