package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/recordlog"
	"convdel/internal/notable"
)

const (
	// fetchWait is how long the broker may hold a fetch that has nothing to return.
	fetchWait     = 500 * time.Millisecond
	fetchRetryMin = 100 * time.Millisecond
	fetchRetryMax = 5 * time.Second
	// fetchSays is the time after which the log repeats that a partition can't be read.
	fetchSays = time.Minute
	// throttleMost bounds the pause that a broker asks for.
	throttleMost = 30 * time.Second
)

// errRestart says that the partition has to be opened anew, in another session.
var errRestart = errors.New("partition has to be opened anew")

// fetcher reads a partition and delivers its records.
type fetcher struct {
	p        *partition
	owned    *assignment
	source   *recordlog.Log
	capacity *capacity
	pipeline *pipeline
	metrics  *Metrics
	log      *slog.Logger
	// mayFetch waits until a fetch may be made.
	mayFetch       func(ctx context.Context) error
	maxRecordBytes int64
	// atStart makes an error final if it is one of the start, worked is told that the brokers let this replica read.
	atStart func(error) error
	worked  func()

	size  fetchSize
	fault faultCount
	// reserved is the part of the capacity that is held for records to come. It is given back at the end of each fetch, except for
	// a fetch that could not wait with what it had read.
	reserved reservation
	// reported is when the log last said that the partition can't be read.
	reported time.Time
}

// run reads the partition until ctx ends. It returns errRestart if the partition has to be opened anew, and an error that Run ends
// with.
func (f *fetcher) run(ctx context.Context) error {
	ctx, end := f.owned.loops.begin(ctx, fmt.Sprintf("fetch partition %d", f.p.id))
	defer end()
	defer f.capacity.cancel(&f.reserved) // the session goes on without the partition
	spacing := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(fetchRetryMin), backoff.WithMaxInterval(fetchRetryMax), backoff.WithMaxElapsedTime(0))
	for f.mayFetch(ctx) == nil {
		err := f.fetchOnce(ctx)
		if err != nil && ctx.Err() == nil {
			f.metrics.fetchFailed(err)
			err = f.atStart(f.recover(ctx, err))
		}
		if errors.Is(err, errRestart) {
			f.log.LogAttrs(ctx, slog.LevelWarn, "opening the partitions anew, because of one of them", slog.Any("error", err))
			return err
		}
		if isFinal(err) {
			return err
		}
		if ctx.Err() == nil {
			f.report(ctx, err)
		}
		if err == nil {
			spacing.Reset()
			continue
		}
		spacing.MaxInterval = fetchRetryMax
		if cluster.Refusal(err) != nil {
			spacing.MaxInterval = cluster.RefusalPause
		}
		if pause(ctx, spacing.NextBackOff()) != nil {
			break
		}
	}
	return nil
}

// recover deals with a fetch that has failed for a reason that another fetch alone does not mend. It returns nil if the next
// fetch may follow at once.
func (f *fetcher) recover(ctx context.Context, err error) error {
	l := loopOf(ctx)
	l.rests() // it asks Kafka
	defer l.works()
	switch {
	case errors.Is(err, recordlog.ErrOffsetGone):
		return f.owned.relocate(ctx, f.p)
	case errors.Is(err, kafka.FencedLeaderEpoch), errors.Is(err, kafka.UnknownLeaderEpoch):
		return f.owned.validate(ctx, f.p)
	default:
		return err
	}
}

// report says in the log that fetching begins to fail, that it still fails, and that it works again.
func (f *fetcher) report(ctx context.Context, err error) {
	if err == nil {
		if f.p.failing.Swap(nil) != nil {
			f.log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "fetch works again", slog.Int64("offset", f.p.position()))
		}
		return
	}
	fresh := f.p.failing.Swap(&err) == nil
	if fresh || time.Since(f.reported) >= fetchSays {
		f.reported = time.Now()
		level, cause := inLog(err)
		f.log.LogAttrs(ctx, level, "fetch fails, will be retried", slog.Int64("offset", f.p.position()), cause)
	}
}

// fetchOnce makes one fetch and delivers its records.
func (f *fetcher) fetchOnce(ctx context.Context) error {
	p, keep := f.p, false
	defer func() {
		if !keep {
			f.capacity.cancel(&f.reserved)
		}
	}()
	if full, shrunk := p.spanFull(); full {
		return wait(ctx, time.Time{}, shrunk)
	}
	room, err := f.capacity.roomToFetch(ctx, f.size.need())
	if err != nil {
		return err
	}
	defer func() { room.giveBack() }()
	ask := recordlog.Request{
		Partition: p.id, Offset: p.position(), MaxBytes: f.size.ask, Hold: f.size.hold(), Epoch: p.epoch.Load(), Room: room.bytes,
	}
	l := loopOf(ctx)
	l.rests()
	fetched, err := f.source.Fetch(ctx, ask)
	l.works()
	if f.size.refused(err) {
		return nil // the next fetch has the room that this one needs
	}
	if err != nil {
		return err
	}
	f.worked()
	if fetched.HighWatermark >= 0 { // a throttled fetch has none
		p.sawEnd(fetched.HighWatermark)
		p.stable.Store(fetched.Stable)
	}
	if !room.isShare() { // the answer is small, and its records may not be
		share, err := f.capacity.roomToFetch(ctx, f.size.least())
		if err != nil {
			return err
		}
		room = share
	}
	err = f.deliverIn(ctx, fetched, room)
	room.giveBack() // others may read meanwhile
	if full, ok := errors.AsType[*noCapacityError](err); ok {
		keep = true // for the next fetch
		return f.capacity.reserve(ctx, &f.reserved, full.size, true)
	}
	if err != nil || fetched.Throttled == 0 {
		return err
	}
	return pause(ctx, min(fetched.Throttled, throttleMost))
}

// deliverIn delivers the records of a fetch, within a room, and steps over a batch that can't be read.
func (f *fetcher) deliverIn(ctx context.Context, fetched *recordlog.Fetched, room *room) error {
	err := f.deliverAll(ctx, fetched, room)
	if f.size.refused(err) {
		return nil // the next fetch has the room that this one needs
	}
	if bad, ok := errors.AsType[*recordlog.BatchError](err); ok {
		return f.stepOver(ctx, bad, room)
	}
	return err
}

// deliverAll delivers the records of a fetch, within a room.
func (f *fetcher) deliverAll(ctx context.Context, fetched *recordlog.Fetched, room *room) error {
	p, position := f.p, f.p.position()
	var total int64
	err := fetched.Each(room.bytes, func(r *recordlog.Record) error {
		total += r.Size
		return f.pipeline.deliver(ctx, p, &f.reserved, r, !room.large)
	})
	switch {
	case errors.Is(err, errSpanFull):
		return nil // the rest is fetched again when there is room
	case err != nil:
		return err
	}
	if total > 0 || fetched.Throttled == 0 { // a throttled fetch says nothing of the backlog
		f.size.brought(total)
	}
	p.skip(fetched.Next)
	if fetched.Next > position {
		f.pipeline.advanced()
	}
	return nil
}
