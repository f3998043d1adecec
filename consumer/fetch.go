package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
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

	// What has been fetched and not been admitted yet takes memory beside the events in flight. All
	// partitions together share fetchBudget, and a single fetch should bring fetchAim of it.
	fetchBudget = 4 << 20
	fetchAim    = 512 << 10
	// A broker takes the wish for at most so many bytes as compressed ones, and returns at least one
	// batch. The wish is adapted to what comes out of it, between these.
	askLeast, askMost = 16 << 10, 1 << 20
	// trickle is what a fetch may bring without a share of the budget.
	trickle = 4 << 10
)

// fetchSize is how much a partition asks for at a time.
type fetchSize struct {
	// ask is the wish, expect what the next fetch will bring as far as known: what the last one brought.
	ask    int32
	expect int64
}

func newFetchSize() fetchSize { return fetchSize{ask: askLeast, expect: fetchAim} }

// brought adapts the size to what a fetch has brought.
func (f *fetchSize) brought(size int64) {
	switch {
	case size > fetchAim:
		f.ask = max(askLeast, f.ask/2)
	case size > 0 && size < fetchAim/2:
		f.ask = min(askMost, f.ask*2)
	}
	f.expect = size
}

// backlog says whether there is more to be had at once. If not, the broker is to hold the fetch
// until there is something.
func (f *fetchSize) backlog() bool { return f.expect > trickle }

// partition is an owned partition of the topic.
type partition struct {
	leader

	id      int
	tracker *tracker
	size    fetchSize
	// places are those taken among the events in flight and not filled yet. Only the partition's
	// fetching uses it, and gives back what is left at the end of each fetch.
	places int64
	// gone says that the log behind the tracker's offsets is no more: they must not be committed.
	gone atomic.Bool
	// end is the high watermark last seen, seen when that was (Unix nanoseconds).
	end, seen atomic.Int64
}

// sawEnd notes a high watermark.
func (p *partition) sawEnd(end int64) {
	p.end.Store(end)
	p.seen.Store(time.Now().UnixNano())
}

// lag is how far the watermark is behind the end of the log.
func (p *partition) lag() int64 { return max(0, p.end.Load()-p.tracker.watermark()) }

// errRestart says that the partition has to be opened anew, in another generation.
var errRestart = errors.New("partition has to be opened anew")

// fetch reads the partition until ctx ends, or returns errRestart.
func (s *session) fetch(ctx context.Context, p *partition) error {
	spacing := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(fetchRetryMin), backoff.WithMaxInterval(fetchRetryMax), backoff.WithMaxElapsedTime(0))
	failing := false
	for s.gate.awaitFetch(ctx, s.conversations) == nil {
		err := s.fetchOnce(ctx, p)
		if errors.Is(err, recordlog.ErrOffsetGone) {
			err = s.relocate(ctx, p)
		}
		if errors.Is(err, kafka.FencedLeaderEpoch) || errors.Is(err, kafka.UnknownLeaderEpoch) {
			err = s.validate(ctx, p)
		}
		if errors.Is(err, errRestart) {
			return err
		}
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			failing = failed
			s.logFetching(ctx, p, err)
		}
		if err == nil {
			spacing.Reset()
		} else if pause(ctx, spacing.NextBackOff()) != nil {
			break
		}
	}
	return nil //nolint:nilerr // told to stop
}

// logFetching says that fetching has begun to fail, or that it works again.
func (s *session) logFetching(ctx context.Context, p *partition, err error) {
	log := s.log.With(slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("offset", p.tracker.next()))
	if err != nil {
		log.LogAttrs(ctx, slog.LevelWarn, "fetch fails, will be retried", slog.Any("error", err))
		return
	}
	log.LogAttrs(ctx, slog.LevelInfo, "fetch works again")
}

// fetchOnce makes one fetch and delivers what it brought.
func (s *session) fetchOnce(ctx context.Context, p *partition) error {
	if n, shrunk := p.tracker.span(); n >= maxSpan {
		return wait(ctx, time.Time{}, shrunk)
	}
	hold := fetchWait
	if p.size.backlog() {
		hold = 0
		share := min(p.size.expect, fetchBudget/2) // one partition alone must not keep all others waiting
		if err := s.fetched.Acquire(ctx, share); err != nil {
			return err
		}
		defer s.fetched.Release(share)
	}
	position := p.tracker.next()
	fetched, err := s.source.Fetch(ctx, recordlog.Request{Partition: p.id, Offset: position, MaxBytes: p.size.ask, Hold: hold, Epoch: p.epoch.Load()})
	if err != nil {
		return err
	}
	defer func() {
		s.events.Release(p.places)
		p.places = 0
	}()
	p.sawEnd(fetched.HighWatermark)
	s.metrics.setLag(p.id, p.lag())
	var total int64
	err = fetched.Each(0, func(r *recordlog.Record) error {
		total += r.Size
		return s.deliver(ctx, p, r)
	})
	if errors.Is(err, errSpanFull) {
		return nil // the rest is fetched again when there is room
	}
	if err != nil {
		return err
	}
	p.size.brought(total)
	p.tracker.skip(fetched.Next)
	if fetched.Next > position {
		s.committer.poke() // it may have been nothing but what ends without a call: rolled back, markers
	}
	return nil
}

// deliver admits a record and takes it. Of transactional producers only what they have committed is
// used: a rolled-back delete must not be executed.
func (s *session) deliver(ctx context.Context, p *partition, r *recordlog.Record) error {
	p.sees(r)
	switch {
	case !r.Use:
		p.tracker.advance(r.Offset + 1)
		return nil
	case p.tracker.endedBefore(r.Offset):
		p.tracker.end(p.tracker.add(r.Offset))
		s.committer.poke()
		return nil
	}
	if err := s.admit(ctx, p, r.Size); err != nil {
		return err
	}
	s.take(record{partition: p, offset: r.Offset, time: r.Time, key: r.Key, value: r.Value, headers: r.Headers}, r.Size)
	return nil
}
