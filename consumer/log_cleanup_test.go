package consumer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestCompactedLog reads a log of which compaction has removed most records, at its beginning, in
// its midst and at the ends of batches.
func TestCompactedLog(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		setTopicConfig(t, w, testTopic, "cleanup.policy", "compact")
		setTopicConfig(t, w, testTopic, "min.cleanable.dirty.ratio", "0")
		for round := range 20 {
			var batch []*kgo.Record
			for k := range 10 {
				batch = append(batch, &kgo.Record{Topic: testTopic, Key: fmt.Append(nil, "key", (round*7+k*3)%40), Value: eventValue(round*10 + k)})
			}
			w.produce(batch...)
			time.Sleep(time.Second)
		}
		w.kafka.Compact()
		left := w.readAll(testTopic)
		if len(left) >= 150 {
			t.Fatalf("compaction left %d of 200 records: the test needs holes", len(left))
		}
		w.start()
		w.awaitDrained(time.Minute)
		deletes := w.api.deletes()
		for _, r := range left {
			var n int
			if _, err := fmt.Sscanf(string(r.Value), `{"From_Account":"user%d"`, &n); err != nil {
				t.Fatal(err)
			}
			if deletes[conversation(n)] != 1 {
				t.Errorf("offset %d deleted %d times", r.Offset, deletes[conversation(n)])
			}
		}
		if len(deletes) != len(left) {
			t.Errorf("%d conversations deleted, the log has %d", len(deletes), len(left))
		}
	})
}

// TestRetentionCutsTheLog: records that retention has removed before the start are said to be lost,
// and the rest is read.
func TestRetentionCutsTheLog(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 10)...)
		w.start().drainAndStop(t)
		w.publish(0, eventValues(10, 100)...)
		if err := w.kafka.DeleteRecords(testTopic, 0, 50); err != nil {
			t.Fatal(err)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 10)
		w.wantDeletedOnce(50, 100)
		if got := r.metric("convdel_offset_resets_total"); got != 1 {
			t.Errorf("%v offset resets counted, want 1", got)
		}
		if !strings.Contains(w.log.String(), "offsets_lost=40") {
			t.Error("the log does not say that 40 offsets were lost")
		}
	})
}
