package recordlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// answerTimeout is how long a broker may be silent beyond the time for which it may hold a fetch.
	answerTimeout = 5 * time.Second
	// adminTimeout bounds a question about offsets.
	adminTimeout = 10 * time.Second

	readUncommitted int8 = 0
	readCommitted   int8 = 1
)

var (
	// ErrOffsetGone says that the offset asked for is outside of the log: it was removed, or it is not written yet.
	ErrOffsetGone = errors.New("offset is outside of the log")
	// ErrOldBroker says that the broker is older than Kafka 0.11. That version is the first one that lists aborted
	// transactions.
	ErrOldBroker = errors.New("broker does not know version 4 of Fetch, it is older than Kafka 0.11")

	// errMuted makes the transport close the connection after a throttled answer. A broker that throttles does not read
	// from that connection for a while, so another request on it would time out.
	errMuted = errors.New("broker does not listen to the connection for a while")
)

// Log is a topic to read.
type Log struct {
	Transport *kafka.Transport
	Addr      net.Addr
	Topic     string
	// Group is the consumer group whose coordinator Describe asks.
	Group string
	// Bounds limit what producers have written. The zero value means the defaults.
	Bounds Bounds

	decoders decoders
}

// Request is one fetch.
type Request struct {
	Partition int
	Offset    int64
	// MaxBytes is how much to fetch, in bytes as the log has them (compressed). At least one batch comes.
	MaxBytes int32
	// Hold is how long the broker may wait for records.
	Hold time.Duration
	// Epoch is the leader's epoch, or [NoEpoch] if unknown. A leader of another epoch refuses the fetch.
	Epoch int32
	// Room is how many bytes of memory the answer may take. A larger answer is a [*NeedRoomError]. 0 is no limit.
	Room int64
}

// Fetched is the result of a fetch.
type Fetched struct {
	// HighWatermark is the end of the log. Stable is the end of committed reads, at the first open transaction. Both are -1
	// if the broker has answered only that it throttles.
	HighWatermark, Stable int64
	// Throttled is how long the broker wants no fetch from this client.
	Throttled time.Duration
	// Next is the offset to continue from, behind everything that Each has delivered or passed over. After an Each without
	// an error that is the end of the last batch, even if the batch has no record there.
	Next int64

	log *Log
	// held is how many bytes the answer takes. rest are the batches that Each has not read.
	held int64
	rest []byte
	// decoded says that Each has read a batch. The first batch of an answer must be whole.
	decoded bool
	aborted *abortedSet
	// huge is the first batch, if that is too large to be held.
	huge *BatchError
}

// Fetch reads from an offset on. It returns [ErrOffsetGone], a [*NeedRoomError], [ErrOldBroker], a [kafka.Error] or a
// network error. A broker that throttles may answer without the partition. That is no error, and the result has no records.
func (l *Log) Fetch(ctx context.Context, r Request) (*Fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Hold+answerTimeout)
	defer cancel()
	var (
		answer *answer
		need   *NeedRoomError
	)
	err := l.askLeader(ctx, protocol.Fetch, r.Partition, func(w *wire) error {
		if w.version < oldestFetch {
			return ErrOldBroker
		}
		req := l.request(r)
		req.Version = min(w.version, newestFetch)
		if err := w.send(req); err != nil {
			return err
		}
		var err error
		answer, err = w.fetched(ctx, req, r, l.Bounds.orDefault())
		if errors.As(err, &need) {
			return nil // the connection can be used again
		}
		if err == nil && answer.ThrottleMillis > 0 {
			return errMuted
		}
		return err
	})
	if err != nil && !errors.Is(err, errMuted) {
		return nil, err
	}
	if need != nil {
		return nil, need
	}
	return l.read(answer, r)
}

// read turns an answer into a Fetched.
func (l *Log) read(a *answer, r Request) (*Fetched, error) {
	f := &Fetched{
		HighWatermark: -1, Stable: -1, Next: r.Offset, log: l, held: a.held,
		Throttled: time.Duration(a.ThrottleMillis) * time.Millisecond,
	}
	switch {
	case a.ErrorCode != 0:
		return nil, kafka.Error(a.ErrorCode)
	case len(a.Topics) == 0 && a.ThrottleMillis > 0:
		return f, nil
	case len(a.Topics) != 1 || len(a.Topics[0].Partitions) != 1:
		return nil, errors.New("fetch response without the partition")
	case a.Topics[0].Topic != l.Topic || int(a.Topics[0].Partitions[0].Partition) != r.Partition:
		return nil, fmt.Errorf("fetch response for %s/%d instead of %s/%d",
			a.Topics[0].Topic, a.Topics[0].Partitions[0].Partition, l.Topic, r.Partition)
	}
	p := &a.Topics[0].Partitions[0]
	switch code := kafka.Error(p.ErrorCode); {
	case code == kafka.OffsetOutOfRange:
		return nil, fmt.Errorf("%w: %s/%d/%d", ErrOffsetGone, l.Topic, r.Partition, r.Offset)
	case code != 0:
		return nil, code
	}
	f.HighWatermark, f.Stable = p.HighWatermark, p.LastStableOffset
	f.rest, f.aborted = p.RecordBatches, newAbortedSet(p.AbortedTransactions)
	if a.huge != nil {
		f.huge = f.fault(a.huge, r.Offset, ReasonTooLarge, fmt.Errorf("it has %d bytes, more than the %d of a batch", a.huge.size, l.Bounds.orDefault().Batch))
		f.huge.Size, f.huge.SHA256 = a.huge.size, a.sum
	}
	return f, nil
}

func (l *Log) request(r Request) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID = -1
	req.MaxWaitMillis = int32(r.Hold / time.Millisecond) //nolint:gosec // it is at most some seconds
	req.MinBytes = 1
	req.MaxBytes = math.MaxInt32 // only the partition's bound, below, counts
	req.IsolationLevel = readCommitted
	req.SessionEpoch = -1
	topic, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.Partition = int32(r.Partition) //nolint:gosec // Kafka's partition numbers are 32 bits wide
	p.CurrentLeaderEpoch, p.FetchOffset, p.LogStartOffset, p.PartitionMaxBytes = r.Epoch, r.Offset, -1, r.MaxBytes
	topic.Topic, topic.Partitions = l.Topic, append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}
