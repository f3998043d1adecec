package consumer_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestDeadLetterTopicRefusesForTenMinutes: nothing is lost or committed too early, the rest of the
// work goes on, and the letters are written when the topic takes them again.
func TestDeadLetterTopicRefusesForTenMinutes(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.guardCommits()
		w.api.set(50*time.Millisecond, mixedAnswer)
		refused := w.refuseLetters()
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
		for name, n := range testkit.Series(t, r.registry) {
			want := map[string]float64{
				`convdel_dead_letters_total{class="exhausted",code="50004"}`: 60, `convdel_dead_letters_total{class="permanent",code="50001"}`: 60,
			}[name]
			if strings.HasPrefix(name, "convdel_dead_letters_total") && n != want {
				t.Errorf("%s is %v, want %v", name, n, want)
			}
		}
		if n := r.metric("convdel_dead_letters_total"); n != 120 {
			t.Errorf("%v dead letters are counted", n)
		}
	})
}

// TestPromise4_LettersThatWaitHoldUpNobody: while the dead-letter topic takes nothing, large letters give their bytes back, and
// events go on, those of their own partition too. Afterwards each letter has its record's bytes, read again.
func TestPromise4_LettersThatWaitHoldUpNobody(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		garbage := make(map[string][]byte)
		for n := range 10 {
			large := bytes.Repeat([]byte{byte(n), 0xff}, 10_000)
			garbage[fmt.Sprint(testTopic, "/0/", n)] = large
			w.produce(&kgo.Record{Topic: testTopic, Partition: 0, Key: []byte{byte(n)}, Value: large, Headers: []kgo.RecordHeader{{Key: "n", Value: []byte{byte(n)}}}})
		}
		w.publish(0, eventValues(0, 50)...)
		w.publish(1, eventValues(50, 100)...)
		refused := w.refuseLetters()
		w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 64 << 10 })
		w.await(2*time.Minute, "every event deleted", func() bool { return w.deleted(0, 100) == 100 })
		if n := len(w.letterKeys()); n != 0 {
			t.Fatalf("%d dead letters that nobody took", n)
		}
		refused.Remove()
		w.awaitDrained(5 * time.Minute)
		for _, l := range w.deadLetters() {
			n := garbage[string(l.Key)]
			if !bytes.Equal(l.Value, n) || testkit.Header(l, "n") != string(n[:1]) || testkit.Header(l, schema.HeaderKey) != string(n[:1]) || testkit.Header(l, "dlt-omitted") != "" {
				t.Errorf("letter %s: %d bytes, key %q, header n %q, omitted %q", l.Key, len(l.Value), testkit.Header(l, schema.HeaderKey), testkit.Header(l, "n"), testkit.Header(l, "dlt-omitted"))
			}
			delete(garbage, string(l.Key))
		}
		if len(garbage) != 0 {
			t.Errorf("letters are missing: %d", len(garbage))
		}
	})
}
