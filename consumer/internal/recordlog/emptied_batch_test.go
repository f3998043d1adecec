package recordlog

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// emptied returns a batch of ten records of which compaction has left only the head.
func emptied(first int64) []byte {
	w := of(first)
	w.lastDelta = new(int32(9))
	return w.bytes()
}

// TestEmptiedBatch: the position moves behind a batch without records. Otherwise it would be fetched for ever.
func TestEmptiedBatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		batches []byte
		next    int64
	}{
		{"one", emptied(40), 50},
		{"one that begins before", emptied(35), 45},
		{"two", append(emptied(40), emptied(50)...), 60},
		{"none", nil, 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cluster := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"))
			t.Cleanup(cluster.Close)
			answerFetches(cluster, test.batches)
			fetched, err := newLog(t, cluster, "events").Fetch(t.Context(), Request{Offset: 40, MaxBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if err := fetched.Each(0, func(r *Record) error {
				t.Errorf("record at %d", r.Offset)
				return nil
			}); err != nil || fetched.Next != test.next {
				t.Errorf("next %d, %v; want %d", fetched.Next, err, test.next)
			}
		})
	}
}

// answerFetches makes the broker answer every fetch of the first partition with these batches.
func answerFetches(cluster *kfake.Cluster, batches []byte) {
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
		topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		topic.Topic = "events"
		partition.HighWatermark, partition.LastStableOffset = 100, 100
		partition.RecordBatches = batches
		topic.Partitions = append(topic.Partitions, partition)
		answer.Topics = append(answer.Topics, topic)
		return answer, nil, true
	})
}
