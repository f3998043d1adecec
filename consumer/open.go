package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

const (
	adminTimeout = 10 * time.Second
	// openAtOnce is how many partitions are opened at a time.
	openAtOnce = 16
)

// opener opens the partitions of an assignment.
type opener struct {
	*assignment

	sender *commitSender
	// began is the ID that the topic had when Run began.
	began offsets.TopicID
	// troubled is told why the partitions are not open yet, atStart makes an error final if it is one of the start.
	troubled func(what string, err error)
	atStart  func(error) error
}

// open finds where the assigned partitions stand: at the committed watermarks, with the finished offsets above them, or at the
// beginning of the log. It asks again until it knows or ctx ends: a guess would repeat the whole topic, or skip some of it. Other
// errors are those that Run ends with. The returned committer commits the partitions.
func (o *opener) open(ctx context.Context) (*committer, error) {
	spacing := newSpacing(time.Second)
	for {
		opened, err := o.openOnce(ctx)
		err = o.atStart(err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil || isFinal(err) {
			return opened, err
		}
		level, cause := inLog(err)
		o.log.LogAttrs(ctx, level, "committed offsets not read, will retry", cause)
		o.troubled("committed offsets not read", err)
		if err := pause(ctx, spacing.after(err)); err != nil {
			return nil, err
		}
	}
}

func (o *opener) openOnce(ctx context.Context) (*committer, error) {
	topic, err := o.source.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", o.cfg.Topic, err)
	}
	if last := slices.Max(o.ids); topic.Partitions <= last {
		return nil, &partitionsError{owned: last, known: topic.Partitions}
	}
	o.topicID = offsets.TopicID(topic.ID)
	found, err := committedOffsets(ctx, o.client, o.cfg.Group, o.cfg.Topic, topic.Partitions)
	if err != nil {
		return nil, err
	}
	if err := o.checkGroup(ctx, found); err != nil {
		return nil, err
	}
	if err := o.openAll(ctx, found, topic); err != nil {
		return nil, err
	}
	c := o.newCommitter(found)
	return c, o.claim(ctx, c, found)
}

// newCommitter returns the committer of the partitions. The group's offsets were those in found before.
func (o *opener) newCommitter(found []committed) *committer {
	stamp := o.cfg.stamp(o.topicID)
	stamp.Partitions = len(found)
	if missing := withoutOffset(found); len(missing) > 0 {
		stamp.Partitions = missing[0]
	}
	return &committer{
		partitions: o.partitions, stamp: stamp, sender: o.sender, accepted: o.metrics.commits, failed: o.metrics.commitFailures,
		log: o.log, poked: make(chan struct{}, 1),
	}
}

// openAll opens the assigned partitions, several at a time: most of them take one question to their leader.
func (o *opener) openAll(ctx context.Context, found []committed, topic recordlog.Topic) error {
	opened, once := make([]*partition, len(o.ids)), onceCommitted(found, o.topicID)
	opening, each := errgroup.WithContext(ctx)
	opening.SetLimit(openAtOnce)
	for i, id := range o.ids {
		opening.Go(func() error {
			from, err := o.resume(each, found[id], epochOf(topic, id), id < once)
			opened[i] = newPartition(id, from, epochOf(topic, id))
			if from.Watermark == found[id].offset {
				opened[i].committed.Store(from.Watermark)
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	o.partitions = make(map[int]*partition, len(o.ids))
	begun := make(map[int]int64)
	for _, p := range opened {
		o.partitions[p.id] = p
		if found[p.id].offset < 0 {
			begun[p.id] = p.position()
		}
	}
	o.logAdded(ctx, begun)
	return nil
}

// checkGroup returns a [*GroupTakenError] if the group is another service's. It returns a [*StartError] if the group has lost all
// offsets that it had before this member joined, and start names another place than the first record of each partition. Offsets
// that have gone with their topic are not lost: a new topic of the same name is read from its first record.
func (o *opener) checkGroup(ctx context.Context, found []committed) error {
	if err := o.cfg.checkOwner(found); err != nil {
		return err
	}
	if len(withoutOffset(found)) < len(found) || offsets.OriginOf(o.began, o.topicID) == offsets.FormerTopic {
		return nil
	}
	extents, begin, err := decideStart(ctx, o.cfg, o.source, len(found))
	if err == nil && !isStart(extents, begin) {
		n, oldest := records(extents, time.Now())
		err = &StartError{Group: o.cfg.Group, Topic: o.cfg.Topic, Records: n, Oldest: oldest, Err: errMembers}
	}
	return err
}

var errMembers = errors.New("the group has members already")

// claim stamps the assigned partitions that bear no stamp of this service, before any call. Then it checks that no other service
// has stamped the group meanwhile: of two services that claim a group at once, none calls before it has seen the other's stamp.
func (o *opener) claim(ctx context.Context, c *committer, found []committed) error {
	if o.cfg.App == "" || !o.unclaimed(found) {
		return nil
	}
	if err := c.commit(ctx, true); err != nil {
		return err
	}
	return o.checkOwner(ctx, len(found))
}

func (o *opener) unclaimed(found []committed) bool {
	for id := range o.partitions {
		if was := found[id].stamp; was.App != o.cfg.App || was.DeadLetterTopic != o.cfg.DeadLetterTopic {
			return true
		}
	}
	return false
}

// resume finds where a partition goes on, given its committed offset and its leader's present epoch. If it has no offset, once says
// whether it had one before.
func (o *opener) resume(ctx context.Context, c committed, current int32, once bool) (offsets.Handover, error) {
	origin := offsets.OriginOf(c.stamp.Topic, o.topicID)
	switch {
	case c.offset < 0 && once:
		begin, err := beginAnew(ctx, o.cfg, o.source, c.partition, lostOffset(o.cfg.Topic, c.partition))
		return offsets.At(begin), err
	case c.offset < 0:
		first, err := o.source.Offset(ctx, c.partition, kafka.FirstOffset)
		return offsets.At(first), err
	case origin == offsets.FormerTopic:
		first, err := o.source.Offset(ctx, c.partition, kafka.FirstOffset)
		if err == nil {
			o.metrics.offsetResets.Inc()
			o.log.LogAttrs(ctx, slog.LevelError, "committed offset is of a topic that is no more: reading the new one from its start",
				slog.String("topic", o.cfg.Topic), slog.Int("partition", c.partition), slog.Int64("offset", c.offset), slog.Int64("log_start", first))
		}
		return offsets.At(first), err
	case origin == offsets.OtherCluster:
		return offsets.At(c.offset), nil // a mirror translates the offset, and not the stamp
	default:
		return o.takeOver(ctx, c, current)
	}
}

// takeOver goes on where the previous owner has stopped, or lower if the log was cut there.
func (o *opener) takeOver(ctx context.Context, c committed, current int32) (offsets.Handover, error) {
	log := o.log.With(slog.String("topic", o.cfg.Topic), slog.Int("partition", c.partition), slog.Int64("offset", c.offset))
	finished, err := c.stamp.Finished()
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "list of finished offsets not usable, they will be done again", slog.Any("error", err))
	}
	was := offsets.Handover{Watermark: c.offset, Finished: finished, LastRead: c.stamp.LastRead}
	end, cut, err := endOfEpoch(ctx, o.source, c.partition, current, was.LastRead)
	if err != nil || !cut {
		return was, err
	}
	first, err := o.source.Offset(ctx, c.partition, kafka.FirstOffset)
	if err != nil {
		return was, err
	}
	left := was.Cut(end, first)
	log.LogAttrs(ctx, slog.LevelError, "the log was cut below what has been read: going on where it was",
		slog.Int64("begin", left.Watermark), slog.Int64("cut", end.End), slog.Int64("read", was.LastRead.End),
		slog.Int("epoch", int(was.LastRead.Epoch)), slog.Int("found_epoch", int(end.Epoch)), slog.Int("leader_epoch", int(current)))
	o.metrics.offsetResets.Inc()
	return left, nil
}

// logAdded logs the partitions that begin at their first record, since they have no offset.
func (o *opener) logAdded(ctx context.Context, begun map[int]int64) {
	if len(begun) == 0 {
		return
	}
	ids, ahead := make([]int, 0, len(begun)), int64(0)
	for id, first := range begun {
		ids = append(ids, id)
		if last, err := o.source.Offset(ctx, id, kafka.LastOffset); err == nil {
			ahead += last - first
		}
	}
	slices.Sort(ids)
	o.log.LogAttrs(ctx, slog.LevelInfo, "partitions without an offset begin at their first record",
		slog.String("topic", o.cfg.Topic), slog.Any("partitions", ids), slog.Int64("records_ahead", ahead))
}
