package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

const (
	adminTimeout = 10 * time.Second
	lagEvery     = 15 * time.Second
)

// open finds where the owned partitions stand: the committed watermarks with the offsets that have
// ended above them, or the beginning of the log. It asks again until it knows or ctx ends: to
// guess would be to repeat the whole topic, or to skip some of it.
func (s *session) open(ctx context.Context, ids []int) error {
	for {
		err := s.openOnce(ctx, ids)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.LogAttrs(ctx, slog.LevelWarn, "committed offsets not read, will retry", slog.Any("error", err))
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (s *session) openOnce(ctx context.Context, ids []int) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	topic, err := s.source.Describe(ctx)
	if err != nil {
		return fmt.Errorf("topic %s: %w", s.cfg.Topic, err)
	}
	s.identity = topic.ID
	res, err := s.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{
		GroupID: s.cfg.Group, Topics: map[string][]int{s.cfg.Topic: ids},
	})
	if err != nil {
		return err
	}
	if res.Error != nil {
		return res.Error
	}
	opened := make(map[int]*partition, len(ids))
	for _, c := range res.Topics[s.cfg.Topic] {
		if c.Error != nil {
			return fmt.Errorf("committed offset of %s/%d: %w", s.cfg.Topic, c.Partition, c.Error)
		}
		if opened[c.Partition], err = s.openPartition(ctx, c); err != nil {
			return err
		}
	}
	if len(opened) != len(ids) {
		return fmt.Errorf("committed offsets of %d partitions asked for, %d received", len(ids), len(opened))
	}
	s.partitions = opened
	return nil
}

func (s *session) openPartition(ctx context.Context, c kafka.OffsetFetchPartition) (*partition, error) {
	p := &partition{id: c.Partition, size: newFetchSize()}
	committed, list := unstamp(c.Metadata)
	from := originOf(committed, s.identity)
	if c.CommittedOffset < 0 || from == formerTopic {
		first, err := s.source.Offset(ctx, p.id, kafka.FirstOffset)
		p.tracker = newTracker(first)
		if from == formerTopic && err == nil {
			s.metrics.offsetResets.Inc()
			s.log.LogAttrs(ctx, slog.LevelError, "committed offset is of a topic that is no more: reading the new one from its start",
				slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("offset", c.CommittedOffset), slog.Int64("log_start", first))
		}
		return p, err
	}
	if from == otherCluster {
		list = ""
	}
	done, err := decodeDone(c.CommittedOffset, list)
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "list of finished offsets not usable, they will be done again",
			slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Any("error", err))
		done = nil
	}
	p.tracker = newTracker(c.CommittedOffset)
	p.tracker.inherit(done)
	return p, nil
}

// relocate deals with a position that is outside of the log. Below its start, retention has been
// faster than we were: what is gone is gone, and said. Beyond its end, the topic has been made
// anew or cut: everything that it holds is read.
func (s *session) relocate(ctx context.Context, p *partition) error {
	first, err := s.source.Offset(ctx, p.id, kafka.FirstOffset)
	if err != nil {
		return err
	}
	last, err := s.source.Offset(ctx, p.id, kafka.LastOffset)
	if err != nil {
		return err
	}
	position := p.tracker.next()
	if position >= first && position <= last {
		return fmt.Errorf("%w: %s/%d/%d, although the log is %d to %d", recordlog.ErrOffsetGone, s.cfg.Topic, p.id, position, first, last)
	}
	if position > last {
		if _, replaced, err := s.look(ctx); err != nil {
			return err
		} else if replaced {
			return errRestart
		}
	}
	s.metrics.offsetResets.Inc()
	log := s.log.With(slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id),
		slog.Int64("offset", position), slog.Int64("log_start", first), slog.Int64("log_end", last))
	if position < first {
		log.LogAttrs(ctx, slog.LevelError, "retention has removed records before they were read; going on at the start of the log",
			slog.Int64("offsets_lost", first-position))
		p.tracker.advance(first)
		return nil
	}
	log.LogAttrs(ctx, slog.LevelError, "position is beyond the end of the log: topic recreated or cut; reading it from its start")
	if !p.tracker.restart(first) {
		p.gone.Store(true)
		return errRestart
	}
	return nil
}

// watchLag keeps the lag true for partitions whose fetching waits: every fetch brings the end of the
// log along, but behind a full house there is none.
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
