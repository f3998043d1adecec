package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

const (
	// readAttempts bounds how often a read is repeated that brokers refuse for a moment, while leaders move for example.
	readAttempts = 10
	readPause    = 300 * time.Millisecond
	// batchAttempts is how often an unreadable batch is fetched before it is stepped over. A batch that was damaged on the
	// network is intact the next time.
	batchAttempts = 3
)

// read makes one fetch and calls do with each record at or above its offset, except aborted ones and markers. It returns
// the offset to continue from, and a gap if it has stepped over a batch that can't be read. After an error of do it returns
// the offset behind that record.
func (t *Table) read(ctx context.Context, r recordlog.Request, do func(*recordlog.Record) error) (int64, *Gap, error) {
	for attempt := 1; ; attempt++ {
		fetched, err := t.fetch(ctx, &r)
		if err != nil {
			return r.Offset, nil, fmt.Errorf("read %s/%d/%d: %w", t.topic, r.Partition, r.Offset, err)
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
func (t *Table) fetch(ctx context.Context, r *recordlog.Request) (*recordlog.Fetched, error) {
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

func (t *Table) fetchOnce(ctx context.Context, r *recordlog.Request) (*recordlog.Fetched, error) {
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

// idle waits after a fetch that brought nothing although records should be there. It gives up after several such fetches in
// a row.
func (t *Table) idle(ctx context.Context, r recordlog.Request, times int) error {
	if times >= readAttempts {
		return fmt.Errorf("read %s/%d/%d: the broker returns nothing", t.topic, r.Partition, r.Offset)
	}
	return pause(ctx, readPause)
}

// retry calls ask again a few times, since brokers refuse requests for a moment while leaders move.
func (t *Table) retry(ctx context.Context, ask func() error) error {
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

// readLetter reads a letter. It returns nil if the record is a tombstone or not convdel's.
func readLetter(r *recordlog.Record) *Letter {
	if r.Value == nil || r.Key == nil || r.Omitted != nil {
		return nil
	}
	d, err := schema.ParseDeadLetter(r.Headers)
	if err != nil || string(r.Key) != d.ID() {
		return nil // another tool's record
	}
	l := &Letter{DeadLetter: d, Value: r.Value, Headers: r.Headers, Written: r.Time}
	if d.NullValue {
		l.Value = nil
	}
	return l
}
