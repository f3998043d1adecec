package recordlog

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Offset returns the [kafka.FirstOffset] or [kafka.LastOffset] of a partition.
func (l *Log) Offset(ctx context.Context, partition int, which int64) (int64, error) {
	return l.listOffset(ctx, partition, which, readUncommitted)
}

// Stable returns the end of a partition's committed reads: its first open transaction, or its end.
func (l *Log) Stable(ctx context.Context, partition int) (int64, error) {
	return l.listOffset(ctx, partition, kafka.LastOffset, readCommitted)
}

// OffsetAt returns the offset of a partition's first record with that time or a later one; the partition's end if there is
// none.
func (l *Log) OffsetAt(ctx context.Context, partition int, at time.Time) (int64, error) {
	// Negative times have other meanings in Kafka's protocol.
	offset, err := l.listOffset(ctx, partition, max(0, at.UnixMilli()), readUncommitted)
	if err == nil && offset < 0 {
		return l.Offset(ctx, partition, kafka.LastOffset)
	}
	return offset, err
}

func (l *Log) listOffset(ctx context.Context, partition int, which int64, isolation int8) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, isolation
	topic, p := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp = int32(partition), which //nolint:gosec // Kafka's partition numbers are 32 bits wide
	topic.Topic, topic.Partitions = l.Topic, append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	var answer *kmsg.ListOffsetsResponse
	err := l.askLeader(ctx, protocol.ListOffsets, partition, func(w *wire) error {
		req.Version = w.version
		got, err := w.call(req)
		answer, _ = got.(*kmsg.ListOffsetsResponse)
		return err
	})
	if err != nil {
		return 0, err
	}
	if len(answer.Topics) != 1 || answer.Topics[0].Topic != l.Topic || len(answer.Topics[0].Partitions) != 1 ||
		answer.Topics[0].Partitions[0].Partition != p.Partition {
		return 0, errors.New("offset response without the partition")
	}
	got := &answer.Topics[0].Partitions[0]
	switch code := kafka.Error(got.ErrorCode); {
	case code == 0:
		return got.Offset, nil
	case errors.Is(code, kafka.OffsetNotAvailable):
		return 0, noOffsetError{}
	default:
		return 0, code
	}
}

// noOffsetError is an answer for which kafka-go has no text: a leader was elected, and fewer replicas are in sync than the topic demands.
type noOffsetError struct{}

func (noOffsetError) Error() string {
	return "[78] Offset Not Available: the partition's new leader does not know yet what is replicated; too few replicas may be in sync"
}

func (noOffsetError) Unwrap() error { return kafka.OffsetNotAvailable }

// epochVersion is the first version of OffsetForLeaderEpoch that needs only the right to read the topic, since Kafka 2.3.
const epochVersion = 3

// EndOfEpoch asks a partition's leader at which offset its log of a former epoch ends. current is the leader's own epoch,
// or [NoEpoch] if unknown. found is the former epoch, or the last one before it that the log has. found is [NoEpoch], and
// end -1, if the log has no such epoch, or if the leader is older than Kafka 2.3.
func (l *Log) EndOfEpoch(ctx context.Context, partition int, current, epoch int32) (found int32, end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version, req.ReplicaID = epochVersion, -1
	topic, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = int32(partition), current, epoch //nolint:gosec // 32 bits wide
	topic.Topic, topic.Partitions = l.Topic, append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	var answer *kmsg.OffsetForLeaderEpochResponse
	err = l.askLeader(ctx, protocol.OffsetForLeaderEpoch, partition, func(w *wire) error {
		newest, err := w.newest(protocol.OffsetForLeaderEpoch)
		if err != nil || newest < epochVersion {
			return err
		}
		got, err := w.call(req)
		answer, _ = got.(*kmsg.OffsetForLeaderEpochResponse)
		return err
	})
	if err != nil || answer == nil {
		return NoEpoch, -1, err
	}
	if len(answer.Topics) != 1 || answer.Topics[0].Topic != l.Topic || len(answer.Topics[0].Partitions) != 1 ||
		answer.Topics[0].Partitions[0].Partition != p.Partition {
		return NoEpoch, -1, errors.New("epoch response without the partition")
	}
	got := &answer.Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		return NoEpoch, -1, kafka.Error(got.ErrorCode)
	}
	if got.LeaderEpoch < 0 || got.EndOffset < 0 {
		return NoEpoch, -1, nil
	}
	return got.LeaderEpoch, got.EndOffset, nil
}
