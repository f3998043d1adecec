package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// oldestBytes is what a fetch asks for that is only about the first record's time, oldestWait how long it may take where
// an open transaction stands before that record.
const (
	oldestBytes = 16 << 10
	oldestWait  = 100 * time.Millisecond
)

// beginning finds out, before this member joins, that the group is ours, and decides where it begins if it has no offset
// at all. The decision is committed at once: who starts an hour later finds offsets, and does not decide anew.
type beginning struct {
	*Consumer

	kafkas *connections
	// extents are the partitions when the start was decided, offsets the decision; nil before. What of it has not been
	// committed is committed by the next attempt, and not decided again.
	extents []extent
	offsets []int64
}

// begin does that. It asks again for as long as brokers are away, until ctx ends, which returns its error. Other errors
// are a [*StartError] and a [*GroupTakenError].
func (c *Consumer) begin(ctx context.Context, kafkas *connections) error {
	b := &beginning{Consumer: c, kafkas: kafkas}
	for {
		err := b.once(ctx)
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

// isFinal says whether an error is one that Run ends with.
func isFinal(err error) bool {
	_, undecided := errors.AsType[*StartError](err)
	_, taken := errors.AsType[*GroupTakenError](err)
	return undecided || taken
}

func (b *beginning) once(ctx context.Context) error {
	source := b.kafkas.log(b.cfg.Topic)
	topic, err := source.Describe(ctx)
	if err != nil {
		return fmt.Errorf("topic %s: %w", b.cfg.Topic, err)
	}
	b.began = topic.ID
	found, err := b.committed(ctx, topic.Partitions)
	if err != nil {
		return err
	}
	missing := withoutOffset(found)
	if len(missing) < len(found) && (b.offsets == nil || len(missing) == 0) {
		b.sayFound(ctx, found)
		return b.checkLost(ctx, source, topic, found)
	}
	if b.offsets == nil {
		if b.extents, b.offsets, err = decideStart(ctx, &b.cfg, source, topic.Partitions); err != nil {
			return err
		}
	}
	return b.commit(ctx, topic.ID, missing)
}

// committed is what the group has committed, if it is ours.
func (b *beginning) committed(ctx context.Context, partitions int) ([]committed, error) {
	found, err := committedOffsets(ctx, b.kafkas.client, b.cfg.Group, b.cfg.Topic, partitions)
	if err != nil {
		return nil, err
	}
	return found, b.cfg.checkOwner(found)
}

// sayFound logs what of the settings is left aside, or taken, since the group has offsets.
func (b *beginning) sayFound(ctx context.Context, found []committed) {
	if b.offsets == nil && b.cfg.Start != (Start{}) {
		b.log.LogAttrs(ctx, slog.LevelInfo, "the group has offsets: it goes on there, whatever start says",
			slog.String("group", b.cfg.Group), slog.String("start", b.cfg.Start.String()))
	}
	if slices.ContainsFunc(found, func(c committed) bool { return b.cfg.adopts(c.stamp) }) {
		b.log.LogAttrs(ctx, slog.LevelWarn, "taking the group over from another app: its running replicas end",
			slog.String("group", b.cfg.Group), slog.String("from_app", b.cfg.Adopt), slog.String("app", b.cfg.App))
	}
}

// checkLost returns a [*StartError] for a partition that has lost its offset, if [Config.Start] does not say where it begins.
func (b *beginning) checkLost(ctx context.Context, source *recordlog.Log, topic recordlog.Topic, found []committed) error {
	had := hadOffsets(found, topic.ID)
	for _, id := range withoutOffset(found) {
		if id >= had {
			continue // added later: it begins at its first record, see openPartition
		}
		if _, err := beginAnew(ctx, &b.cfg, source, id, lostOffset(b.cfg.Topic, id)); err != nil {
			return err
		}
	}
	return nil
}

func lostOffset(topic string, id int) string {
	return fmt.Sprintf("partition %s/%d has lost its offset", topic, id)
}

// beginAnew is where a single partition begins whose offset is lost or can't be used, as what says. The error may be a
// [*StartError].
func beginAnew(ctx context.Context, cfg *Config, source *recordlog.Log, id int, what string) (int64, error) {
	e, err := measure(ctx, source, id, cfg.Start)
	if err != nil {
		return 0, fmt.Errorf("start of %s/%d: %w", cfg.Topic, id, err)
	}
	now := time.Now()
	offsets, err := cfg.Start.decide([]extent{e}, now)
	if err != nil {
		n, oldest := records([]extent{e}, now)
		return 0, &StartError{Group: cfg.Group, Topic: cfg.Topic, What: what, Records: n, Oldest: oldest}
	}
	return offsets[0], nil
}

func withoutOffset(found []committed) []int {
	var missing []int
	for _, c := range found {
		if c.offset < 0 {
			missing = append(missing, c.partition)
		}
	}
	return missing
}

// commit commits what has been decided for the partitions that have no offset, and reads it again: of two members that
// start at once the last one's decision counts for both.
//
// Brokers take it only while the group has no members. Those that it has can't have decided anything else than we have,
// unless they know no such decision, as older versions do: they begin at the first record.
func (b *beginning) commit(ctx context.Context, log recordlog.ID, missing []int) error {
	var commits []commit
	for _, id := range missing {
		if id < len(b.offsets) {
			commits = append(commits, commit{partition: id, offset: b.offsets[id], epoch: noEpoch, stamp: b.cfg.stampAt(id, b.offsets[id], log)})
			commits[len(commits)-1].stamp.of = len(b.offsets)
		}
	}
	commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	outsider := &member{group: b.cfg.Group, generation: -1}
	how := withoutList
	refused := outsider.commit(commitCtx, b.kafkas.transport, &b.cfg, commits, &how)
	if refused != nil && !isFenced(refused) {
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
	case !isStart(b.extents, b.offsets):
		n, oldest := records(b.extents, time.Now())
		return &StartError{Group: b.cfg.Group, Topic: b.cfg.Topic, Records: n, Oldest: oldest, Err: refused}
	default: // it comes to the same
	}
	b.say(ctx, found)
	return nil
}

// say logs where the group begins.
func (b *beginning) say(ctx context.Context, found []committed) {
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
		level = slog.LevelWarn // they are never executed by this group
	}
	b.log.LogAttrs(ctx, level, "group had no offsets: it begins as start says", slog.String("group", b.cfg.Group),
		slog.String("topic", b.cfg.Topic), slog.String("start", b.cfg.Start.String()), slog.Int("partitions", len(found)),
		slog.Int64("records_ahead", ahead), slog.Int64("records_left_out", behind), slog.Duration("oldest_record_age", oldest.Round(time.Second)))
}

// decideStart looks at the partitions and decides. The error may be a [*StartError].
func decideStart(ctx context.Context, cfg *Config, source *recordlog.Log, partitions int) ([]extent, []int64, error) {
	extents := make([]extent, partitions)
	for id := range extents {
		var err error
		if extents[id], err = measure(ctx, source, id, cfg.Start); err != nil {
			return nil, nil, fmt.Errorf("start of %s/%d: %w", cfg.Topic, id, err)
		}
	}
	now := time.Now()
	offsets, err := cfg.Start.decide(extents, now)
	if err != nil {
		n, oldest := records(extents, now)
		return nil, nil, &StartError{Group: cfg.Group, Topic: cfg.Topic, Records: n, Oldest: oldest}
	}
	return extents, offsets, nil
}

// measure asks what a partition holds. What a start does not need is not asked for.
func measure(ctx context.Context, source *recordlog.Log, id int, start Start) (extent, error) {
	first, err := source.Offset(ctx, id, kafka.FirstOffset)
	if err != nil {
		return extent{}, err
	}
	last, err := source.Offset(ctx, id, kafka.LastOffset)
	if err != nil {
		return extent{}, err
	}
	e := extent{first: first, last: last}
	if start.rule == startAt {
		if e.at, err = source.OffsetAt(ctx, id, start.at); err != nil {
			return extent{}, err
		}
	}
	if first < last {
		e.oldest, err = oldestRecord(ctx, source, id, first, last)
	}
	return e, err
}

// oldestRecord is the time of the first record; zero if it has none, or can't be read: an open transaction stands before
// it, or its batch is broken.
func oldestRecord(ctx context.Context, source *recordlog.Log, id int, first, last int64) (time.Time, error) {
	var at time.Time
	for position := first; position < last; {
		fetched, err := source.Fetch(ctx, recordlog.Request{Partition: id, Offset: position, MaxBytes: oldestBytes, Hold: oldestWait, Epoch: recordlog.NoEpoch})
		if err != nil {
			return time.Time{}, err
		}
		err = fetched.Each(0, func(r *recordlog.Record) error {
			at = r.Time
			return errFound
		})
		if err != nil || fetched.Next <= position {
			break
		}
		position = fetched.Next
	}
	if at.IsZero() {
		// Perhaps the broker's index knows.
		young, err := source.OffsetAt(ctx, id, time.Now().Add(-RecentAge))
		if err == nil && young <= first {
			return time.Now(), nil
		}
	}
	return at, nil
}

// sayAdded logs how many partitions begin at their first record, since they have no offset while others do.
func (s *session) sayAdded(ctx context.Context, begun map[int]int64) {
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
