package consumer_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// TestEmptiesTheTopic is the main job: everything published is deleted once and committed.
func TestEmptiesTheTopic(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*100, int(p)*100+100)...)
		}
		w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 300)
		if n := len(w.deadLetters()); n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestPromise1_EveryEventEndsInExactlyOneWay publishes events of all kinds: those that the API
// deletes at once or later, refuses, or never answers well, and those that are no events at all.
func TestPromise1_EveryEventEndsInExactlyOneWay(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, mixedAnswer)
		want := map[string]string{} // dead letters: value to class/code
		for n := range 400 {
			value := eventValue(n)
			switch n % 10 {
			case 1:
				want[string(value)] = "permanent/50001"
			case 2:
				want[string(value)] = "exhausted/50004"
			case 6:
				value = fmt.Appendf(nil, `{"From_Account":%d,"Type":1}`, n)
				want[string(value)] = "undecodable/"
			}
			w.publish(int32(n%4), value)
		}
		r := w.start()
		w.awaitDrained(10 * time.Minute)
		letters := w.deadLetters()
		for _, l := range letters {
			got := testkit.Header(l, "dlt-class") + "/" + strings.TrimPrefix(testkit.Header(l, "dlt-code"), "0")
			if want[string(l.Value)] != got {
				t.Errorf("dead letter %s of %s is %q, want %q", l.Key, l.Value, got, want[string(l.Value)])
			}
			if testkit.Header(l, "dlt-class") == "exhausted" && testkit.Header(l, "dlt-attempts") != "6" {
				t.Errorf("exhausted after %s attempts", testkit.Header(l, "dlt-attempts"))
			}
			delete(want, string(l.Value))
		}
		if len(want) != 0 || len(letters) != 120 {
			t.Errorf("%d dead letters, these are missing: %v", len(letters), want)
		}
		deletes := w.api.deletes()
		for n := range 400 {
			wanted := 1
			if k := n % 10; k == 1 || k == 2 || k == 6 {
				wanted = 0
			}
			if got := deletes[conversation(n)]; got != wanted {
				t.Errorf("conversation %d deleted %d times, want %d", n, got, wanted)
			}
		}
		if got := r.metric("convdel_events_total"); got != 400 {
			t.Errorf("metrics say that %v events ended", got)
		}
	})
}

// TestPromise3_QuotaOfOneReplica: at most 200 calls in any second, and nearly that many used.
func TestPromise3_QuotaOfOneReplica(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		w.api.set(70*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if rand.N(10) == 0 && before < 3 {
				return verdict(consumer.Transient, 50004) // retries are calls too
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range int32(3) {
			w.publish(p, eventValues(int(p)*2000, int(p)*2000+2000)...)
		}
		w.start()
		w.await(time.Minute, "the first call", func() bool { return len(w.api.made()) > 0 })
		before := len(w.api.made())
		time.Sleep(15 * time.Second)
		if used := float64(len(w.api.made())-before) / (15 * 200); used < 0.985 {
			t.Errorf("%.2f %% of the quota used", 100*used)
		}
		if peak := w.api.peak(); peak > 200 {
			t.Errorf("%d calls in a second", peak)
		}
	})
}

// TestPromise4_OneSlowEventHoldsUpNoOther: of one partition's events one hangs for as long as a call
// may and another one is retried to the end; the rest does not notice.
func TestPromise4_OneSlowEventHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			switch c.Conversation {
			case conversation(0):
				time.Sleep(5 * time.Second)
				return verdict(consumer.Transient, 0)
			case conversation(1):
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 500)...)
		w.start()
		w.await(6*time.Second, "all but two events deleted", func() bool { return len(w.api.deletes()) == 498 })
		for n := range 20 { // that the API is well shows in them
			w.publish(0, eventValue(500+n))
			time.Sleep(10 * time.Second)
		}
		w.awaitDrained(2 * time.Minute)
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// TestPromise9_BadInputIsKept: what is no event becomes a dead letter with its bytes, key and headers.
func TestPromise9_BadInputIsKept(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		values := [][]byte{nil, {}, []byte("\xff\x00garbage"), []byte(`{"From_Account":"a"`), []byte(`[]`)}
		for _, v := range values {
			w.produce(&kgo.Record{Topic: testTopic, Key: []byte("k\x00"), Value: v, Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{1, 2}}}})
		}
		w.start()
		w.awaitDrained(time.Minute)
		letters := w.deadLetters()
		if len(letters) != len(values) {
			t.Fatalf("%d dead letters, want %d", len(letters), len(values))
		}
		for _, l := range letters {
			var p, o int
			if _, err := fmt.Sscanf(string(l.Key), testTopic+"/%d/%d", &p, &o); err != nil {
				t.Fatalf("key %q: %v", l.Key, err)
			}
			if !bytes.Equal(l.Value, values[o]) || l.Value == nil {
				t.Errorf("offset %d: value %q, want %q", o, l.Value, values[o])
			}
			if got := testkit.Header(l, "dlt-null-value"); (got == "true") != (values[o] == nil) {
				t.Errorf("offset %d: dlt-null-value %q", o, got)
			}
			if testkit.Header(l, "trace") != "\x01\x02" || testkit.Header(l, "dlt-key") != "k\x00" || testkit.Header(l, "dlt-class") != "undecodable" {
				t.Errorf("offset %d: headers %v", o, l.Headers)
			}
		}
		if n := len(w.api.made()); n != 0 {
			t.Errorf("%d calls", n)
		}
	})
}

// TestOldestFirst: where calls wait for the quota, those of the oldest events go first, whatever
// partition they are in and whenever they were read, and a retry keeps its place.
func TestOldestFirst(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.api.set(10*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(1000) && before == 0 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 300)...)
		w.start(func(c *consumer.Config) { c.CallsPerSecond, c.RetryInitial = 20, time.Second })
		time.Sleep(5 * time.Second)
		var old []*kgo.Record
		for n, v := range eventValues(1000, 1100) {
			old = append(old, &kgo.Record{Topic: testTopic, Partition: 1, Value: v, Timestamp: time.Now().Add(-time.Hour).Add(time.Duration(n) * time.Millisecond)})
		}
		w.produce(old...)
		late := len(w.api.made())
		w.awaitDrained(time.Minute)
		calls := w.api.made()[late:]
		young := 0
		for i, c := range calls[2:102] { // two may have been chosen already
			var user int
			if _, err := fmt.Sscanf(c.From, "user%d", &user); err != nil {
				t.Fatal(err)
			}
			if user < 1000 {
				young++
			}
			if user == 1000 && i > 40 {
				t.Errorf("the retry of the oldest event was call %d", i)
			}
		}
		if young > 3 {
			t.Errorf("%d young events were called before old ones", young)
		}
	})
}
