package consumer_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/schema"
)

// TestPromise4_ReplaysThatFailAgainHoldUpNothing: far more replays than there is room for, all of which fail as they did
// before, are dead letters again soon, and what comes behind them is done. They are no sign of an outage.
func TestPromise4_ReplaysThatFailAgainHoldUpNothing(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"internal errors": 50004, "no answer": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				t := w.t
				const bad, behind, later = 300, 100, 60
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if c.To == "nobody" {
						return verdict(consumer.Transient, code)
					}
					return verdict(consumer.Deleted, 0)
				})
				for n := range bad {
					w.produce(replayOf(int64(n), int32(n%3)))
				}
				w.publish(0, eventValues(0, behind)...)
				w.start(func(c *consumer.Config) { c.MaxInFlight, c.RetryMax = 50, 5*time.Second })
				w.await(10*time.Minute, "what stands behind them deleted", func() bool { return len(w.api.deletes()) == behind })
				for n := range later { // that the API is well shows in them: the last replays need a witness
					w.publish(0, eventValue(behind+n))
					time.Sleep(5 * time.Second)
				}
				w.awaitDrained(5 * time.Minute)
				if n := len(w.api.deletes()); n != behind+later {
					t.Errorf("%d of %d good ones deleted", n, behind+later)
				}
				if n := len(w.letterKeys()); n != bad {
					t.Errorf("%d letters, want %d", n, bad)
				}
			})
		})
	}
}

// replayOf is a record that replays a dead letter, of an event that fails.
func replayOf(n int64, partition int32) *kgo.Record {
	e := schema.Event{Conversation: schema.Conversation{From: conversation(int(n)).From, Type: schema.C2C, To: "nobody"}}
	value, err := e.Encode()
	if err != nil {
		panic(err)
	}
	r := &kgo.Record{Topic: testTopic, Partition: partition, Value: value}
	d := schema.DeadLetter{Topic: testTopic, Partition: int(partition), Offset: 1_000_000 + n, Timestamp: time.Now().Add(-time.Minute)}
	for _, h := range d.ReplayHeaders(nil) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return r
}
