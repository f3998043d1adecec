package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"

	"convdel/schema"
)

const (
	// fetchWait is how long the broker may hold a fetch that has nothing to return.
	fetchWait = 500 * time.Millisecond
	// fetchTimeout is after how long a broker that says nothing is given up.
	fetchTimeout = fetchWait + 5*time.Second
	// Fetched bytes are held beside the events in flight until those make room. All partitions
	// together share fetchBudget; one gets at least what a batch commonly is.
	fetchBudget           = 8 << 20
	fetchLeast, fetchMost = 16 << 10, 1 << 20
	readCommitted         = 1
	fetchRetryMin         = 100 * time.Millisecond
	fetchRetryMax         = 5 * time.Second
)

// partition is an owned partition of the topic.
type partition struct {
	id      int
	tracker *tracker
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

// errOffsetGone says that the next offset to read does not exist any more, or not yet;
// errRestart that the partition has to be opened anew, in another generation.
var (
	errOffsetGone = errors.New("offset is outside of the log")
	errRestart    = errors.New("partition has to be opened anew")
)

// fetch reads the partition until ctx ends, or returns errRestart.
func (s *session) fetch(ctx context.Context, p *partition) error {
	spacing := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(fetchRetryMin), backoff.WithMaxInterval(fetchRetryMax), backoff.WithMaxElapsedTime(0))
	failing := false
	for ctx.Err() == nil {
		err := s.fetchOnce(ctx, p)
		if errors.Is(err, errOffsetGone) {
			err = s.relocate(ctx, p)
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

// fetchOnce makes one fetch and delivers what it brought. Of transactional producers it delivers
// only what they have committed: a rolled-back delete must not be executed.
func (s *session) fetchOnce(ctx context.Context, p *partition) error {
	position := p.tracker.next()
	res, err := s.roundTripFetch(ctx, p.id, position)
	if err != nil {
		return err
	}
	p.sawEnd(res.HighWatermark)
	s.metrics.setLag(p.id, p.lag())
	stream, _ := res.RecordSet.Records.(*protocol.RecordStream)
	if stream == nil {
		return nil
	}
	aborted := newAbortedSet(res.AbortedTransactions)
	for _, batch := range stream.Records {
		if err := s.deliver(ctx, p, batch, aborted); err != nil {
			return err
		}
	}
	// Compaction can leave a batch without a record of ours, and kafka-go does not tell where that
	// ends. The step is small but sure: the broker returns the next batch along with it.
	if len(stream.Records) > 0 {
		p.tracker.advance(position + 1)
	}
	return nil
}

func (s *session) roundTripFetch(ctx context.Context, id int, offset int64) (*fetch.ResponsePartition, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	message, err := s.transport.RoundTrip(ctx, s.cfg.Cluster.Addr(), &fetch.Request{
		ReplicaID:      -1,
		MaxWaitTime:    int32(fetchWait / time.Millisecond),
		MinBytes:       1,
		MaxBytes:       s.fetchBytes,
		IsolationLevel: readCommitted,
		SessionID:      0,
		SessionEpoch:   -1,
		Topics: []fetch.RequestTopic{{
			Topic: s.cfg.Topic,
			Partitions: []fetch.RequestPartition{{
				Partition:          int32(id), //nolint:gosec // Kafka's partition numbers are 32 bits wide.
				CurrentLeaderEpoch: -1,
				FetchOffset:        offset,
				LogStartOffset:     -1,
				PartitionMaxBytes:  s.fetchBytes,
			}},
		}},
	})
	if err != nil {
		return nil, err
	}
	res, _ := message.(*fetch.Response)
	if res == nil || len(res.Topics) == 0 || len(res.Topics[0].Partitions) == 0 {
		return nil, errors.New("fetch response without the partition")
	}
	p := &res.Topics[0].Partitions[0]
	switch code := kafka.Error(p.ErrorCode); {
	case res.ErrorCode != 0:
		return nil, kafka.Error(res.ErrorCode)
	case code == kafka.OffsetOutOfRange:
		return nil, fmt.Errorf("%w: %s/%d/%d", errOffsetGone, s.cfg.Topic, id, offset)
	case code != 0:
		return nil, code
	}
	return p, nil
}

// deliver admits and takes each record of a batch.
func (s *session) deliver(ctx context.Context, p *partition, batch protocol.RecordReader, aborted *abortedSet) error {
	use, err := aborted.use(batch)
	if err != nil {
		return err
	}
	for {
		r, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.Offset >= p.tracker.next() {
			err = s.deliverRecord(ctx, p, r, use)
		}
		closeBytes(r.Key, r.Value)
		if err != nil {
			return err
		}
	}
}

func (s *session) deliverRecord(ctx context.Context, p *partition, r *protocol.Record, use bool) error {
	switch {
	case !use:
		p.tracker.advance(r.Offset + 1)
		return nil
	case p.tracker.endedBefore(r.Offset):
		p.tracker.end(p.tracker.add(r.Offset))
		s.committer.poke()
		return nil
	}
	size := recordSize(r)
	if err := s.admit(ctx, p, size); err != nil {
		return err
	}
	rec, err := readRecord(p, r)
	if err != nil {
		s.unadmit(size)
		return err
	}
	s.take(rec, size)
	return nil
}

func recordSize(r *protocol.Record) int64 {
	size := 0
	if r.Key != nil {
		size += r.Key.Len()
	}
	if r.Value != nil {
		size += r.Value.Len()
	}
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return int64(size)
}

func readRecord(p *partition, r *protocol.Record) (record, error) {
	rec := record{partition: p, offset: r.Offset, time: r.Time}
	var err error
	if rec.key, err = protocol.ReadAll(r.Key); err != nil {
		return rec, err
	}
	if rec.value, err = protocol.ReadAll(r.Value); err != nil {
		return rec, err
	}
	if len(r.Headers) > 0 {
		rec.headers = make([]schema.Header, len(r.Headers))
		for i, h := range r.Headers {
			rec.headers[i] = schema.Header{Key: h.Key, Value: h.Value}
		}
	}
	return rec, nil
}

func closeBytes(all ...protocol.Bytes) {
	for _, b := range all {
		if b != nil {
			_ = b.Close() // gives memory back to kafka-go's pool; it can't fail
		}
	}
}
