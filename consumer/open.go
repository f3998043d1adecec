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
	// notOpened is what has failed where a partition is not opened yet.
	notOpened = "committed offsets not read"
)

// opener opens partitions for a session.
type opener struct {
	*assignment

	committer *committer
	// began is the ID that the topic had when Run began.
	began offsets.TopicID
	// atStart makes an error final if it is one of the start.
	atStart func(error) error
}

// open finds where partitions stand: at the committed watermarks, with the finished offsets above them, or at the
// beginning of the log. It asks again until it knows or ctx ends: a guess would repeat the whole topic, or skip some of it. Other
// errors are errRestart and those that Run ends with. The partitions belong to the assignment then, and are committed.
func (o *opener) open(ctx context.Context, ids []int) ([]*partition, error) {
	defer o.unopened.Store(nil)
	spacing := newSpacing(time.Second)
	for {
		opened, err := o.openOnce(ctx, ids)
		err = o.atStart(err)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil || isFinal(err) || errors.Is(err, errRestart) {
			return opened, err
		}
		level, cause := inLog(err)
		o.log.LogAttrs(ctx, level, notOpened+", will retry", cause)
		o.unopened.Store(&err)
		if err := pause(ctx, spacing.after(err)); err != nil {
			return nil, err
		}
	}
}

func (o *opener) openOnce(ctx context.Context, ids []int) ([]*partition, error) {
	topic, err := o.source.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", o.cfg.Topic, err)
	}
	if last := slices.Max(ids); topic.Partitions <= last {
		return nil, &partitionsError{owned: last, known: topic.Partitions}
	}
	o.share.sees(ctx, topic.Partitions)
	id := offsets.TopicID(topic.ID)
	if offsets.OriginOf(o.opened(), id) != offsets.ThisTopic {
		o.commitNothing()
		return nil, errRestart
	}
	found, err := committedOffsets(ctx, o.client, o.cfg.Group, o.cfg.Topic, topic.Partitions)
	if err != nil {
		return nil, err
	}
	if err := o.checkGroup(ctx, id, found); err != nil {
		return nil, err
	}
	opened, err := o.openAll(ctx, ids, found, topic)
	if err != nil {
		return nil, err
	}
	o.add(id, opened)
	o.committer.stampAs(o.stampOf(id, found))
	return opened, o.claim(ctx, opened, found)
}

// stampOf is what commits say from now on. The group's offsets were those in found before.
func (o *opener) stampOf(id offsets.TopicID, found []committed) offsets.Stamp {
	stamp := o.cfg.stamp(id)
	stamp.Partitions = len(found)
	if missing := withoutOffset(found); len(missing) > 0 {
		stamp.Partitions = missing[0]
	}
	return stamp
}

// openAll opens partitions, several at a time: most of them take one question to their leader.
func (o *opener) openAll(ctx context.Context, ids []int, found []committed, topic recordlog.Topic) ([]*partition, error) {
	opened, id := make([]*partition, len(ids)), offsets.TopicID(topic.ID)
	once := onceCommitted(found, id)
	opening, each := errgroup.WithContext(ctx)
	opening.SetLimit(openAtOnce)
	for i, p := range ids {
		opening.Go(func() error {
			from, err := o.resume(each, found[p], id, epochOf(topic, p), p < once)
			opened[i] = newPartition(p, from, epochOf(topic, p))
			if from.Watermark == found[p].offset {
				opened[i].committed.Store(from.Watermark)
			}
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return nil, err
	}
	begun := make(map[int]int64)
	for _, p := range opened {
		if found[p.id].offset < 0 {
			begun[p.id] = p.position()
		}
	}
	o.logAdded(ctx, begun)
	return opened, nil
}

// checkGroup returns a [*GroupTakenError] if the group is another service's. It returns a [*StartError] if the group has lost all
// offsets that it had before this member joined, and start names another place than the first record of each partition. Offsets
// that have gone with their topic are not lost: a new topic of the same name is read from its first record.
func (o *opener) checkGroup(ctx context.Context, id offsets.TopicID, found []committed) error {
	if err := o.cfg.checkOwner(found); err != nil {
		return err
	}
	if len(withoutOffset(found)) < len(found) || offsets.OriginOf(o.began, id) == offsets.FormerTopic {
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

// claim stamps those of the opened partitions that bear no stamp of this service, before any call. Then it checks that no other service
// has stamped the group meanwhile: of two services that claim a group at once, none calls before it has seen the other's stamp.
func (o *opener) claim(ctx context.Context, opened []*partition, found []committed) error {
	if o.cfg.App == "" || !slices.ContainsFunc(opened, func(p *partition) bool {
		was := found[p.id].stamp
		return was.App != o.cfg.App || was.DeadLetterTopic != o.cfg.DeadLetterTopic
	}) {
		return nil
	}
	if err := o.committer.commit(ctx, opened, true); err != nil {
		return err
	}
	return o.checkOwner(ctx, len(found))
}

// resume finds where a partition goes on, given its committed offset, the ID of the topic and its leader's present epoch. If it has no offset, once says
// whether it had one before.
func (o *opener) resume(ctx context.Context, c committed, id offsets.TopicID, current int32, once bool) (offsets.Handover, error) {
	origin := offsets.OriginOf(c.stamp.Topic, id)
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
