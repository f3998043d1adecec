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

	"convdel/consumer/internal/recordlog"
)

const (
	adminTimeout = 10 * time.Second
	lagEvery     = 15 * time.Second
	// openAtOnce is how many partitions are opened at a time.
	openAtOnce = 16
)

// open finds where the owned partitions stand: the committed watermarks with the offsets that have
// ended above them, or the beginning of the log. It asks again until it knows or ctx ends: to
// guess would be to repeat the whole topic, or to skip some of it. Other errors are those that Run ends with.
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
	s.identity = topic.ID
	offsets, err := committedOffsets(ctx, s.client, s.cfg.Group, s.cfg.Topic, topic.Partitions)
	if err != nil {
		return err
	}
	if err := s.checkGroup(ctx, offsets); err != nil {
		return err
	}
	s.had = len(offsets)
	if missing := withoutOffset(offsets); len(missing) > 0 {
		s.had = missing[0]
	}
	if err := s.openAll(ctx, ids, offsets, topic); err != nil {
		return err
	}
	return s.claim(ctx, offsets)
}

// openAll opens the owned partitions, some at once: most ask their leader one question.
func (s *session) openAll(ctx context.Context, ids []int, offsets []committed, topic recordlog.Topic) error {
	opened, had := make([]*partition, len(ids)), hadOffsets(offsets, topic.ID)
	opening, each := errgroup.WithContext(ctx)
	opening.SetLimit(openAtOnce)
	for i, id := range ids {
		opening.Go(func() (err error) {
			opened[i], err = s.openPartition(each, offsets[id], topic, had)
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
		if offsets[p.id].offset < 0 {
			begun[p.id] = p.tracker.next()
		}
	}
	s.sayAdded(ctx, begun)
	return nil
}

// checkGroup returns an error that Run ends with if the group is another service's, or has no offset at all, although one was
// committed before this member joined, and would begin anywhere but at the first record of each partition. Offsets that have
// gone with their topic are no such case: one that is made anew is read from its first record.
func (s *session) checkGroup(ctx context.Context, offsets []committed) error {
	if err := s.cfg.checkOwner(offsets); err != nil {
		return err
	}
	if len(withoutOffset(offsets)) < len(offsets) || originOf(s.began, s.identity) == formerTopic {
		return nil
	}
	extents, begin, err := decideStart(ctx, &s.cfg, s.source, len(offsets))
	if err == nil && !isStart(extents, begin) {
		n, oldest := records(extents, time.Now())
		err = &StartError{Group: s.cfg.Group, Topic: s.cfg.Topic, Records: n, Oldest: oldest, Err: errMembers}
	}
	return err
}

var errMembers = errors.New("the group has members already")

// claim stamps the owned partitions that bear no stamp of this service, before anything is called. Then it looks whether
// another has done the same meanwhile: of two that claim a group at once, none calls before it has seen the other's stamp.
func (s *session) claim(ctx context.Context, offsets []committed) error {
	if s.cfg.App == "" || !s.unclaimed(offsets) {
		return nil
	}
	if err := s.committer.commit(ctx, true); err != nil {
		return err
	}
	return s.watchOwner(ctx, len(offsets))
}

func (s *session) unclaimed(offsets []committed) bool {
	for id := range s.partitions {
		if was := offsets[id].stamp; was.app != s.cfg.App || was.letters != s.cfg.DeadLetterTopic {
			return true
		}
	}
	return false
}

// openPartition opens a partition of a topic, of whose first partitions so many had an offset before.
func (s *session) openPartition(ctx context.Context, c committed, topic recordlog.Topic, had int) (*partition, error) {
	p := &partition{id: c.partition, size: newFetchSize()}
	p.reading = recordlog.NoEpoch
	p.epoch.Store(epochOf(topic, p.id))
	from := originOf(c.stamp.log, s.identity)
	if c.offset < 0 && c.partition < had {
		begin, err := beginAnew(ctx, &s.cfg, s.source, p.id, lostOffset(s.cfg.Topic, p.id))
		p.tracker = newTracker(begin)
		return p, err
	}
	if c.offset < 0 || from == formerTopic {
		first, err := s.source.Offset(ctx, p.id, kafka.FirstOffset)
		p.tracker = newTracker(first)
		if from == formerTopic && err == nil {
			s.metrics.offsetResets.Inc()
			s.log.LogAttrs(ctx, slog.LevelError, "committed offset is of a topic that is no more: reading the new one from its start",
				slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("offset", c.offset), slog.Int64("log_start", first))
		}
		return p, err
	}
	if from == otherCluster { // whoever has translated the offset has not translated the rest
		p.tracker = newTracker(c.offset)
		return p, nil
	}
	return p, s.resume(ctx, p, c)
}

// resume sets a partition to where the group stands, unless the log was cut below that.
func (s *session) resume(ctx context.Context, p *partition, c committed) error {
	log := s.log.With(slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("offset", c.offset))
	done, err := decodeDone(c.offset, c.stamp.done)
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "list of finished offsets not usable, they will be done again", slog.Any("error", err))
		done = nil
	}
	begin, epoch, read := c.offset, c.stamp.epoch, c.stamp.read
	found, end, isCut, err := s.endOfRead(ctx, p.id, p.epoch.Load(), epoch, read)
	if err != nil {
		return err
	}
	if isCut {
		first, err := s.source.Offset(ctx, p.id, kafka.FirstOffset)
		if err != nil {
			return err
		}
		begin, done = cut(c.offset, done, max(end, first))
		log.LogAttrs(ctx, slog.LevelError, "the log was cut below what has been read: going on where it was",
			slog.Int64("begin", begin), slog.Int64("cut", end), slog.Int64("read", read),
			slog.Int("epoch", int(epoch)), slog.Int("found_epoch", int(found)), slog.Int("leader_epoch", int(p.epoch.Load())))
		s.metrics.offsetResets.Inc()
		epoch, read = found, end
	}
	p.tracker = newTracker(begin)
	p.tracker.inherit(done)
	p.tracker.inheritRead(epoch, read)
	return nil
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
		p.tracker.skip(first)
		return nil
	}
	// The topic is the same as far as known, and nobody has cut it as far as the leaders tell: somebody may have moved the
	// group by mistake. So it begins here as a group without offsets does.
	begin, err := beginAnew(ctx, &s.cfg, s.source, p.id, fmt.Sprintf("offset %d of %s/%d is beyond the end of the log, %d", position, s.cfg.Topic, p.id, last))
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelError, "position is beyond the end of the log: beginning as start says", slog.Int64("begin", begin))
	if !p.tracker.restart(begin) {
		p.gone.Store(true)
		return errRestart
	}
	p.reading = recordlog.NoEpoch
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
