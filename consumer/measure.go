package consumer

import (
	"context"
	"fmt"
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

// decideStart measures the partitions and decides where the group begins. The error may be a [*StartError].
func decideStart(ctx context.Context, cfg *Config, source *recordlog.Log, partitions int) ([]extent, []int64, error) {
	extents := make([]extent, partitions)
	for id := range extents {
		var err error
		if extents[id], err = measure(ctx, source, id, cfg.Start); err != nil {
			return nil, nil, fmt.Errorf("start of %s/%d: %w", cfg.Topic, id, err)
		}
	}
	now := time.Now()
	begin, err := cfg.Start.decide(extents, now)
	if err != nil {
		n, oldest := records(extents, now)
		return nil, nil, &StartError{Group: cfg.Group, Topic: cfg.Topic, Records: n, Oldest: oldest}
	}
	return extents, begin, nil
}

// measure asks what a partition holds, as far as the start needs it.
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

// oldestRecord is the time of the first record. It is zero if the record has no time or can't be read: an open transaction
// stands before it, or its batch is broken.
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
		// The broker's index may know that no record is old.
		young, err := source.OffsetAt(ctx, id, time.Now().Add(-RecentAge))
		if err == nil && young <= first {
			return time.Now(), nil
		}
	}
	return at, nil
}

func lostOffset(topic string, id int) string {
	return fmt.Sprintf("partition %s/%d has lost its offset", topic, id)
}

// beyondEnd says that an offset of a partition is beyond the end of its log.
func beyondEnd(topic string, id int, offset, end int64) string {
	return fmt.Sprintf("offset %d of %s/%d is beyond the end of the log, %d", offset, topic, id, end)
}

// beginAnew decides where a single partition begins whose offset is lost or can't be used; what says so. The error may be a
// [*StartError].
func beginAnew(ctx context.Context, cfg *Config, source *recordlog.Log, id int, what string) (int64, error) {
	e, err := measure(ctx, source, id, cfg.Start)
	if err != nil {
		return 0, fmt.Errorf("start of %s/%d: %w", cfg.Topic, id, err)
	}
	now := time.Now()
	begin, err := cfg.Start.decide([]extent{e}, now)
	if err != nil {
		n, oldest := records([]extent{e}, now)
		return 0, &StartError{Group: cfg.Group, Topic: cfg.Topic, What: what, Records: n, Oldest: oldest}
	}
	return begin[0], nil
}
