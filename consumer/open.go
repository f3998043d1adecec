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
	lagEvery     = 15 * time.Second
	// openAtOnce is how many partitions are opened at a time.
	openAtOnce = 16
)

// open finds where the owned partitions stand: the committed watermarks with the finished offsets above them, or the beginning
// of the log. It asks again until it knows or ctx ends: a guess would repeat the whole topic, or skip some of it. Other errors
// are those that Run ends with.
func (s *session) open(ctx context.Context, ids []int) error {
	for {
		err := s.openOnce(ctx, ids)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || isFinal(err) {
			return err
		}
		s.log.LogAttrs(ctx, slog.LevelWarn, "committed offsets not read, will retry", slog.Any("error", err))
		s.troubled("committed offsets not read", err)
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (s *session) openOnce(ctx context.Context, ids []int) error {
	topic, err := s.source.Describe(ctx)
	if err != nil {
		return fmt.Errorf("topic %s: %w", s.cfg.Topic, err)
	}
	if topic.Partitions <= slices.Max(ids) {
		return &partitionsError{owned: slices.Max(ids), known: topic.Partitions}
	}
	s.topicID = offsets.TopicID(topic.ID)
	found, err := committedOffsets(ctx, s.client, s.cfg.Group, s.cfg.Topic, topic.Partitions)
	if err != nil {
		return err
	}
	if err := s.checkGroup(ctx, found); err != nil {
		return err
	}
	if err := s.openAll(ctx, ids, found, topic); err != nil {
		return err
	}
	s.committer = s.newCommitter(found)
	return s.claim(ctx, found)
}

// newCommitter returns the committer of the partitions, where the group had found these offsets before.
func (s *session) newCommitter(found []committed) *committer {
	stamp := s.cfg.stamp(s.topicID)
	stamp.Partitions = len(found)
	if missing := withoutOffset(found); len(missing) > 0 {
		stamp.Partitions = missing[0]
	}
	return &committer{
		partitions: s.partitions, stamp: stamp, sender: s.sender, accepted: s.metrics.commits, log: s.log, poked: make(chan struct{}, 1),
	}
}

// openAll opens the owned partitions, some at once: for most of them their leader is asked one question.
func (s *session) openAll(ctx context.Context, ids []int, found []committed, topic recordlog.Topic) error {
	opened, once := make([]*partition, len(ids)), onceCommitted(found, s.topicID)
	opening, each := errgroup.WithContext(ctx)
	opening.SetLimit(openAtOnce)
	for i, id := range ids {
		opening.Go(func() error {
			from, err := s.resume(each, found[id], epochOf(topic, id), id < once)
			opened[i] = newPartition(id, from, epochOf(topic, id))
			return err
		})
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	s.partitions = make(map[int]*partition, len(ids))
	begun := make(map[int]int64)
	for _, p := range opened {
		s.partitions[p.id] = p
		if found[p.id].offset < 0 {
			begun[p.id] = p.position()
		}
	}
	s.logAdded(ctx, begun)
	return nil
}

// checkGroup returns a [*GroupTakenError] if the group is another service's. It returns a [*StartError] if the group has lost all
// the offsets that it had before this member joined, and would not begin at the first record of each partition anyway. Offsets
// that have gone with their topic are not lost: a topic that was made anew is read from its first record.
func (s *session) checkGroup(ctx context.Context, found []committed) error {
	if err := s.cfg.checkOwner(found); err != nil {
		return err
	}
	if len(withoutOffset(found)) < len(found) || offsets.OriginOf(s.began, s.topicID) == offsets.FormerTopic {
		return nil
	}
	extents, begin, err := decideStart(ctx, &s.cfg, s.source, len(found))
	if err == nil && !isStart(extents, begin) {
		n, oldest := records(extents, time.Now())
		err = &StartError{Group: s.cfg.Group, Topic: s.cfg.Topic, Records: n, Oldest: oldest, Err: errMembers}
	}
	return err
}

var errMembers = errors.New("the group has members already")

// claim stamps the owned partitions that bear no stamp of this service, before any call. Then it looks whether another service
// has done the same meanwhile: of two that claim a group at once, none calls before it has seen the other's stamp.
func (s *session) claim(ctx context.Context, found []committed) error {
	if s.cfg.App == "" || !s.unclaimed(found) {
		return nil
	}
	if err := s.committer.commit(ctx, true); err != nil {
		return err
	}
	return s.watchOwner(ctx, len(found))
}

func (s *session) unclaimed(found []committed) bool {
	for id := range s.partitions {
		if was := found[id].stamp; was.App != s.cfg.App || was.DeadLetterTopic != s.cfg.DeadLetterTopic {
			return true
		}
	}
	return false
}

// resume finds where a partition goes on, given what was committed of it and the epoch of its leader. Without an offset, once
// says whether it had one before.
func (s *session) resume(ctx context.Context, c committed, current int32, once bool) (offsets.Handover, error) {
	origin := offsets.OriginOf(c.stamp.Topic, s.topicID)
	switch {
	case c.offset < 0 && once:
		begin, err := beginAnew(ctx, &s.cfg, s.source, c.partition, lostOffset(s.cfg.Topic, c.partition))
		return offsets.At(begin), err
	case c.offset < 0:
		first, err := s.source.Offset(ctx, c.partition, kafka.FirstOffset)
		return offsets.At(first), err
	case origin == offsets.FormerTopic:
		first, err := s.source.Offset(ctx, c.partition, kafka.FirstOffset)
		if err == nil {
			s.metrics.offsetResets.Inc()
			s.log.LogAttrs(ctx, slog.LevelError, "committed offset is of a topic that is no more: reading the new one from its start",
				slog.String("topic", s.cfg.Topic), slog.Int("partition", c.partition), slog.Int64("offset", c.offset), slog.Int64("log_start", first))
		}
		return offsets.At(first), err
	case origin == offsets.OtherCluster:
		return offsets.At(c.offset), nil // a mirror has translated the offset, and not the rest
	default:
		return s.takeOver(ctx, c, current)
	}
}

// takeOver goes on where the previous owner has left a partition, or lower if the log was cut there.
func (s *session) takeOver(ctx context.Context, c committed, current int32) (offsets.Handover, error) {
	log := s.log.With(slog.String("topic", s.cfg.Topic), slog.Int("partition", c.partition), slog.Int64("offset", c.offset))
	finished, err := c.stamp.Finished()
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "list of finished offsets not usable, they will be done again", slog.Any("error", err))
	}
	was := offsets.Handover{Watermark: c.offset, Finished: finished, LastRead: c.stamp.LastRead}
	end, cut, err := s.endOfEpoch(ctx, c.partition, current, was.LastRead)
	if err != nil || !cut {
		return was, err
	}
	first, err := s.source.Offset(ctx, c.partition, kafka.FirstOffset)
	if err != nil {
		return was, err
	}
	left := was.Cut(end, first)
	log.LogAttrs(ctx, slog.LevelError, "the log was cut below what has been read: going on where it was",
		slog.Int64("begin", left.Watermark), slog.Int64("cut", end.End), slog.Int64("read", was.LastRead.End),
		slog.Int("epoch", int(was.LastRead.Epoch)), slog.Int("found_epoch", int(end.Epoch)), slog.Int("leader_epoch", int(current)))
	s.metrics.offsetResets.Inc()
	return left, nil
}

// logAdded logs which partitions begin at their first record, since they have no offset while others do.
func (s *session) logAdded(ctx context.Context, begun map[int]int64) {
	if len(begun) == 0 {
		return
	}
	ids, ahead := make([]int, 0, len(begun)), int64(0)
	for id, first := range begun {
		ids = append(ids, id)
		if last, err := s.source.Offset(ctx, id, kafka.LastOffset); err == nil {
			ahead += last - first
		}
	}
	slices.Sort(ids)
	s.log.LogAttrs(ctx, slog.LevelInfo, "partitions without an offset begin at their first record",
		slog.String("topic", s.cfg.Topic), slog.Any("partitions", ids), slog.Int64("records_ahead", ahead))
}

// relocate deals with a position that is outside of the log. If it is below the log's start, retention has removed records before
// they were read: fetching goes on at the start, and the log line says how many are lost. If it is beyond the log's end, the
// topic may have been made anew, or its log cut: then the partition is opened anew. If neither is known, it begins as start says.
func (s *session) relocate(ctx context.Context, p *partition) error {
	first, err := s.source.Offset(ctx, p.id, kafka.FirstOffset)
	if err != nil {
		return err
	}
	last, err := s.source.Offset(ctx, p.id, kafka.LastOffset)
	if err != nil {
		return err
	}
	position := p.position()
	if position >= first && position <= last {
		return fmt.Errorf("%w: %s/%d/%d, although the log is %d to %d", recordlog.ErrOffsetGone, s.cfg.Topic, p.id, position, first, last)
	}
	if position > last {
		if _, replaced, err := s.look(ctx); err != nil {
			return err
		} else if replaced {
			return errRestart
		}
		if err := s.validateAt(ctx, p, p.epoch.Load()); err != nil {
			return err
		}
	}
	s.metrics.offsetResets.Inc()
	log := s.log.With(slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id),
		slog.Int64("offset", position), slog.Int64("log_start", first), slog.Int64("log_end", last))
	if position < first {
		log.LogAttrs(ctx, slog.LevelError, "retention has removed records before they were read; going on at the start of the log",
			slog.Int64("offsets_lost", first-position))
		p.skip(first)
		return nil
	}
	// The topic is the same as far as known, and its log was not cut as far as the leaders tell. An operator may have moved the
	// group by mistake, so the partition begins as one without an offset does.
	begin, err := beginAnew(ctx, &s.cfg, s.source, p.id, fmt.Sprintf("offset %d of %s/%d is beyond the end of the log, %d", position, s.cfg.Topic, p.id, last))
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelError, "position is beyond the end of the log: beginning as start says", slog.Int64("begin", begin))
	if !p.restart(begin) {
		p.noCommits.Store(true)
		return errRestart
	}
	return nil
}

// watchLag keeps the lag of partitions true whose fetching waits: a fetch brings the end of the log along, and there is none while
// the events in flight have no room.
func (s *session) watchLag(ctx context.Context) {
	for pause(ctx, lagEvery) == nil {
		for _, p := range s.partitions {
			if time.Since(time.Unix(0, p.seen.Load())) < lagEvery {
				continue
			}
			if end, err := s.source.Offset(ctx, p.id, kafka.LastOffset); err == nil {
				p.sawEnd(end)
			}
			s.metrics.setLag(p.id, p.lag())
		}
	}
}
