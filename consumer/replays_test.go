package consumer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// TestReplayThroughTheService replays dead letters while the service runs, which deletes some of them
// at last and buries the others again, at once: no event is lost to the tombstones, and each ends as
// a delete or as one open letter that knows how often it was replayed.
func TestReplayThroughTheService(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		const n, rounds = 60, 3
		w.api.set(time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*20, int(p)*20+20)...)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		table, err := deadletter.Open(t.Context(), cluster.Config{Brokers: w.kafka.ListenAddrs(), Dial: w.network.DialContext}, testDLT)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		choice := deadletter.Choice{Topic: testTopic, Filter: deadletter.Filter{Classes: []schema.Class{schema.ClassPermanent}}}
		for round := 1; round <= rounds; round++ {
			if round == rounds { // a third of them has been mended
				w.api.set(time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					var user int
					if _, err := fmt.Sscanf(c.From, "user%d", &user); err != nil || user%3 != 0 {
						return verdict(consumer.Permanent, 50001)
					}
					return verdict(consumer.Deleted, 0)
				})
			}
			plan, err := table.Replay(t.Context(), choice, nil)
			if err != nil || plan.Settled != n {
				t.Fatalf("round %d: %+v, %v", round, plan, err)
			}
			w.awaitDrained(time.Minute)
		}
		open := 0
		if _, err := table.Each(t.Context(), deadletter.Filter{}, func(l *deadletter.Letter) error {
			if open++; l.Replays != rounds || l.ReplayOf == "" {
				t.Errorf("letter %s: %d replays, of %q", l.ID(), l.Replays, l.ReplayOf)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if deleted := len(w.api.deletes()); open != n*2/3 || deleted != n/3 {
			t.Errorf("%d letters open and %d conversations deleted, want %d and %d", open, deleted, n*2/3, n/3)
		}
		r.stop()
	})
}

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
				w.await(15*time.Minute, "what stands behind them deleted", func() bool { return len(w.api.deletes()) == behind })
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
