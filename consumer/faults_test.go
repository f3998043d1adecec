package consumer_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
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
