package consumer_test

import (
	"fmt"
	"testing"
	"time"

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
