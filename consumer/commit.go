package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/offsets"
)

const (
	// commitEvery is the least time between two commits. After a crash, what has ended in it is executed again.
	commitEvery   = 200 * time.Millisecond
	commitTimeout = 5 * time.Second
	commitRetry   = time.Second
	// movesRetry is the time after which a commit is repeated that the group has refused while its generation changes.
	movesRetry = 100 * time.Millisecond
)

// committer commits the watermarks of a session's partitions. One commit at a time is under way.
type committer struct {
	owned  *assignment
	sender *commitSender
	// accepted counts commits that the broker has accepted, failed the others.
	accepted, failed prometheus.Counter
	log              *slog.Logger
	poked            chan struct{}
	// one is held by the commit under way.
	one *semaphore.Weighted

	mu sync.Mutex
	// stamp is what every commit says, whatever its partition: whose it is, and of which topic.
	stamp offsets.Stamp
}

func newCommitter(owned *assignment, sender *commitSender) *committer {
	return &committer{
		owned: owned, sender: sender, accepted: owned.metrics.commits, failed: owned.metrics.commitFailures, log: owned.log,
		poked: make(chan struct{}, 1), one: semaphore.NewWeighted(1),
	}
}

// stampAs says what commits say from now on.
func (c *committer) stampAs(stamp offsets.Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stamp = stamp
}

// poke says that there may be something to commit.
func (c *committer) poke() {
	select {
	case c.poked <- struct{}{}:
	default:
	}
}

// run commits what changes until ctx ends. It returns a *fencedError as soon as a commit does.
func (c *committer) run(ctx context.Context) error {
	for wait(ctx, time.Time{}, c.poked) == nil {
		delay := commitEvery
		if err := c.commit(ctx, c.owned.all(), false); isFenced(err) {
			return err
		} else if err != nil {
			delay = retryCommit(err)
			c.poke()
		}
		if pause(ctx, delay) != nil {
			break
		}
	}
	return nil //nolint:nilerr // an error has been logged, and its commit is repeated
}

// retryCommit is the time after which a commit that has failed is repeated.
func retryCommit(err error) time.Duration {
	if _, moves := errors.AsType[*movesError](err); moves {
		return movesRetry
	}
	return commitRetry
}

// commit commits those of the partitions that have changed since their last commit, or all of them. A partition whose commit fails
// still counts as changed.
//
// A commit outlives ctx and ends with its own timeout alone. A commit that is given up could still be on its way: it would arrive
// after the next commit and undo it.
func (c *committer) commit(ctx context.Context, partitions []*partition, all bool) error {
	ctx = context.WithoutCancel(ctx)
	if err := acquire(ctx, c.one, 1); err != nil {
		return err
	}
	defer c.one.Release(1)
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	commits, of := make([]commit, 0, len(partitions)), make([]*partition, 0, len(partitions))
	for _, p := range partitions {
		if p.noCommits.Load() {
			continue
		}
		if now, changed := p.snapshot(); changed || all {
			commits, of = append(commits, c.commitOf(p.id, now)), append(of, p)
		}
	}
	if len(commits) == 0 {
		return nil
	}
	l := loopOf(ctx)
	l.rests()
	err := c.sender.send(ctx, commits)
	l.works()
	if err == nil {
		c.accepted.Inc()
		for i, p := range of {
			p.committed.Store(commits[i].offset)
		}
		return nil
	}
	for _, p := range of {
		p.notCommitted()
	}
	c.tell(ctx, err)
	return err
}

// forget has a partition committed no more. No commit of it is on its way when it returns, unless ctx has ended.
func (c *committer) forget(ctx context.Context, p *partition) error {
	if err := acquire(ctx, c.one, 1); err != nil {
		return err
	}
	defer c.one.Release(1)
	p.noCommits.Store(true)
	return nil
}

// tell counts a commit that has failed, and says so in the log. That the group's generation changes is no fault.
func (c *committer) tell(ctx context.Context, err error) {
	if _, moves := errors.AsType[*movesError](err); moves {
		c.log.LogAttrs(ctx, slog.LevelDebug, "offsets not committed yet", slog.Any("error", err))
		return
	}
	c.failed.Inc()
	level, cause := inLog(err)
	c.log.LogAttrs(ctx, level, "offsets not committed", cause)
}

// commitOf is what to commit of a partition.
func (c *committer) commitOf(partition int, now offsets.Progress) commit {
	c.mu.Lock()
	s := c.stamp
	c.mu.Unlock()
	s.Partition, s.Offset, s.LastRead = partition, now.Watermark, now.LastRead
	if c.sender.detail == offsets.Everything {
		s = s.WithFinished(now.Finished)
	}
	return commit{partition: partition, offset: now.Watermark, epoch: now.Epoch, stamp: s}
}
