package recordlog

import (
	"context"
	"errors"
	"hash/fnv"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ID is a topic's identity: one that is deleted and made anew keeps its name, not its ID. The zero ID is unknown.
type ID struct {
	// Cluster is a hash of the cluster's ID, Topic the topic's own.
	Cluster uint32
	Topic   [16]byte
}

// Topic is what a broker says of a topic.
type Topic struct {
	ID         ID
	Partitions int
	// Epochs are the leaders' by partition, [NoEpoch] where not known; shorter than Partitions where brokers are old.
	Epochs []int32
}

// topicVersion is the version of Metadata that has topic IDs first. kafka-go knows none that has.
const topicVersion = 10

// Describe asks a broker about the topic: the coordinator of l.Group, which has shared the partitions out by what it knew
// itself. kafka-go's transports answer such questions from memory, with what was true some seconds ago or, where brokers
// are away, longer; so does Describe where brokers are older than topics' IDs, and leaves the ID zero. The error is
// [kafka.UnknownTopicOrPartition] where there is no topic.
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

// described reads what Metadata says of the topic.
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
