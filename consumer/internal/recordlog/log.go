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

	"convdel/schema"
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
	// Bounds are on what producers have written. The zero value means the defaults.
	Bounds Bounds
}

// Request is one fetch.
type Request struct {
	Partition int
	Offset    int64
	// MaxBytes is a wish, in bytes as the log has them (compressed); one batch comes at least.
	MaxBytes int32
	// Hold is for how long the broker may wait for something to return.
	Hold time.Duration
	// Epoch is the leader's as far as known; a leader of another one refuses the fetch. [NoEpoch]: not known.
	Epoch int32
	// Room is how many bytes of memory the answer may take: a larger one is a [*NeedRoomError]. 0 is no limit.
	Room int64
}

// Fetched is what a fetch has brought.
type Fetched struct {
	// HighWatermark is the end of the log, Stable where committed reads end: at the first open transaction.
	HighWatermark, Stable int64
	// Throttled is for how long the broker wants no further fetch of this client's.
	Throttled time.Duration
	// Next is the least offset to go on from, whatever the records are: behind the offset asked for if
	// anything came at all. Compaction can leave batches that end with a hole, or that have no record
	// left, and kafka-go does not tell where those end. The step is small but sure: asked from there,
	// the broker returns the next batch as well.
	Next int64

	from    int64
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
	f := &Fetched{
		HighWatermark: answer.HighWatermark, Stable: answer.LastStableOffset, Next: r.Offset, from: r.Offset,
		Throttled: time.Duration(res.ThrottleTimeMs) * time.Millisecond,
	}
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

// Each calls do with each record at or above the offset asked for, in order, until it returns an error. Decoding may take
// room bytes of memory (0: no limit). Errors beside do's: a [*NeedRoomError], after which Each may be called again with
// more room; a [*BatchError] where a batch can't be read to its end, with all records before the fault delivered.
func (f *Fetched) Each(room int64, do func(*Record) error) error {
	if f.stream == nil {
		return nil
	}
	for _, batch := range f.stream.Records {
		use, err := f.aborted.use(batch)
		if err != nil {
			return err
		}
		if err := f.eachOf(batch, use, do); err != nil {
			return err
		}
	}
	return nil
}

func (f *Fetched) eachOf(batch protocol.RecordReader, use bool, do func(*Record) error) error {
	for {
		r, err := batch.ReadRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.Offset < f.from {
			continue
		}
		rec := &Record{Offset: r.Offset, Epoch: NoEpoch, Use: use}
		if r.Time.UnixMilli() > 0 { // -1 is Kafka's word for none
			rec.Time = r.Time
		}
		if rec.Key, err = protocol.ReadAll(r.Key); err != nil {
			return err
		}
		if rec.Value, err = protocol.ReadAll(r.Value); err != nil {
			return err
		}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, schema.Header{Key: h.Key, Value: h.Value})
		}
		rec.Size = int64(len(rec.Key)+len(rec.Value)) + HeaderCost*int64(len(rec.Headers))
		for _, h := range rec.Headers {
			rec.Size += int64(len(h.Key) + len(h.Value))
		}
		if err := do(rec); err != nil {
			return err
		}
	}
}

// Offset asks for [kafka.FirstOffset] or [kafka.LastOffset] of a partition. One at a time: kafka-go
// opens a connection for each of several.
func (l *Log) Offset(ctx context.Context, partition int, which int64) (int64, error) {
	return l.listOffset(ctx, partition, which, kafka.ReadUncommitted)
}

// Stable asks where committed reads of a partition end: at its first open transaction, or its end.
func (l *Log) Stable(ctx context.Context, partition int) (int64, error) {
	return l.listOffset(ctx, partition, kafka.LastOffset, kafka.ReadCommitted)
}

// OffsetAt asks for the first record of a partition with that time or a later one; the partition's end if there is none.
func (l *Log) OffsetAt(ctx context.Context, partition int, at time.Time) (int64, error) {
	offset, err := l.listOffset(ctx, partition, at.UnixMilli(), kafka.ReadUncommitted)
	if err == nil && offset < 0 {
		return l.Offset(ctx, partition, kafka.LastOffset)
	}
	return offset, err
}

func (l *Log) listOffset(ctx context.Context, partition int, which int64, isolation kafka.IsolationLevel) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	client := &kafka.Client{Addr: l.Addr, Transport: l.Transport}
	res, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics:         map[string][]kafka.OffsetRequest{l.Topic: {{Partition: partition, Timestamp: which}}},
		IsolationLevel: isolation,
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
		case which == kafka.LastOffset:
			return p.LastOffset, nil
		default:
			for offset := range p.Offsets {
				return offset, nil
			}
			return -1, nil
		}
	}
	return 0, errors.New("offset response without the partition")
}

// EndOfEpoch asks a partition's leader, of epoch current as far as known ([NoEpoch]: not known), where its log of a former
// leader's epoch ends. The found epoch is that or the last one before it that the log has; found is [NoEpoch] if the
// leader can't tell.
func (l *Log) EndOfEpoch(ctx context.Context, partition int, current, epoch int32) (found int32, end int64, err error) {
	_, _, _, _ = ctx, partition, current, epoch
	return NoEpoch, -1, nil
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
