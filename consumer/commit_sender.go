package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/offsets"
)

// commit is what is committed of one partition.
type commit struct {
	partition int
	offset    int64
	// epoch is that of the leader that has appended the record before the offset; [offsets.NoEpoch] if unknown. kafka-go's
	// client would send 0, by which other clients that take the group over would look for a cut log.
	epoch int32
	stamp offsets.Stamp
}

// commitSender sends commits in the name of a member of the group.
type commitSender struct {
	// member says which member this replica is now, and of which generation, or why nothing may be committed. refused is told of a commit
	// that the group does not take from a member of that generation.
	member  func() (member, error)
	refused func(of member, code kafka.Error)
	topic   string
	addr    net.Addr
	// transport is that of everything else.
	transport commitTransport
	log       *slog.Logger
	// detail is how much of the stamps is written, once a broker has refused more.
	detail offsets.Detail
}

// commitTransport is what the sender needs of a [kafka.Transport].
type commitTransport interface {
	kafka.RoundTripper
	CloseIdleConnections()
}

func newCommitSender(of func() (member, error), refused func(member, kafka.Error), cfg *Config, kafkas *connections, log *slog.Logger) *commitSender {
	return &commitSender{
		member: of, refused: refused, topic: cfg.Topic, addr: cfg.Cluster.Addr(), transport: kafkas.transport, log: log,
	}
}

// send commits and, where no broker answers, commits once more, over new connections: idle ones may be dead without knowing it, one like the
// other. A broker that answers, whatever it says, shows that they are not. By a *fencedError brokers say that the member is no more.
//
// The second attempt outlives ctx: it has a timeout of its own.
func (c *commitSender) send(ctx context.Context, commits []commit) error {
	first := c.sendOnce(ctx, commits)
	if _, answered := errors.AsType[kafka.Error](first); first == nil || answered || isVerdict(first) || cluster.Refusal(first) != nil {
		return first
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	c.transport.CloseIdleConnections()
	second := c.sendOnce(ctx, commits)
	if second == nil {
		return nil
	}
	return errors.Join(first, second)
}

// sendOnce commits, with less and less metadata for as long as the broker finds that there is too much.
func (c *commitSender) sendOnce(ctx context.Context, commits []commit) error {
	for {
		err := c.request(ctx, commits)
		if !errors.Is(err, kafka.OffsetMetadataTooLarge) || c.detail == offsets.Nothing {
			return err
		}
		c.detail++
		if c.detail == offsets.NoList {
			c.log.LogAttrs(ctx, slog.LevelWarn, "the broker refuses lists of finished offsets (offset.metadata.max.bytes); going on without")
		} else {
			c.log.LogAttrs(ctx, slog.LevelError, "the broker refuses to keep whose the offsets are (offset.metadata.max.bytes); going on with less",
				slog.Bool("topic_kept", c.detail == offsets.TopicOnly))
		}
	}
}

func (c *commitSender) request(ctx context.Context, commits []commit) error {
	of, err := c.member()
	if err != nil {
		return err
	}
	req := &offsetcommit.Request{
		GroupID:         of.group,
		GenerationID:    int32(of.generation), //nolint:gosec // it came from 32 bits
		MemberID:        of.id,
		GroupInstanceID: of.instance,
		RetentionTimeMs: -1,
		Topics:          []offsetcommit.RequestTopic{{Name: c.topic}},
	}
	for _, one := range commits {
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, offsetcommit.RequestPartition{
			PartitionIndex:       int32(one.partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
			CommittedOffset:      one.offset,
			CommittedMetadata:    one.stamp.Metadata(c.detail),
			CommittedLeaderEpoch: one.epoch,
		})
	}
	message, err := c.transport.RoundTrip(ctx, c.addr, req)
	if err != nil {
		return err
	}
	res, _ := message.(*offsetcommit.Response)
	if res == nil || len(res.Topics) != 1 || len(res.Topics[0].Partitions) != len(commits) {
		return fmt.Errorf("commit of %d partitions of %s: answer for others", len(commits), c.topic)
	}
	var errs []error
	for _, p := range res.Topics[0].Partitions {
		if p.ErrorCode != 0 {
			errs = append(errs, fmt.Errorf("commit of %s/%d: %w", c.topic, p.PartitionIndex, c.judge(of, kafka.Error(p.ErrorCode))))
		}
	}
	return errors.Join(errs...)
}

var (
	errFormerTerm   = errors.New("the offsets have come about in a membership that is lost")
	errNoGeneration = errors.New("this replica is in no generation of the group")
)

// commits says why offsets that have come about in a term must not be committed in the name of a member; nil if they may. Brokers do not ask
// whose a partition is: in the name of a later membership the commit would undo those of the partition's present owner. Nor do brokers
// refuse a commit in nobody's name while the group is empty.
func (m member) commits(term int) error {
	switch {
	case m.term != term:
		return &fencedError{cause: errFormerTerm}
	case m.generation < 0:
		return &movesError{cause: errNoGeneration}
	}
	return nil
}

// fencedError says that the group has gone on without this member: its partitions are somebody else's.
type fencedError struct{ cause error }

func (e *fencedError) Error() string {
	return "the group has gone on without this member: " + e.cause.Error()
}

func (e *fencedError) Unwrap() error { return e.cause }

// movesError says that the group is between two generations, or in another one than the commit names. The membership finds out what that
// means for this replica. Until then the commit is tried again.
type movesError struct{ cause error }

func (e *movesError) Error() string { return "the group's generation changes: " + e.cause.Error() }

func (e *movesError) Unwrap() error { return e.cause }

// judge makes a *fencedError or a *movesError of the codes by which a broker says that the group does not take commits from a member, or
// not now, and tells the membership.
func (c *commitSender) judge(of member, code kafka.Error) error {
	switch code { //nolint:exhaustive // the others say nothing of the membership
	case kafka.UnknownMemberId, kafka.FencedInstanceID:
		c.refused(of, code)
		return &fencedError{cause: code}
	case kafka.IllegalGeneration, kafka.RebalanceInProgress:
		c.refused(of, code)
		return &movesError{cause: code}
	}
	return code
}

func isFenced(err error) bool {
	_, fenced := errors.AsType[*fencedError](err)
	return fenced
}

// isVerdict says whether the group does not take commits from the member that an error is about, or not now.
func isVerdict(err error) bool {
	_, moves := errors.AsType[*movesError](err)
	return moves || isFenced(err)
}

// coordinatorLost says whether a commit has failed for want of the group's coordinator: nobody has answered, or the broker that
// has is not the coordinator, or not ready.
func coordinatorLost(err error) bool {
	verdict, answered := errors.AsType[kafka.Error](err)
	return !answered || verdict == kafka.GroupCoordinatorNotAvailable || verdict == kafka.NotCoordinatorForGroup ||
		verdict == kafka.GroupLoadInProgress
}
