package recordlog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// TestID: a topic's ID is the broker's, stays as long as the topic does, and is not that of the next one of its name.
func TestID(t *testing.T) {
	t.Parallel()
	cluster := kfake.MustCluster(kfake.NumBrokers(3), kfake.ClusterID("somewhere"), kfake.SeedTopics(2, "events", "others"))
	t.Cleanup(cluster.Close)
	l := newLog(t, cluster, "events")
	first, err := l.ID(t.Context())
	if want := cluster.TopicInfo("events").TopicID; err != nil || first.Topic != want {
		t.Fatalf("%v, %v; want %v", first, err, want)
	}
	if again, err := l.ID(t.Context()); err != nil || again != first {
		t.Errorf("%v, %v; want %v as before", again, err, first)
	}
	if other, err := newLog(t, cluster, "others").ID(t.Context()); err != nil || other.Topic == first.Topic || other.Cluster != first.Cluster {
		t.Errorf("another topic: %v, %v", other, err)
	}
	if err := cluster.DeleteTopic("events"); err != nil {
		t.Fatal(err)
	}
	if id, err := l.ID(t.Context()); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("of a topic that is gone: %v, %v", id, err)
	}
	if err := cluster.CreateTopic("events", 2, nil); err != nil {
		t.Fatal(err)
	}
	if fresh, err := l.ID(t.Context()); err != nil || fresh.Topic == first.Topic || fresh.Cluster != first.Cluster {
		t.Errorf("made anew: %v, %v; before %v", fresh, err, first)
	}
}

// TestIDOfOldBrokers: brokers before Kafka 2.8 have none to tell.
func TestIDOfOldBrokers(t *testing.T) {
	t.Parallel()
	cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.MaxVersions(kversion.V2_7_0()), kfake.SeedTopics(1, "events"))
	t.Cleanup(cluster.Close)
	if id, err := newLog(t, cluster, "events").ID(t.Context()); err != nil || id != (ID{}) {
		t.Errorf("%v, %v; want none", id, err)
	}
}

func newLog(t *testing.T, cluster *kfake.Cluster, topic string) *Log {
	t.Helper()
	transport := &kafka.Transport{MetadataTopics: []string{topic}, Dial: kafka.DefaultDialer.DialFunc}
	t.Cleanup(transport.CloseIdleConnections)
	return &Log{Transport: transport, Addr: kafka.TCP(cluster.ListenAddrs()...), Topic: topic}
}

// FuzzReadIdentity: no answer makes it panic or take more memory than the answer has.
func FuzzReadIdentity(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Add(append(make([]byte, 9), 1, 1, 0, 0, 0, 0, 2, 0, 3, 2, 'e'))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := readIdentity(body)
		if (answer == nil) == (err == nil) {
			t.Errorf("%v, %v", answer, err)
		}
	})
}
