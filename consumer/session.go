package consumer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// session is the work of one generation. It begins with the partitions that the group has given to this member, and ends before
// the group may give them to another member.
type session struct {
	log          *slog.Logger
	drainTimeout time.Duration

	owned       *assignment
	fetchers    []*fetcher
	dispatcher  *dispatcher
	lister      *lister
	deadLetters *deadLetters
	outcomes    *outcomes
	committer   *committer
	stalls      *stallWatch

	// work is the context of calls, dead letters and outcomes. It outlives the generation, so that a rebalance does not cut off a call that
	// the API executes.
	work       context.Context //nolint:containedctx // the session is the scope that it stands for
	cancelWork context.CancelFunc
	fenced     atomic.Bool
	// over says that the session takes nothing new; nil while it does.
	over atomic.Pointer[ending]
	// final is an error that Run ends with.
	final atomic.Pointer[error]
	// uncommitted is why the last commit fails; nil if it does not.
	uncommitted atomic.Pointer[error]
}

// ending says since when a session only ends what it has begun, and why. stopping says that Run was told to end.
type ending struct {
	since    time.Time
	why      string
	stopping bool
}

// ends notes that the session takes nothing new from now on. stop is closed when Run is told to end.
func (s *session) ends(stop <-chan struct{}) {
	e := ending{since: time.Now(), why: "its generation has ended, and it drains before it joins again"}
	if closed(stop) {
		e.why, e.stopping = "told to stop, and it drains", true
	}
	s.over.Store(&e)
}

// run works until ctx ends, and then drains. It calls end, which ends ctx, if it finds that the generation can't go on. stop is closed
// when Run is told to end. An error is one that Run ends with.
func (s *session) run(ctx context.Context, end context.CancelFunc, stop <-chan struct{}) error {
	var writing sync.WaitGroup
	writing.Go(func() { s.deadLetters.run(s.work) })
	writing.Go(func() { s.outcomes.run(s.work) })
	s.intake(ctx, end)
	s.drain(context.WithoutCancel(ctx), stop)
	s.cancelWork()
	writing.Wait()
	s.dispatcher.close()
	s.dispatcher.pipeline.traces.leave()
	s.owned.leave()
	if err := s.final.Load(); err != nil {
		return *err
	}
	return nil
}

// intake fetches, calls and commits until ctx ends. Calls, dead letters and outcomes outlive it.
func (s *session) intake(ctx context.Context, end context.CancelFunc) {
	var tasks sync.WaitGroup
	for _, f := range s.fetchers {
		tasks.Go(func() { s.leave(f.run(ctx), end) })
	}
	tasks.Go(func() { s.dispatcher.run(ctx, s.work) })
	tasks.Go(func() { s.lister.run(ctx, s.work) })
	tasks.Go(func() { s.owned.watchLag(ctx) })
	tasks.Go(func() { s.leave(s.owned.watchTopic(ctx), end) })
	tasks.Go(func() {
		ctx, over := s.owned.loops.begin(ctx, "commit")
		defer over()
		if err := s.committer.run(ctx); err != nil {
			s.fence(err)
			end()
		}
	})
	tasks.Wait()
}

// leave ends the generation because of an error, if there is one. It keeps an error that Run ends with.
func (s *session) leave(err error, end context.CancelFunc) {
	if err == nil {
		return
	}
	if isFinal(err) {
		s.final.CompareAndSwap(nil, &err)
	}
	end()
}

// fence stops all work at once. The partitions are another member's already, which makes the same calls, dead letters and outcomes.
func (s *session) fence(err error) {
	s.fenced.Store(true)
	s.log.Warn("work given up, another member will do it again", slog.Any("error", err))
	s.cancelWork()
}

// drain lets the calls under way, the dead letters and the outcomes end, and commits meanwhile and at the end. Events that are queued, or wait
// for a retry, are left to the partitions' next owner. Its ctx does not end.
func (s *session) drain(ctx context.Context, stop <-chan struct{}) {
	ctx, end := s.owned.loops.begin(ctx, "drain")
	defer end()
	if s.fenced.Load() {
		s.awaitWork(loopOf(ctx))
		return
	}
	l := loopOf(ctx)
	commits, stopCommits := context.WithCancel(ctx)
	var committing sync.WaitGroup
	committing.Go(func() {
		commits, end := s.owned.loops.begin(commits, "commit while draining")
		defer end()
		if err := s.committer.drain(commits); err != nil {
			s.fence(err)
		}
	})
	s.awaitWork(l)
	stopCommits()
	l.rests() // a commit ends by its timeout
	committing.Wait()
	l.works()
	if !s.fenced.Load() {
		s.commitLast(ctx, stop)
	}
}

// commitLast commits the events that have ended since the commit before, and does not give up at once.
//
// If the group has lost its coordinator and Run goes on, commitLast waits for the next coordinator for as long as that lets members
// come back. Giving up gains nothing, since joining takes a coordinator too. And kafka-go forgets its member ID if it finds none:
// the group would wait for that member until its session times out.
func (s *session) commitLast(ctx context.Context, stop <-chan struct{}) {
	for began := time.Now(); ; {
		err := s.committer.commit(ctx, false)
		if err == nil || isFenced(err) {
			s.uncommitted.Store(nil)
			return
		}
		s.uncommitted.Store(&err)
		limit := 2 * commitTimeout
		if coordinatorLost(err) && !closed(stop) {
			limit = s.drainTimeout + rebalanceSlack
		}
		if time.Since(began)+commitRetry > limit || pause(ctx, commitRetry) != nil {
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

// awaitWork waits for calls, dead letters and outcomes until the drain timeout, and then cuts them off. The loop l rests until then.
func (s *session) awaitWork(l *loop) {
	done := make(chan struct{})
	go func() {
		s.dispatcher.wait() // calls make dead letters
		s.lister.wait()     // lists, too
		s.deadLetters.wait()
		s.outcomes.wait() // the end of every event, dead letters' too
		close(done)
	}()
	timer := time.NewTimer(s.drainTimeout)
	defer timer.Stop()
	l.rests()
	defer l.works()
	select {
	case <-done:
	case <-s.work.Done(): // fenced
		l.works()
		s.abandon(done)
	case <-timer.C:
		l.works()
		s.log.Warn("drain timeout: calls, dead letters or outcomes cut off, their events will be delivered again",
			slog.Duration("drain_timeout", s.drainTimeout))
		s.abandon(done)
	}
}

// abandon cuts off calls and writes.
func (s *session) abandon(done <-chan struct{}) {
	s.cancelWork()
	s.deadLetters.close()
	s.outcomes.close()
	<-done
}
