package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

const (
	// fetchWait is how long the broker may hold a fetch that has nothing to return.
	fetchWait     = 500 * time.Millisecond
	fetchRetryMin = 100 * time.Millisecond
	fetchRetryMax = 5 * time.Second
	// fetchSays is how often the log repeats that a partition can't be read.
	fetchSays = time.Minute
	// throttleMost bounds how long a broker's wish for no further fetch is followed at a time.
	throttleMost = 30 * time.Second
)

// errRestart says that the partition has to be opened anew, in another generation.
var errRestart = errors.New("partition has to be opened anew")

// fetch reads the partition until ctx ends, or returns errRestart.
func (s *session) fetch(ctx context.Context, p *partition) error {
	spacing := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(fetchRetryMin), backoff.WithMaxInterval(fetchRetryMax), backoff.WithMaxElapsedTime(0))
	report := fetchReport{s: s, p: p}
	for s.breaker.awaitFetch(ctx, s.queue.len) == nil {
		err := s.fetchOnce(ctx, p)
		if err != nil && ctx.Err() == nil {
			s.metrics.fetchFailed(err)
			err = s.recover(ctx, p, err)
		}
		if errors.Is(err, errRestart) {
			s.log.LogAttrs(ctx, slog.LevelWarn, "leaving the generation to open a partition anew",
				slog.Int("partition", p.id), slog.Any("error", err))
			return err
		}
		if isFinal(err) {
			return err
		}
		if ctx.Err() == nil {
			report.note(ctx, err)
		}
		if err == nil {
			spacing.Reset()
		} else if pause(ctx, spacing.NextBackOff()) != nil {
			break
		}
	}
	return nil //nolint:nilerr // told to stop
}

// recover deals with a fetch that failed for a reason that another fetch alone does not mend. It returns nil where the
// next fetch may follow at once.
func (s *session) recover(ctx context.Context, p *partition, err error) error {
	switch {
	case errors.Is(err, recordlog.ErrOffsetGone):
		return s.owned.relocate(ctx, p)
	case errors.Is(err, kafka.FencedLeaderEpoch), errors.Is(err, kafka.UnknownLeaderEpoch):
		return s.owned.validate(ctx, p)
	default:
		return err
	}
}

// fetchReport says in the log that fetching has begun to fail, that it still fails, and that it works again.
type fetchReport struct {
	s    *session
	p    *partition
	said time.Time
}

func (f *fetchReport) note(ctx context.Context, err error) {
	p := f.p
	if err == nil {
		if p.failing.Swap(nil) != nil {
			f.log().LogAttrs(ctx, slog.LevelInfo, "fetch works again")
		}
		return
	}
	fresh := p.failing.Swap(&err) == nil
	if fresh || time.Since(f.said) >= fetchSays {
		f.said = time.Now()
		f.log().LogAttrs(ctx, slog.LevelWarn, "fetch fails, will be retried", slog.Any("error", err))
	}
}

func (f *fetchReport) log() *slog.Logger {
	return f.s.log.With(slog.String("topic", f.s.cfg.Topic), slog.Int("partition", f.p.id), slog.Int64("offset", f.p.position()))
}

// fetchOnce makes one fetch and delivers what it brought.
func (s *session) fetchOnce(ctx context.Context, p *partition) error {
	keep := false
	defer func() {
		if !keep {
			s.capacity.cancel(&p.reserved)
		}
	}()
	if full, shrunk := p.spanFull(); full {
		return wait(ctx, time.Time{}, shrunk)
	}
	room, err := s.capacity.roomToFetch(ctx, p.size.need())
	if err != nil {
		return err
	}
	defer func() { room.giveBack() }()
	fetched, err := s.source.Fetch(ctx, recordlog.Request{
		Partition: p.id, Offset: p.position(), MaxBytes: p.size.ask, Hold: p.size.hold(), Epoch: p.epoch.Load(), Room: room.bytes,
	})
	if p.size.refused(err) {
		return nil // it is asked again with the room that it needs
	}
	if err != nil {
		return err
	}
	if fetched.HighWatermark >= 0 { // a throttled fetch has none
		p.sawEnd(fetched.HighWatermark)
		p.stable.Store(fetched.Stable)
		s.metrics.setLag(p.id, p.lag())
	}
	if !room.isShare() { // the answer is small; what is made of it may not be
		share, err := s.capacity.roomToFetch(ctx, p.size.least())
		if err != nil {
			return err
		}
		room = share
	}
	err = s.deliverIn(ctx, p, fetched, room)
	room.giveBack() // others may read meanwhile
	if full, ok := errors.AsType[*noCapacityError](err); ok {
		keep = true // for the next fetch
		return s.capacity.reserve(ctx, &p.reserved, full.size, true)
	}
	if err != nil || fetched.Throttled == 0 {
		return err
	}
	return pause(ctx, min(fetched.Throttled, throttleMost))
}

// deliverIn delivers what a fetch has brought, within a room.
func (s *session) deliverIn(ctx context.Context, p *partition, fetched *recordlog.Fetched, room *room) error {
	err := s.deliverAll(ctx, p, fetched, room)
	if p.size.refused(err) {
		return nil // it is fetched again with the room that it needs
	}
	if bad, ok := errors.AsType[*recordlog.BatchError](err); ok {
		return s.stepOver(ctx, p, bad, room)
	}
	return err
}

// deliverAll admits and takes the records of a fetch.
func (s *session) deliverAll(ctx context.Context, p *partition, fetched *recordlog.Fetched, room *room) error {
	position := p.position()
	var total int64
	err := fetched.Each(room.bytes, func(r *recordlog.Record) error {
		total += r.Size
		return s.deliver(ctx, p, r, room)
	})
	switch {
	case errors.Is(err, errSpanFull):
		return nil // the rest is fetched again when there is room
	case err != nil:
		return err
	}
	if total > 0 || fetched.Throttled == 0 { // a throttled fetch says nothing of what there is
		p.size.brought(total)
	}
	p.skip(fetched.Next)
	if fetched.Next > position {
		s.moved()
		s.committer.poke() // it may have been nothing but what ends without a call: rolled back, markers
	}
	return nil
}

// deliver admits a record and takes it. Of transactional producers only what they have committed is
// used: a rolled-back delete must not be executed.
func (s *session) deliver(ctx context.Context, p *partition, r *recordlog.Record, room *room) error {
	finished := p.read(r.Offset, r.Epoch)
	switch {
	case !r.Use:
		p.pass(r.Offset + 1)
		return nil
	case finished:
		p.ended(p.add(r.Offset))
		s.committer.poke()
		return nil
	}
	if err := s.admit(ctx, p, r.Size, !room.large); err != nil {
		return err
	}
	s.take(record{
		partition: p, offset: r.Offset, time: r.Time, key: r.Key, value: r.Value, headers: r.Headers, omitted: omittedOf(r.Omitted),
	}, r.Size)
	return nil
}

// Why a fetch failed, beside what is wrong with a batch.
const (
	faultNetwork = "network"
	faultBroker  = "broker"
	faultOffset  = "offset_out_of_range"
	faultEpoch   = "leader_epoch"
)

func fetchFaults() []string {
	return []string{
		faultNetwork, faultBroker, faultOffset, faultEpoch,
		recordlog.ReasonCRC, recordlog.ReasonCompression, recordlog.ReasonMalformed, recordlog.ReasonTooLarge,
	}
}

// fetchFault names why a fetch failed, for metrics.
func fetchFault(err error) string {
	var bad *recordlog.BatchError
	var verdict kafka.Error
	switch {
	case errors.As(err, &bad):
		return bad.Reason
	case errors.Is(err, recordlog.ErrOffsetGone):
		return faultOffset
	case errors.Is(err, kafka.FencedLeaderEpoch), errors.Is(err, kafka.UnknownLeaderEpoch):
		return faultEpoch
	case errors.As(err, &verdict):
		return faultBroker
	default:
		return faultNetwork
	}
}
