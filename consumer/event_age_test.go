package consumer_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/internal/testkit/rawbatch"
)

// TestOldEventsExpire: with max-event-age, an event that is too old, or becomes so while it waits, is
// not executed.
func TestOldEventsExpire(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(2) {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValue(0))
		time.Sleep(time.Hour)
		w.publish(0, eventValue(1), eventValue(2))
		w.start(func(c *consumer.Config) { c.MaxEventAge, c.MaxAttempts = time.Minute, 100 })
		w.awaitDrained(5 * time.Minute)
		deletes := w.api.deletes()
		if deletes[conversation(0)] != 0 || deletes[conversation(1)] != 1 {
			t.Errorf("deletes: %v", deletes)
		}
		for _, l := range w.deadLetters() {
			if testkit.Header(l, "dlt-class") != "expired" {
				t.Errorf("dead letter %s of class %s", l.Key, testkit.Header(l, "dlt-class"))
			}
		}
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// TestLogAppendTime: where the topic's records have the broker's time, the producer's clock says nothing about an event's age.
func TestLogAppendTime(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		b := rawbatch.Of(now()-(48*time.Hour).Milliseconds(), rawbatch.Plain(0, eventValue(0), 0), rawbatch.Plain(1, eventValue(1), 0))
		b.Attributes, b.MaxTime = rawbatch.LogAppendTime, now()
		w.publish(0, eventValue(0), eventValue(1)) // the embedded broker has no such topics: it is told what to answer
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			asked, _ := req.(*kmsg.FetchRequest)
			if asked.Topics[0].Topic != testTopic || asked.Topics[0].Partitions[0].FetchOffset != 0 {
				return nil, nil, false
			}
			res, _ := req.ResponseKind().(*kmsg.FetchResponse)
			topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
			partition.HighWatermark, partition.LastStableOffset, partition.RecordBatches = 2, 2, b.Bytes()
			topic.Topic, topic.Partitions = testTopic, append(topic.Partitions, partition)
			res.Topics = append(res.Topics, topic)
			return res, nil, true
		})
		w.start(func(c *consumer.Config) { c.MaxEventAge = time.Hour })
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 2)
	})
}

// TestRecordWithoutATime is not too old for being of the year 1969.
func TestRecordWithoutATime(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(1), Timestamp: time.UnixMilli(-1)})
		w.start(func(c *consumer.Config) { c.MaxEventAge = time.Hour })
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(1, 2)
	})
}
