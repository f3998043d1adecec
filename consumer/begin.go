package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// beginning checks, before this member joins, that the group is this service's, and decides where the group begins if it has no
// offset at all. The decision is committed at once: a member that starts an hour later finds offsets and decides nothing.
type beginning struct {
	*Consumer

	kafkas *connections
	// extents are the partitions at the time of the decision, decided is the offset for each; nil before. The next attempt
	// commits what the last one has not, and decides nothing again.
	extents []extent
	decided []int64
}

// begin checks whose the group is, and decides where it begins. It asks again for as long as brokers are away, until ctx ends.
// Other errors are a [*StartError], a [*GroupTakenError] and a [*refusedError].
func (c *Consumer) begin(ctx context.Context, kafkas *connections) error {
	b := &beginning{Consumer: c, kafkas: kafkas}
	for {
		err := c.atStart(b.once(ctx))
		if err == nil || isFinal(err) {
			return err
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "offsets of the group not read, will retry", slog.String("group", c.cfg.Group), slog.Any("error", err))
		c.troubled("offsets of the group not read", err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (b *beginning) once(ctx context.Context) error {
	source := b.kafkas.log(b.cfg.Topic)
	topic, err := source.Describe(ctx)
	if err != nil {
		return fmt.Errorf("topic %s: %w", b.cfg.Topic, err)
	}
	b.began = offsets.TopicID(topic.ID)
	found, err := b.committed(ctx, topic.Partitions)
	if err != nil {
		return err
	}
	missing := withoutOffset(found)
	if len(missing) < len(found) && (b.decided == nil || len(missing) == 0) {
		b.logFound(ctx, found)
		return checkLost(ctx, &b.cfg, source, topic, found)
	}
	if b.decided == nil {
		if b.extents, b.decided, err = decideStart(ctx, &b.cfg, source, topic.Partitions); err != nil {
			return err
		}
	}
	return b.commit(ctx, missing)
}

// committed is what the group has committed. The error may be a [*GroupTakenError].
func (b *beginning) committed(ctx context.Context, partitions int) ([]committed, error) {
	found, err := committedOffsets(ctx, b.kafkas.client, b.cfg.Group, b.cfg.Topic, partitions)
	if err != nil {
		return nil, err
	}
	return found, b.cfg.checkOwner(found)
}

// logFound logs that a setting does not apply, or that one does, since the group has offsets.
func (b *beginning) logFound(ctx context.Context, found []committed) {
	if b.decided == nil && b.cfg.Start != (Start{}) {
		b.log.LogAttrs(ctx, slog.LevelInfo, "the group has offsets: it goes on there, whatever start says",
			slog.String("group", b.cfg.Group), slog.String("start", b.cfg.Start.String()))
	}
	if slices.ContainsFunc(found, func(c committed) bool { return b.cfg.adopts(c.stamp) }) {
		b.log.LogAttrs(ctx, slog.LevelWarn, "taking the group over from another app: its running replicas end",
			slog.String("group", b.cfg.Group), slog.String("from_app", b.cfg.Adopt), slog.String("app", b.cfg.App))
	}
}

// checkLost returns a [*StartError] for a partition that has lost its offset, if [Config.Start] does not say where it begins.
func checkLost(ctx context.Context, cfg *Config, source *recordlog.Log, topic recordlog.Topic, found []committed) error {
	once := onceCommitted(found, offsets.TopicID(topic.ID))
	for _, id := range withoutOffset(found) {
		if id >= once {
			continue // added later: it begins at its first record
		}
		if _, err := beginAnew(ctx, cfg, source, id, lostOffset(cfg.Topic, id)); err != nil {
			return err
		}
	}
	return nil
}

// commit commits the decision for the partitions that have no offset, and reads them again: of two members that start at once,
// the last one's decision counts for both.
//
// Brokers take such a commit only while the group has no members. Members of this version have committed their decision before
// they have joined. Members of older versions commit no decision, and begin at the first record.
func (b *beginning) commit(ctx context.Context, missing []int) error {
	refused := b.commitStart(ctx, missing)
	if refused != nil && !isVerdict(refused) {
		return refused
	}
	found, err := b.committed(ctx, len(b.extents))
	if err != nil {
		return err
	}
	switch missing = withoutOffset(found); {
	case len(missing) == 0:
	case refused == nil:
		return fmt.Errorf("%d partitions of %s have no offset, although one was committed", len(missing), b.cfg.Topic)
	case !isStart(b.extents, b.decided):
		n, oldest := records(b.extents, time.Now())
		return &StartError{Group: b.cfg.Group, Topic: b.cfg.Topic, Records: n, Oldest: oldest, Err: refused}
	default: // the group's members begin at the first records too
	}
	b.logStart(ctx, found)
	return nil
}

// commitStart commits the decision for the partitions, as no member of the group. It makes one attempt: after an error begin
// reads the group's offsets again.
func (b *beginning) commitStart(ctx context.Context, missing []int) error {
	stamp := b.cfg.stamp(b.began)
	stamp.Partitions = len(b.decided)
	var commits []commit
	for _, id := range missing {
		if id < len(b.decided) {
			stamp.Partition, stamp.Offset = id, b.decided[id]
			commits = append(commits, commit{partition: id, offset: b.decided[id], epoch: offsets.NoEpoch, stamp: stamp})
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	sender := newCommitSender(
		func() (member, error) { return member{group: b.cfg.Group, generation: -1}, nil }, func(member, kafka.Error) {}, &b.cfg, b.kafkas, b.log)
	sender.detail = offsets.NoList
	return sender.sendOnce(ctx, commits)
}

// logStart logs where the group begins.
func (b *beginning) logStart(ctx context.Context, found []committed) {
	var ahead, behind int64
	for i, c := range found {
		from := c.offset
		if from < 0 {
			from = b.extents[i].first
		}
		ahead += max(0, b.extents[i].last-from)
		behind += max(0, from-b.extents[i].first)
	}
	_, oldest := records(b.extents, time.Now())
	level := slog.LevelInfo
	if behind > 0 {
		level = slog.LevelWarn // this group never executes the records behind
	}
	b.log.LogAttrs(ctx, level, "group had no offsets: it begins as start says", slog.String("group", b.cfg.Group),
		slog.String("topic", b.cfg.Topic), slog.String("start", b.cfg.Start.String()), slog.Int("partitions", len(found)),
		slog.Int64("records_ahead", ahead), slog.Int64("records_left_out", behind), slog.Duration("oldest_record_age", oldest.Round(time.Second)))
}
