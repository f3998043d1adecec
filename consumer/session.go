package consumer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// session is the work on what the group gives to this member, partitions that come and go. It ends when the membership does, or when
// the partitions have to be opened anew.
type session struct {
	log          *slog.Logger
	drainTimeout time.Duration

	// holdings says on what to work, in which term of the membership.
	holdings *holdings
	term     int

	opener     *opener
	newFetcher func(*partition) *fetcher
	// worked is told that the brokers have let this replica do its work.
	worked func()

	owned       *assignment
	dispatcher  *dispatcher
	lister      *lister
	deadLetters *deadLetters
	outcomes    *outcomes
	writers     *topicWriters
	committer   *committer
	stalls      *stallWatch

	// work is the context of calls, dead letters and outcomes. It outlives the intake, so that its end does not cut off a call that
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
	e := ending{since: time.Now(), why: "it drains, before it opens its partitions anew or joins again"}
	if closed(stop) {
		e.why, e.stopping = "told to stop, and it drains", true
	}
	s.over.Store(&e)
}

// run works until ctx ends, and then drains. It calls end, which ends ctx, if it finds that it can't go on. stop is closed
// when Run is told to end. An error is one that Run ends with.
func (s *session) run(ctx context.Context, end context.CancelFunc, stop <-chan struct{}) error {
	var writing, committing, watching sync.WaitGroup
	watching.Go(func() { s.watchTerm(s.work, end) })
	writing.Go(func() { s.deadLetters.run(s.work) })
	writing.Go(func() { s.outcomes.run(s.work) })
	commits, stopCommits := context.WithCancel(context.WithoutCancel(ctx))
	committing.Go(func() {
		commits, over := s.owned.loops.begin(commits, "commit")
		defer over()
		if err := s.committer.run(commits); err != nil {
			s.fence(err, end)
		}
	})
	s.intake(ctx, end)
	s.drain(context.WithoutCancel(ctx), stop, func() {
		stopCommits()
		committing.Wait()
	})
	s.cancelWork()
	watching.Wait()
	writing.Wait()
	s.writers.close(s.log)
	s.dispatcher.close()
	s.dispatcher.pipeline.traces.leave()
	s.owned.leave()
	if err := s.final.Load(); err != nil {
		return *err
	}
	return nil
}

// intake fetches and calls until ctx ends. Calls, dead letters, outcomes and commits outlive it.
func (s *session) intake(ctx context.Context, end context.CancelFunc) {
	var tasks sync.WaitGroup
	tasks.Go(func() { s.follow(ctx, end) })
	tasks.Go(func() { s.dispatcher.run(ctx, s.work) })
	tasks.Go(func() { s.lister.run(ctx, s.work) })
	tasks.Go(func() { s.owned.watchLag(ctx) })
	tasks.Go(func() { s.leave(s.owned.watchTopic(ctx), end) })
	tasks.Wait()
}

// watchTerm gives all work up once the membership is lost, also if the session drains already. Its ctx is the work's.
func (s *session) watchTerm(ctx context.Context, end context.CancelFunc) {
	for ctx.Err() == nil {
		now := s.holdings.now()
		if !now.joined || now.term != s.term {
			s.fence(now.lost, end)
			return
		}
		_ = wait(ctx, time.Time{}, now.changed)
	}
}

// leave ends the session because of an error, if there is one. It keeps an error that Run ends with.
func (s *session) leave(err error, end context.CancelFunc) {
	if err == nil {
		return
	}
	if isFinal(err) {
		s.final.CompareAndSwap(nil, &err)
	}
	end()
}

// fence stops all work at once, and ends the session. The partitions are another member's already, which makes the same calls, dead letters
// and outcomes. The log may stand: it comes last.
func (s *session) fence(err error, end context.CancelFunc) {
	first := !s.fenced.Swap(true)
	s.cancelWork()
	end()
	if first {
		s.log.Warn("work given up, another member will do it again", slog.Any("error", err))
	}
}

// drain lets the calls under way, the dead letters and the outcomes end, and commits meanwhile and at the end. Events that are queued, or wait
// for a retry, are left to the partitions' next owner. Its ctx does not end. stopCommits ends the commits that go on meanwhile.
func (s *session) drain(ctx context.Context, stop <-chan struct{}, stopCommits func()) {
	ctx, end := s.owned.loops.begin(ctx, "drain")
	defer end()
	l := loopOf(ctx)
	s.awaitWork(l)
	l.rests() // a commit ends by its timeout
	stopCommits()
	l.works()
	if s.fenced.Load() {
		return
	}
	if err := s.commitLast(ctx, s.owned.all(), stop); isFenced(err) {
		s.fence(err, func() {})
	}
}

// commitLast commits the events of partitions that have ended since the commit before, and does not give up at once. Until stop is closed, it
// waits for a coordinator that the group has lost, since nobody else gets the partitions before that is back; and while the group is between two
// generations, for as long as other members wait for the partitions. An error is the last one.
func (s *session) commitLast(ctx context.Context, partitions []*partition, stop <-chan struct{}) error {
	for began := time.Now(); ; {
		err := s.committer.commit(ctx, partitions, false)
		if err == nil || isFenced(err) {
			s.uncommitted.Store(nil)
			return err
		}
		s.uncommitted.Store(&err)
		limit, stays := 2*commitTimeout, !closed(stop)
		if stays && isVerdict(err) {
			limit = s.drainTimeout + rebalanceSlack
		}
		waits := stays && coordinatorLost(err)
		if retry := retryCommit(err); s.fenced.Load() || !waits && time.Since(began)+retry > limit || pause(ctx, retry) != nil {
			if ctx.Err() == nil { // otherwise the session's own last commit follows
				s.log.LogAttrs(ctx, slog.LevelError, "the last commit failed: what has ended since the one before will be done again",
					slog.Any("error", err))
			}
			return err
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
