package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer/internal/offsets"
)

const (
	// commitEvery is the least time between two commits. After a crash, what has ended in it is executed again.
	commitEvery = 200 * time.Millisecond
	// drainCommitEvery is well below the session timeout. While a generation drains, no heartbeat is sent: the commits keep the
	// member alive.
	drainCommitEvery = time.Second
	commitTimeout    = 5 * time.Second
	commitRetry      = time.Second
)

// committer commits the watermarks of a session's partitions. One goroutine at a time uses it, apart from poke, so at most one
// commit is under way.
type committer struct {
	partitions map[int]*partition
	// stamp is what every commit says, whatever its partition: whose it is, and of which topic.
	stamp  offsets.Stamp
	sender *commitSender
	// accepted counts commits that the broker has accepted, failed the others.
	accepted, failed prometheus.Counter
	log              *slog.Logger
	poked            chan struct{}
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
		if err := c.commit(ctx, false); isFenced(err) {
			return err
		} else if err != nil {
			delay = commitRetry
			c.poke()
		}
		if pause(ctx, delay) != nil {
			break
		}
	}
	return nil //nolint:nilerr // an error has been logged, and its commit is repeated
}

// drain commits at least every second, changes or not, until ctx ends. It returns a *fencedError as soon as a commit does.
func (c *committer) drain(ctx context.Context) error {
	for {
		if err := c.commit(ctx, true); isFenced(err) {
			return err
		}
		if pause(ctx, drainCommitEvery) != nil {
			break
		}
	}
	return nil //nolint:nilerr // an error has been logged, and its commit is repeated
}

// commit commits the partitions that have changed since their last commit, or all of them. A partition whose commit fails
// still counts as changed.
//
// A commit outlives ctx and ends with its own timeout alone. One that was given up could still be on its way: it would arrive
// after the next commit and undo it.
func (c *committer) commit(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	commits := make([]commit, 0, len(c.partitions))
	for id, p := range c.partitions {
		if p.noCommits.Load() {
			continue
		}
		if now, changed := p.snapshot(); changed || all {
			commits = append(commits, c.commitOf(id, now))
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
		for _, one := range commits {
			c.partitions[one.partition].committed.Store(one.offset)
		}
		return nil
	}
	c.failed.Inc()
	for _, one := range commits {
		c.partitions[one.partition].notCommitted()
	}
	level, cause := inLog(err)
	c.log.LogAttrs(ctx, level, "offsets not committed", cause)
	return err
}

// commitOf is what to commit of a partition.
func (c *committer) commitOf(partition int, now offsets.Progress) commit {
	s := c.stamp
	s.Partition, s.Offset, s.LastRead = partition, now.Watermark, now.LastRead
	if c.sender.detail == offsets.Everything {
		s = s.WithFinished(now.Finished)
	}
	return commit{partition: partition, offset: now.Watermark, epoch: now.Epoch, stamp: s}
}
