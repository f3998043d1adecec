package consumer_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestPromise2_LettersAreWrittenToAllReplicas: a letter that one broker alone has acknowledged can be lost with it, after its
// event has been committed.
func TestPromise2_LettersAreWrittenToAllReplicas(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var written, weak atomic.Int64
		setTopicConfig(t, w, testDLT, "max.message.bytes", "9000")
		dlt := w.kafka.TopicInfo(testDLT)
		w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			p, _ := req.(*kmsg.ProduceRequest)
			if p.Topics[0].Topic == testDLT || p.Topics[0].TopicID == dlt.TopicID {
				written.Add(1)
				if p.Acks != -1 {
					weak.Add(1)
				}
			}
			return nil, nil, false
		})
		w.publish(0, []byte("garbage"), slices.Repeat([]byte("garbage "), 5000)) // the second one has a writer of its own
		w.start()
		w.awaitDrained(5 * time.Minute)
		if len(w.letterKeys()) != 2 || written.Load() < 3 || weak.Load() > 0 {
			t.Errorf("%d letters by %d requests, %d of which did not ask for all replicas", len(w.letterKeys()), written.Load(), weak.Load())
		}
	})
}

// TestLettersKeepToTheirPartition: the letters of one ID are where Kafka's own clients would put that key, whoever writes them.
// Elsewhere a repeated one would not replace the one before.
func TestLettersKeepToTheirPartition(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.api.set(time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		w.publishNumbered(2, 20)
		w.start()
		w.awaitDrained(time.Minute)
		others := kgo.StickyKeyPartitioner(nil).ForTopic(testDLT)
		used := make(map[int32]bool)
		for _, l := range w.deadLetters() {
			used[l.Partition] = true
			if want := others.Partition(&kgo.Record{Key: l.Key}, 3); int(l.Partition) != want {
				t.Errorf("dead letter %s in partition %d, want %d", l.Key, l.Partition, want)
			}
		}
		if len(used) != 3 || len(w.letterKeys()) != 40 {
			t.Errorf("%d dead letters in %d partitions, want 40 in 3", len(w.letterKeys()), len(used))
		}
	})
}

// TestPromise9_HeadersAreKeptAsTheyAre: Kafka lets a record have a header several times, in an order that may matter.
func TestPromise9_HeadersAreKeptAsTheyAre(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		own := []kgo.RecordHeader{
			{Key: "via", Value: []byte("a")}, {Key: "trace", Value: []byte{}}, {Key: "via", Value: []byte("b")}, {Key: "via", Value: []byte("a")},
		}
		w.produce(&kgo.Record{Topic: testTopic, Value: []byte("garbage"), Headers: own})
		w.start()
		w.awaitDrained(time.Minute)
		letters := w.deadLetters()
		if len(letters) != 1 || len(letters[0].Headers) < len(own) {
			t.Fatalf("dead letters: %v", letters)
		}
		if got := letters[0].Headers[:len(own)]; fmt.Sprint(got) != fmt.Sprint(own) {
			t.Errorf("headers %v, want %v", got, own)
		}
	})
}
