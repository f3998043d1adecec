package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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

// slowLetters has each write of dead letters take so long.
func (w *world) slowLetters(d time.Duration) {
	dlt := w.kafka.TopicInfo(testDLT)
	w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		if p, _ := req.(*kmsg.ProduceRequest); p.Topics[0].Topic == testDLT || p.Topics[0].TopicID == dlt.TopicID {
			w.kafka.SleepControl(func() { time.Sleep(d) })
		}
		return nil, nil, false
	})
}

// TestSlowLettersAreWrittenOnce: writes that wait for others of the same partition are not given up, and repeated, while they may still succeed.
func TestSlowLettersAreWrittenOnce(t *testing.T) {
	t.Parallel()
	const letters = 3000
	inWorld(t, worldOptions{}, func(w *world) {
		w.slowLetters(4 * time.Second)
		w.publish(0, slices.Repeat([][]byte{[]byte("garbage")}, letters)...)
		w.start()
		w.awaitDrained(5 * time.Minute)
		time.Sleep(time.Minute)
		if n := len(w.deadLetters()); n != letters {
			w.t.Errorf("%d dead letters, want %d", n, letters)
		}
		if strings.Contains(w.log.String(), "level=ERROR") {
			w.t.Error("a write has failed")
		}
	})
}

// TestShortElectionsAreNoFault: the dead-letter topic's partitions have no leader for a second. Nobody is told, and the letters wait in memory.
func TestShortElectionsAreNoFault(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			inWorld(t, outcomesWorld(1), func(w *world) {
				elects := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: code, Count: -1, Topic: testDLT})
				also := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: code, Count: -1, Topic: testOutcomes})
				w.publish(0, []byte("garbage"), slices.Repeat([]byte("garbage "), 5000))
				r := w.start(withOutcomes)
				w.await(time.Minute, "a write", func() bool { return elects.Hits() > 0 })
				time.Sleep(time.Second)
				elects.Remove()
				w.await(time.Minute, "a write", func() bool { return also.Hits() > 0 })
				time.Sleep(time.Second)
				also.Remove()
				w.awaitDrained(time.Minute)
				if n := r.metric("convdel_dead_letter_retries_total") + r.metric("convdel_outcome_retries_total"); n != 0 || strings.Contains(w.log.String(), "level=ERROR") {
					w.t.Errorf("%v writes are put off, or the log says so", n)
				}
			})
		})
	}
}
