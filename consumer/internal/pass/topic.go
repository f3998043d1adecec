package pass

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/internal/recordlog"
)

// parallel is how many partitions are read at once. Each holds a decompressed fetch in memory.
const parallel = 2

// Topic is a topic to read. It is safe for concurrent use. Make it with [Open], and close it.
type Topic struct {
	// Partitions is how many the topic had when it was opened.
	Partitions int

	name      string
	transport *kafka.Transport
	log       *recordlog.Log
	noticing  sync.Mutex
}

// Open finds a topic. Records and batches beyond the bounds are not read. It returns a [*consumer.TopicError] if the topic does not
// exist.
func Open(ctx context.Context, cluster cluster.Config, topic string, bounds recordlog.Bounds) (*Topic, error) {
	t := &Topic{name: topic, transport: cluster.Transport(topic)}
	t.log = &recordlog.Log{Transport: t.transport, Addr: cluster.Addr(), Topic: topic, Bounds: bounds}
	err := t.retry(ctx, func() (err error) {
		t.Partitions, err = t.log.Partitions(ctx)
		return err
	})
	if errors.Is(err, kafka.UnknownTopicOrPartition) {
		err = &consumer.TopicError{Topic: topic, Err: err}
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// Close closes the connections.
func (t *Topic) Close() { t.transport.CloseIdleConnections() }

// All returns the numbers of all partitions.
func (t *Topic) All() []int {
	all := make([]int, t.Partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// EachPartition calls do for several partitions, a few at once, and returns the first error.
func EachPartition(ctx context.Context, partitions []int, do func(ctx context.Context, partition int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, p := range partitions {
		group.Go(func() error { return do(ctx, p) })
	}
	return group.Wait()
}

// Span is what a partition holds: records from First on, below End. Committed reads end at Stable: at the first open transaction, or
// at End.
type Span struct{ First, Stable, End int64 }

// Hidden returns the part behind an open transaction; nil if there is none.
func (s Span) Hidden(partition int) *Gap {
	if s.Stable >= s.End {
		return nil
	}
	return &Gap{Partition: partition, First: s.Stable, Last: s.End - 1}
}

// Span asks for the extent of a partition.
func (t *Topic) Span(ctx context.Context, partition int) (s Span, err error) {
	err = t.retry(ctx, func() (err error) {
		if s.First, err = t.log.Offset(ctx, partition, kafka.FirstOffset); err != nil {
			return err
		}
		// Ask for the log's own end first: a record that is written between the two questions is not taken for an open
		// transaction's.
		if s.End, err = t.log.Offset(ctx, partition, kafka.LastOffset); err != nil {
			return err
		}
		s.Stable, err = t.log.Stable(ctx, partition)
		return err
	})
	return s, err
}

// Stable asks where committed reads of a partition end.
func (t *Topic) Stable(ctx context.Context, partition int) (end int64, err error) {
	err = t.retry(ctx, func() (err error) {
		end, err = t.log.Stable(ctx, partition)
		return err
	})
	return end, err
}

// OffsetAt asks for the first record of a partition with that time or a later one, and returns the partition's end if there is none. For
// the zero time it is the partition's first record.
func (t *Topic) OffsetAt(ctx context.Context, partition int, at time.Time) (offset int64, err error) {
	err = t.retry(ctx, func() (err error) {
		if at.IsZero() {
			offset, err = t.log.Offset(ctx, partition, kafka.FirstOffset)
		} else {
			offset, err = t.log.OffsetAt(ctx, partition, at)
		}
		return err
	})
	return offset, err
}
