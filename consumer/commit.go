package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"

	"convdel/consumer/internal/recordlog"
)

const (
	// commitEvery is the least time between two commits: after a crash, what was done in it is
	// done again.
	commitEvery = 200 * time.Millisecond
	// drainCommitEvery is well below the session timeout: while a generation drains no heartbeat
	// is sent, and it is the commits that keep the member alive.
	drainCommitEvery = time.Second
	commitTimeout    = 5 * time.Second
	commitRetry      = time.Second
)

// committer commits the watermarks of a session's partitions, one commit under way at a time.
type committer struct {
	s      *session
	poked  chan struct{}
	member *member
	// thrift is how much of the stamps is left out, once a broker has refused them.
	thrift thrift
}

// thrift is how much of a stamp is left out where brokers take little metadata.
type thrift int

const (
	wholeStamp thrift = iota
	// withoutList leaves out the list of finished offsets, logOnly all but the topic's identity, noStamp that too.
	withoutList
	logOnly
	noStamp
)

// commit is what is committed of one partition.
type commit struct {
	partition int
	offset    int64
	// epoch is that of the leader who has appended the record before the offset.
	epoch int32
	stamp stamp
}

// metadata is as much of the stamp as is wanted.
func (c *commit) metadata(how thrift) string {
	s := c.stamp
	switch how {
	case wholeStamp:
	case withoutList:
		s.done = ""
	case logOnly:
		s = blankStamp()
		s.log = c.stamp.log
	case noStamp:
		return ""
	}
	return s.text()
}

// fencedError says that the group has gone on without this member: its partitions are somebody else's.
type fencedError struct{ cause error }

func (e *fencedError) Error() string {
	return "the group has gone on without this member: " + e.cause.Error()
}
func (e *fencedError) Unwrap() error { return e.cause }

// poke says that there may be something to commit.
func (c *committer) poke() {
	select {
	case c.poked <- struct{}{}:
	default:
	}
}

// run commits what changes until ctx ends. It returns a *fencedError as soon as the member is.
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

// drain commits at least every second, changes or not, until ctx ends.
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

// commit commits the partitions that have changed since their last commit, or all of them. Without
// success the change is kept in mind.
//
// Nothing but its own timeout ends a commit: one that was given up could still be on its way, and
// undo the next one by arriving after it.
func (c *committer) commit(ctx context.Context, all bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	commits := make([]commit, 0, len(c.s.partitions))
	for id, p := range c.s.partitions {
		if p.gone.Load() {
			continue
		}
		now, changed := p.tracker.snapshot()
		if changed || all {
			commits = append(commits, c.commitOf(id, now))
		}
	}
	if len(commits) == 0 {
		return nil
	}
	err := c.send(ctx, commits)
	if err == nil {
		c.s.metrics.commits.Inc()
		return nil
	}
	for _, one := range commits {
		c.s.partitions[one.partition].tracker.markDirty()
	}
	c.s.log.LogAttrs(ctx, slog.LevelWarn, "offsets not committed", slog.Any("error", err))
	return err
}

// commitOf is what to commit of a partition that has got so far.
func (c *committer) commitOf(partition int, now progress) commit {
	stamp := c.s.cfg.stampAt(partition, now.watermark, c.s.identity)
	stamp.of = c.s.had
	stamp.epoch, stamp.read = now.epoch, now.read
	if c.thrift == wholeStamp {
		stamp = stamp.list(now.done)
	}
	return commit{partition: partition, offset: now.watermark, epoch: now.before, stamp: stamp}
}

// send commits over the pool and, where that fails for another reason than the broker's verdict, over connections that
// are made anew: those of the pool may be dead without knowing it.
func (c *committer) send(ctx context.Context, commits []commit) error {
	first := c.sendOver(ctx, c.s.transport, commits)
	if first == nil || isFenced(first) {
		return first
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	c.s.fresh.CloseIdleConnections()
	defer c.s.fresh.CloseIdleConnections()
	second := c.sendOver(ctx, c.s.fresh, commits)
	if second == nil {
		return nil
	}
	return errors.Join(first, second)
}

// sendOver commits over a transport, with as much metadata as the broker takes.
func (c *committer) sendOver(ctx context.Context, transport *kafka.Transport, commits []commit) error {
	before := c.thrift
	err := c.member.commit(ctx, transport, &c.s.cfg, commits, &c.thrift)
	if c.thrift > before {
		c.s.log.LogAttrs(ctx, slog.LevelWarn, "the broker refuses lists of finished offsets (offset.metadata.max.bytes); going on without")
	}
	if c.thrift > max(before, withoutList) {
		c.s.log.LogAttrs(ctx, slog.LevelError, "the broker refuses to keep whose the offsets are (offset.metadata.max.bytes); going on without")
	}
	return err
}

// noEpoch says that the leader epoch of a committed offset is not known. kafka-go's client would send
// 0, by which other clients that take the group over would look for a cut log.
const noEpoch = recordlog.NoEpoch

// commit commits offsets in the name of a member, with less and less metadata for as long as the broker finds that
// there is too much of it. Errors by which the broker says that there is no such member in the group are a *fencedError.
func (m *member) commit(ctx context.Context, transport *kafka.Transport, cfg *Config, commits []commit, how *thrift) error {
	for {
		err := m.commitOnce(ctx, transport, cfg, commits, *how)
		if !errors.Is(err, kafka.OffsetMetadataTooLarge) || *how == noStamp {
			return err
		}
		*how++
	}
}

func (m *member) commitOnce(ctx context.Context, transport *kafka.Transport, cfg *Config, commits []commit, how thrift) error {
	req := &offsetcommit.Request{
		GroupID:         m.group,
		GenerationID:    int32(m.generation), //nolint:gosec // it came from 32 bits
		MemberID:        m.id,
		RetentionTimeMs: -1,
		Topics:          []offsetcommit.RequestTopic{{Name: cfg.Topic}},
	}
	for _, one := range commits {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, offsetcommit.RequestPartition{
			PartitionIndex:       int32(one.partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
			CommittedOffset:      one.offset,
			CommittedMetadata:    one.metadata(how),
			CommittedLeaderEpoch: one.epoch,
		})
	}
	message, err := transport.RoundTrip(ctx, cfg.Cluster.Addr(), req)
	if err != nil {
		return err
	}
	res, _ := message.(*offsetcommit.Response)
	if res == nil || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != len(commits) {
		return fmt.Errorf("commit of %d partitions of %s: answer for others", len(commits), cfg.Topic)
	}
	var errs []error
	for _, p := range res.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			errs = append(errs, fmt.Errorf("commit of %s/%d: %w", cfg.Topic, p.PartitionIndex, fence(kafka.Error(p.ErrorCode))))
		}
	}
	return errors.Join(errs...)
}

// fence wraps an error of the codes by which a broker says that the member is no more.
func fence(err error) error {
	if errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId) ||
		errors.Is(err, kafka.RebalanceInProgress) || errors.Is(err, kafka.FencedInstanceID) {
		return &fencedError{cause: err}
	}
	return err
}

func isFenced(err error) bool {
	var f *fencedError
	return errors.As(err, &f)
}

// coordinatorLost says whether a commit failed for want of the group's coordinator: nobody answers, or who does is not it
// or not ready.
func coordinatorLost(err error) bool {
	verdict, answered := errors.AsType[kafka.Error](err)
	return !answered || verdict == kafka.GroupCoordinatorNotAvailable || verdict == kafka.NotCoordinatorForGroup ||
		verdict == kafka.GroupLoadInProgress
}
