package consumer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestDeadLetterTopicRefusesForTenMinutes: nothing is lost or committed too early, the rest of the
// work goes on, and the letters are written when the topic takes them again.
func TestDeadLetterTopicRefusesForTenMinutes(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.guardCommits()
		w.api.set(50*time.Millisecond, mixedAnswer)
		refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
		w.publishNumbered(2, 300)
		r := w.start()
		time.Sleep(10 * time.Minute)
		if n := len(w.api.deletes()); n != 480 {
			t.Errorf("%d conversations deleted meanwhile, want 480", n)
		}
		if n := len(w.letterKeys()); n != 0 {
			t.Fatalf("%d dead letters in a topic that refuses them", n)
		}
		for p, offset := range w.committed() {
			if offset != 1 { // the record at offset 1 is the first that waits for its dead letter
				t.Errorf("partition %d: %d committed, want 1", p, offset)
			}
		}
		refused.Remove()
		w.awaitDrained(time.Minute)
		if n := len(w.letterKeys()); n != 120 {
			t.Errorf("%d dead letters, want 120", n)
		}
		if err := testutil.GatherAndCompare(r.registry, strings.NewReader(`
			# HELP convdel_dead_letters_total Dead letters that the broker has acknowledged, by class.
			# TYPE convdel_dead_letters_total counter
			convdel_dead_letters_total{class="exhausted"} 60
			convdel_dead_letters_total{class="expired"} 0
			convdel_dead_letters_total{class="permanent"} 60
			convdel_dead_letters_total{class="undecodable"} 0
		`), "convdel_dead_letters_total"); err != nil {
			t.Error(err)
		}
	})
}

// TestBrokerConnectionsCut: every connection of the replica is cut again and again, while it works.
func TestBrokerConnectionsCut(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4, brokers: 3}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, mixedAnswer)
		w.guardCommits()
		w.publishNumbered(4, 500)
		r := w.start()
		for range 5 {
			time.Sleep(1700 * time.Millisecond)
			r.net.cutConnections()
		}
		w.awaitDrained(10 * time.Minute)
		if n := len(w.letterKeys()); n != 400 {
			t.Errorf("%d dead letters, want 400", n)
		}
	})
}

// TestHangingAPI: calls that never answer end by their timeout, and use up what a call uses up.
func TestHangingAPI(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(time.Hour, nil)
		w.publish(0, eventValues(0, 100)...)
		w.start(func(c *consumer.Config) { c.API = timeoutAPI{w.api, 5 * time.Second} })
		time.Sleep(20 * time.Second)
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, 100)
	})
}

// timeoutAPI gives each call a timeout, as the real client does.
type timeoutAPI struct {
	api     consumer.API
	timeout time.Duration
}

func (a timeoutAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return a.api.Delete(ctx, c)
}

// TestStuckPartitionHoldsUpNoOther: a partition whose span is full behind one event that does not end
// keeps nothing that the others need.
func TestStuckPartitionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		w.api.set(0, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(0) {
				return verdict(consumer.Throttled, 60007) // for ever, and no attempt used up
			}
			return verdict(consumer.Deleted, 0)
		})
		padding := strings.Repeat("x", 600)
		var values [][]byte
		for n := range 14_000 {
			values = append(values, fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","P":%q}`, n, padding))
		}
		w.publish(0, values...)
		w.start(func(c *consumer.Config) { c.CallsPerSecond = 0 })
		w.await(time.Minute, "a full span", func() bool { return len(w.api.deletes()) >= 9_999 })
		for p := range int32(2) {
			w.publish(p+1, eventValues(int(p+1)*20_000, int(p+1)*20_000+1000)...)
		}
		w.await(time.Minute, "the other partitions deleted", func() bool { return len(w.api.deletes()) >= 11_999 })
		if n := len(w.api.deletes()); n > 12_100 {
			t.Errorf("%d conversations deleted: the span is not bounded", n)
		}
		w.api.set(0, nil)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, 14_000)
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

// TestLetterOfACompressedRecord: a record that fits its topic only compressed fits the dead-letter topic
// as well.
func TestLetterOfACompressedRecord(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		for _, topic := range []string{testTopic, testDLT} {
			setTopicConfig(t, w, topic, "max.message.bytes", "9000")
		}
		w.publish(0, []byte(strings.Repeat("garbage ", 20_000)), eventValue(1))
		w.start()
		w.awaitDrained(5 * time.Minute)
		if n := len(w.letterKeys()); n != 1 {
			t.Errorf("%d dead letters", n)
		}
	})
}
