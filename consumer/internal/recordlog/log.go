package recordlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/fetch"
)

const (
	// patience is after how long, beyond what it may hold a fetch for, a silent broker is given up.
	patience = 5 * time.Second
	// adminTimeout bounds a question for an offset.
	adminTimeout  = 10 * time.Second
	readCommitted = 1
)

// ErrOffsetGone says that the offset asked for is outside of the log: removed already, or not
// written yet.
var ErrOffsetGone = errors.New("offset is outside of the log")

// Log is a topic to read from.
type Log struct {
	Transport *kafka.Transport
	Addr      net.Addr
	Topic     string
	// Group is whose coordinator Describe asks.
	Group string
}

// Request is one fetch.
type Request struct {
	Partition int
	Offset    int64
	// MaxBytes is a wish, in bytes as the log has them (compressed); one batch comes at least.
	MaxBytes int32
	// Hold is for how long the broker may wait for something to return.
	Hold time.Duration
}

// Fetched is what a fetch has brought.
type Fetched struct {
	// HighWatermark is the end of the log, beyond what read_committed may see while transactions are open.
	HighWatermark int64
	// Next is the least offset to go on from, whatever the records are: behind the offset asked for if
	// anything came at all. Compaction can leave batches that end with a hole, or that have no record
	// left, and kafka-go does not tell where those end. The step is small but sure: asked from there,
	// the broker returns the next batch as well.
	Next int64

	stream  *protocol.RecordStream
	aborted *abortedSet
}

// Fetch reads on from an offset. It returns [ErrOffsetGone], a [kafka.Error] or what the network says.
func (l *Log) Fetch(ctx context.Context, r Request) (*Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Hold+patience)
	defer cancel()
	message, err := l.Transport.RoundTrip(ctx, l.Addr, l.request(r))
	if err != nil {
		return nil, err
	}
	res, _ := message.(*fetch.Response)
	if res == nil || len(res.Topics) == 0 || len(res.Topics[0].Partitions) == 0 {
		return nil, errors.New("fetch response without the partition")
	}
	answer := &res.Topics[0].Partitions[0]
	switch code := kafka.Error(answer.ErrorCode); {
	case res.ErrorCode != 0:
		return nil, kafka.Error(res.ErrorCode)
	case code == kafka.OffsetOutOfRange:
		return nil, fmt.Errorf("%w: %s/%d/%d", ErrOffsetGone, l.Topic, r.Partition, r.Offset)
	case code != 0:
		return nil, code
	}
	f := &Fetched{HighWatermark: answer.HighWatermark, Next: r.Offset}
	if f.stream, _ = answer.RecordSet.Records.(*protocol.RecordStream); f.stream != nil && len(f.stream.Records) > 0 {
		f.aborted = newAbortedSet(answer.AbortedTransactions)
		f.Next = max(r.Offset+1, baseOffset(f.stream.Records[len(f.stream.Records)-1]))
	}
	return f, nil
}

func baseOffset(batch protocol.RecordReader) int64 {
	if b, ok := batch.(interface{ Offset() int64 }); ok {
		return b.Offset()
	}
	return 0
}

func (l *Log) request(r Request) *fetch.Request {
	return &fetch.Request{
		ReplicaID:      -1,
		MaxWaitTime:    int32(r.Hold / time.Millisecond), //nolint:gosec // half a second
		MinBytes:       1,
		MaxBytes:       math.MaxInt32, // the partition's own bound, below, is the one that counts
		IsolationLevel: readCommitted,
		SessionEpoch:   -1,
		Topics: []fetch.RequestTopic{{
			Topic: l.Topic,
			Partitions: []fetch.RequestPartition{{
				Partition:          int32(r.Partition), //nolint:gosec // Kafka's partition numbers are 32 bits wide
				CurrentLeaderEpoch: -1,
				FetchOffset:        r.Offset,
				LogStartOffset:     -1,
				PartitionMaxBytes:  r.MaxBytes,
			}},
		}},
	}
}

// Each calls do with each record, in order, until it returns an error. Records may lie below the
// offset asked for. use is false for those that are none: rolled back, or markers. A record is valid
// only during the call.
func (f *Fetched) Each(do func(r *protocol.Record, use bool) error) error {
	if f.stream == nil {
		return nil
	}
	for _, batch := range f.stream.Records {
		use, err := f.aborted.use(batch)
		if err != nil {
			return err
		}
		if err := eachOf(batch, use, do); err != nil {
			return err
		}
	}
	return nil
}

func eachOf(batch protocol.RecordReader, use bool, do func(r *protocol.Record, use bool) error) error {
	for {
		r, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		err = do(r, use)
		closeBytes(r.Key, r.Value)
		if err != nil {
			return err
		}
	}
}

func closeBytes(all ...protocol.Bytes) {
	for _, b := range all {
		if b != nil {
			_ = b.Close() // gives memory back to kafka-go's pool; it can't fail
		}
	}
}

// Size is what a record's key, value and headers have in bytes.
func Size(r *protocol.Record) int64 {
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

// Offset asks for [kafka.FirstOffset] or [kafka.LastOffset] of a partition. One at a time: kafka-go
// opens a connection for each of several.
func (l *Log) Offset(ctx context.Context, partition int, which int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := &kafka.Client{Addr: l.Addr, Transport: l.Transport}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{l.Topic: {{Partition: partition, Timestamp: which}}},
	})
	if err != nil {
		return 0, err
	}
	for _, p := range res.Topics[l.Topic] {
		switch {
		case p.Partition != partition:
		case p.Error != nil:
			return 0, p.Error
		case which == kafka.FirstOffset:
			return p.FirstOffset, nil
		default:
			return p.LastOffset, nil
		}
	}
	return 0, errors.New("offset response without the partition")
}

// Partitions returns how many partitions the topic has, as far as the transport knows; [kafka.UnknownTopicOrPartition] if
// it is not there. A transport that has just been made knows what is true.
func (l *Log) Partitions(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := &kafka.Client{Addr: l.Addr, Transport: l.Transport}
	res, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{l.Topic}})
	if err != nil {
		return 0, err
	}
	for _, t := range res.Topics {
		if t.Name == l.Topic && t.Error != nil {
			return 0, t.Error
		}
		if t.Name == l.Topic {
			return len(t.Partitions), nil
		}
	}
	return 0, errors.New("topic not in the brokers' metadata")
}
