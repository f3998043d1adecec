package recordlog

import (
	"context"
	"errors"
	"hash/fnv"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ID is a topic's identity. A topic that is deleted and created again keeps its name, but not its ID. The zero ID is
// unknown.
type ID struct {
	// Cluster is a hash of the cluster's ID, Topic the topic's own ID.
	Cluster uint32
	Topic   [16]byte
}

// Topic is a broker's description of a topic.
type Topic struct {
	ID         ID
	Partitions int
	// Epochs are the leaders' epochs by partition, [NoEpoch] if unknown. Old brokers send none, so it may be shorter than
	// Partitions.
	Epochs []int32
}

// topicVersion is the first version of Metadata with topic IDs. kafka-go knows only older versions.
const topicVersion = 10

// Describe asks the coordinator of l.Group about the topic, since the coordinator has assigned the partitions by the
// metadata that it has. kafka-go's transports answer from a cache that is some seconds old, or older where brokers are
// away. Brokers that are too old for topic IDs are asked in that way all the same, and the ID is zero then. The error is
// [kafka.UnknownTopicOrPartition] if there is no such topic.
func (l *Log) Describe(ctx context.Context) (Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Version = topicVersion
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &l.Topic
	req.Topics = append(req.Topics, topic)
	var answer *kmsg.MetadataResponse
	err := l.askCoordinator(ctx, protocol.Metadata, func(w *wire) error {
		newest, err := w.newest(protocol.Metadata)
		if err != nil || newest < topicVersion {
			return err
		}
		got, err := w.call(req)
		answer, _ = got.(*kmsg.MetadataResponse)
		return err
	})
	if err != nil {
		return Topic{}, err
	}
	if answer == nil {
		n, err := l.Partitions(ctx)
		return Topic{Partitions: n}, err
	}
	return l.described(answer)
}

// described reads the topic's part of an answer to Metadata.
func (l *Log) described(answer *kmsg.MetadataResponse) (Topic, error) {
	if len(answer.Topics) != 1 || answer.Topics[0].Topic == nil || *answer.Topics[0].Topic != l.Topic {
		return Topic{}, errors.New("metadata response without the topic")
	}
	t := &answer.Topics[0]
	if t.ErrorCode != 0 {
		return Topic{}, kafka.Error(t.ErrorCode)
	}
	cluster := fnv.New32a()
	if answer.ClusterID != nil {
		_, _ = cluster.Write([]byte(*answer.ClusterID))
	}
	topic := Topic{ID: ID{Cluster: cluster.Sum32(), Topic: t.TopicID}, Partitions: len(t.Partitions), Epochs: make([]int32, len(t.Partitions))}
	for i := range topic.Epochs {
		topic.Epochs[i] = NoEpoch
	}
	for _, p := range t.Partitions {
		if p.Partition >= 0 && int(p.Partition) < len(topic.Epochs) {
			topic.Epochs[p.Partition] = p.LeaderEpoch
		}
	}
	return topic, nil
}

// Partitions returns how many partitions the topic has, as far as the transport knows; [kafka.UnknownTopicOrPartition] if
// there is no such topic. A new transport asks the brokers first.
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
