package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
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
	// generationCommit is the second way to commit: over the connection of the group itself.
	generationCommit func(map[string]map[int]int64) error
	// plain leaves the lists of finished offsets out, once a broker has refused one.
	plain bool
}

// commit is what is committed of one partition.
type commit struct {
	partition int
	offset    int64
	metadata  string
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
		watermark, done, changed := p.tracker.snapshot()
		if !changed && !all {
			continue
		}
		list := ""
		if !c.plain {
			list = encodeDone(watermark, done)
		}
		commits = append(commits, commit{partition: id, offset: watermark, metadata: stamp(c.s.identity, list)})
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

// send commits over the pool and, where that fails for another reason than the broker's
// verdict, over the group's own connection: one of the two may be dead while the other lives. The
// second way can't carry the lists of finished offsets, and erases those committed before.
func (c *committer) send(ctx context.Context, commits []commit) error {
	err := c.sendWithMetadata(ctx, commits)
	if errors.Is(err, kafka.OffsetMetadataTooLarge) && !c.plain {
		c.plain = true
		c.s.log.LogAttrs(ctx, slog.LevelWarn, "the broker refuses lists of finished offsets (offset.metadata.max.bytes); going on without",
			slog.Any("error", err))
		for i := range commits {
			commits[i].metadata = stamp(c.s.identity, "")
		}
		err = c.sendWithMetadata(ctx, commits)
	}
	if err == nil || isFenced(err) {
		return err
	}
	offsets := make(map[int]int64, len(commits))
	for _, one := range commits {
		offsets[one.partition] = one.offset
	}
	second := c.generationCommit(map[string]map[int]int64{c.s.cfg.Topic: offsets})
	if second == nil {
		return nil
	}
	return errors.Join(err, fence(second))
}

// noEpoch says that the leader epoch of a committed offset is not known. kafka-go's client would send
// 0, by which other clients that take the group over would look for a cut log.
const noEpoch = -1

func (c *committer) sendWithMetadata(ctx context.Context, commits []commit) error {
	topic := c.s.cfg.Topic
	req := &offsetcommit.Request{
		GroupID:         c.member.group,
		GenerationID:    int32(c.member.generation), //nolint:gosec // it came from 32 bits
		MemberID:        c.member.id,
		RetentionTimeMs: -1,
		Topics:          []offsetcommit.RequestTopic{{Name: topic}},
	}
	for _, one := range commits {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, offsetcommit.RequestPartition{
			PartitionIndex:       int32(one.partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
			CommittedOffset:      one.offset,
			CommittedMetadata:    one.metadata,
			CommittedLeaderEpoch: noEpoch,
		})
	}
	message, err := c.s.transport.RoundTrip(ctx, c.s.cfg.Cluster.Addr(), req)
	if err != nil {
		return err
	}
	res, _ := message.(*offsetcommit.Response)
	if res == nil || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != len(commits) {
		return fmt.Errorf("commit of %d partitions of %s: answer for others", len(commits), topic)
	}
	var errs []error
	for _, p := range res.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			errs = append(errs, fmt.Errorf("commit of %s/%d: %w", topic, p.PartitionIndex, fence(kafka.Error(p.ErrorCode))))
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
