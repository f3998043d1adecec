package recordlog

import (
	"errors"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestDescribe: a topic's ID is the broker's. It stays the same as long as the topic exists, and the next topic of the same
// name has another. The number of partitions is the present one.
func TestDescribe(t *testing.T) {
	t.Parallel()
	cluster := kfake.MustCluster(kfake.NumBrokers(3), kfake.ClusterID("somewhere"), kfake.SeedTopics(2, "events", "others"))
	t.Cleanup(cluster.Close)
	l := newLog(t, cluster, "events")
	first, err := l.Describe(t.Context())
	if want := cluster.TopicInfo("events").TopicID; err != nil || first.ID.Topic != want || first.Partitions != 2 {
		t.Fatalf("%v, %v; want %v and 2 partitions", first, err, want)
	}
	if again, err := l.Describe(t.Context()); err != nil || again.ID != first.ID || again.Partitions != first.Partitions {
		t.Errorf("%v, %v; want %v as before", again, err, first)
	}
	if other, err := newLog(t, cluster, "others").Describe(t.Context()); err != nil || other.ID.Topic == first.ID.Topic || other.ID.Cluster != first.ID.Cluster {
		t.Errorf("another topic: %v, %v", other, err)
	}
	addPartitions(t, cluster, "events", 3)
	if more, err := l.Describe(t.Context()); err != nil || more.ID != first.ID || more.Partitions != 5 {
		t.Errorf("with 5 partitions: %v, %v", more, err)
	}
	if err := cluster.DeleteTopic("events"); err != nil {
		t.Fatal(err)
	}
	if gone, err := l.Describe(t.Context()); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("of a topic that is gone: %v, %v", gone, err)
	}
	if err := cluster.CreateTopic("events", 1, nil); err != nil {
		t.Fatal(err)
	}
	if fresh, err := l.Describe(t.Context()); err != nil || fresh.ID.Topic == first.ID.Topic || fresh.ID.Cluster != first.ID.Cluster || fresh.Partitions != 1 {
		t.Errorf("made anew: %v, %v; before %v", fresh, err, first)
	}
}

// TestDescribeByOldBrokers: brokers before Kafka 2.8 know no topic IDs.
func TestDescribeByOldBrokers(t *testing.T) {
	t.Parallel()
	cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_7_0()), kfake.SeedTopics(3, "events"))
	t.Cleanup(cluster.Close)
	if topic, err := newLog(t, cluster, "events").Describe(t.Context()); err != nil || topic.ID != (ID{}) || topic.Partitions != 3 || topic.Epochs != nil {
		t.Errorf("%v, %v; want 3 partitions and no ID", topic, err)
	}
}

func addPartitions(t *testing.T, cluster *kfake.Cluster, topic string, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if res, err := kadm.NewClient(client).CreatePartitions(t.Context(), n, topic); err != nil || res.Error() != nil {
		t.Fatal(err, res.Error())
	}
}

func newLog(t *testing.T, cluster *kfake.Cluster, topic string) *Log {
	t.Helper()
	transport := &kafka.Transport{MetadataTopics: []string{topic}}
	t.Cleanup(transport.CloseIdleConnections)
	return &Log{Transport: transport, Addr: kafka.TCP(cluster.ListenAddrs()...), Topic: topic, Group: "readers"}
}
