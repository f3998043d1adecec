package pass

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/recordlog"
)

const (
	// readAttempts bounds how often a read is repeated that brokers refuse for a moment, while leaders move for example.
	readAttempts = 10
	readPause    = 300 * time.Millisecond
	// batchAttempts is how often an unreadable batch is fetched before it is stepped over. A batch that was damaged on the
	// network is intact the next time.
	batchAttempts = 3
)

// Part is a part of a partition: the offsets from From on, below To.
type Part struct {
	Partition int
	From, To  int64
	// MaxBytes is the size of a fetch in compressed bytes. A thousand similar records compress twentyfold.
	MaxBytes int32
}

// Each calls do with each record of a part, except aborted ones and markers, and gap with each batch that can't be read. It returns
// the offset up to which the part has been read.
func (t *Topic) Each(ctx context.Context, part Part, do func(*recordlog.Record) error, gap func(Gap)) (int64, error) {
	r := recordlog.Request{Partition: part.Partition, Offset: part.From, MaxBytes: part.MaxBytes, Epoch: recordlog.NoEpoch}
	for idle := 0; r.Offset < part.To; {
		next, unread, err := t.Read(ctx, r, func(rec *recordlog.Record) error {
			if rec.Offset >= part.To {
				return nil
			}
			return do(rec)
		})
		if unread != nil {
			gap(*unread)
		}
		if next > r.Offset {
			idle = 0
		} else if idle++; err == nil {
			err = t.Idle(ctx, r, idle)
		}
		if r.Offset = next; err != nil {
			return min(r.Offset, part.To), err
		}
	}
	return max(part.From, min(r.Offset, part.To)), nil
}

// Read makes one fetch and calls do with each record at or above its offset, except aborted ones and markers. It returns
// the offset to continue from, and a gap if it has stepped over a batch that can't be read. After an error of do it returns
// the offset behind that record.
func (t *Topic) Read(ctx context.Context, r recordlog.Request, do func(*recordlog.Record) error) (int64, *Gap, error) {
	for attempt := 1; ; attempt++ {
		fetched, err := t.fetch(ctx, &r)
		if err != nil {
			return r.Offset, nil, fmt.Errorf("read %s/%d/%d: %w", t.name, r.Partition, r.Offset, err)
		}
		next := r.Offset
		err = fetched.Each(0, func(rec *recordlog.Record) error {
			next = rec.Offset + 1
			if !rec.Use {
				return nil
			}
			return do(rec)
		})
		bad, isBad := errors.AsType[*recordlog.BatchError](err)
		switch {
		case err == nil:
			return max(next, fetched.Next), nil, nil
		case !isBad:
			return next, nil, err
		case attempt == batchAttempts:
			next, gap := stepOver(r.Partition, next, bad)
			return next, &gap, nil
		}
		r.Offset = next // the records before the fault have been delivered
		if err := pause(ctx, readPause); err != nil {
			return next, nil, err
		}
	}
}

// stepOver returns the part of a batch that can't be read, and the offset to continue from. Everything below from has been
// read.
func stepOver(partition int, from int64, bad *recordlog.BatchError) (next int64, gap Gap) {
	first := max(from, bad.First)
	last := max(first, bad.Last)
	return last + 1, Gap{Partition: partition, First: first, Last: last, Err: bad}
}

// fetch fetches from an offset on, as seldom as the broker's quotas demand. If retention has removed that offset, it
// changes r to the first offset that exists.
func (t *Topic) fetch(ctx context.Context, r *recordlog.Request) (*recordlog.Fetched, error) {
	for {
		fetched, err := t.fetchOnce(ctx, r)
		if err != nil || fetched.Throttled <= 0 {
			return fetched, err
		}
		if err := pause(ctx, fetched.Throttled); err != nil || fetched.HighWatermark >= 0 {
			return fetched, err
		}
	}
}

func (t *Topic) fetchOnce(ctx context.Context, r *recordlog.Request) (*recordlog.Fetched, error) {
	var fetched *recordlog.Fetched
	err := t.retry(ctx, func() (err error) {
		fetched, err = t.log.Fetch(ctx, *r)
		if errors.Is(err, recordlog.ErrOffsetGone) { // retention or a cut; never go back
			var first int64
			if first, err = t.log.Offset(ctx, r.Partition, kafka.FirstOffset); err == nil && first > r.Offset {
				r.Offset = first
				fetched, err = t.log.Fetch(ctx, *r)
			}
		}
		return err
	})
	return fetched, err
}

// Idle waits after a fetch that brought nothing although records should be there. It gives up after several such fetches in
// a row.
func (t *Topic) Idle(ctx context.Context, r recordlog.Request, times int) error {
	if times >= readAttempts {
		return fmt.Errorf("read %s/%d/%d: the broker returns nothing", t.name, r.Partition, r.Offset)
	}
	return pause(ctx, readPause)
}

// retry calls ask again a few times, since brokers refuse requests for a moment while leaders move.
func (t *Topic) retry(ctx context.Context, ask func() error) error {
	var err error
	for attempt := range readAttempts {
		if err = ask(); err == nil || ctx.Err() != nil || cluster.Refusal(err) != nil || errors.Is(err, kafka.UnknownTopicOrPartition) && attempt > 2 {
			return err
		}
		if err := pause(ctx, readPause); err != nil {
			return err
		}
	}
	return err
}

// pause waits, or returns the error of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
