package consumer_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

var errAPI = errors.New("the API said no")

// verdict makes an answer.
func verdict(v consumer.Verdict, code int) consumer.Answer {
	if v == consumer.Deleted {
		return consumer.Answer{Verdict: v}
	}
	return consumer.Answer{
		Verdict: v, Code: code, Err: errAPI,
		Denied: code == 50003,
	}
}

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

// wantDeletedOnce checks that each conversation of [from, to) was deleted by exactly one call.
func (w *world) wantDeletedOnce(from, to int) {
	w.t.Helper()
	deletes := w.api.deletes()
	for n := from; n < to; n++ {
		if got := deletes[conversation(n)]; got != 1 {
			w.t.Errorf("conversation %d deleted %d times", n, got)
		}
	}
}

// kinds of events in the ledger tests, by number modulo 10.
func mixedAnswer(c consumer.Call, before int) consumer.Answer {
	var n int
	if _, err := fmt.Sscanf(c.From, "user%d", &n); err != nil {
		return verdict(consumer.Permanent, 50002)
	}
	switch n % 10 {
	case 1:
		return verdict(consumer.Permanent, 50001)
	case 2:
		return verdict(consumer.Transient, 50004) // for ever
	case 3:
		if before < 3 {
			return verdict(consumer.Transient, 50005)
		}
	case 4:
		if before < 2 {
			return verdict(consumer.Throttled, 60007)
		}
	case 5:
		if before < 1 {
			return verdict(consumer.Again, 70001)
		}
	}
	return verdict(consumer.Deleted, 0)
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
			got := header(l, "dlt-class") + "/" + strings.TrimPrefix(header(l, "dlt-code"), "0")
			if want[string(l.Value)] != got {
				t.Errorf("dead letter %s of %s is %q, want %q", l.Key, l.Value, got, want[string(l.Value)])
			}
			if header(l, "dlt-class") == "exhausted" && header(l, "dlt-attempts") != "6" {
				t.Errorf("exhausted after %s attempts", header(l, "dlt-attempts"))
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
		if got := r.ended(); got != 400 {
			t.Errorf("metrics say that %v events ended", got)
		}
	})
}

// ended sums convdel_events_total.
func (r *replica) ended() float64 {
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == "convdel_events_total" {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// guardCommits checks at the broker, at the moment of each commit request, that no committed offset
// passes a record that has not ended, neither by a finished delete nor as a written dead letter.
func (w *world) guardCommits() {
	letters := make(map[string]bool) // written only on the broker's goroutine
	dlt := w.kafka.TopicInfo(testDLT)
	w.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		p, _ := req.(*kmsg.ProduceRequest)
		for _, t := range p.Topics {
			if t.Topic != testDLT && (dlt == nil || t.TopicID != dlt.TopicID) {
				continue
			}
			for _, part := range t.Partitions {
				for _, id := range letterIDs(part.Records) {
					letters[id] = true
				}
			}
		}
		return nil, nil, false
	})
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		c, _ := req.(*kmsg.OffsetCommitRequest)
		deletes := w.api.deletes()
		for _, t := range c.Topics {
			for _, p := range t.Partitions {
				for o := range p.Offset {
					if deletes[conversation(numberAt(p.Partition, o))] == 0 && !letters[fmt.Sprintf("%s/%d/%d", testTopic, p.Partition, o)] {
						w.t.Errorf("commit of %d/%d although offset %d has not ended", p.Partition, p.Offset, o)
					}
				}
			}
		}
		return nil, nil, false
	})
}

// numberAt is the number of the event at an offset in the tests that use publishNumbered.
func numberAt(partition int32, offset int64) int { return int(partition)*10_000 + int(offset) }

func (w *world) publishNumbered(partitions int32, each int) {
	w.t.Helper()
	for p := range partitions {
		w.publish(p, eventValues(numberAt(p, 0), numberAt(p, int64(each)))...)
	}
}

// letterIDs finds dead letters' keys in a produced batch, uncompressed as the service writes them.
func letterIDs(batch []byte) []string {
	var ids []string
	for {
		i := bytes.Index(batch, []byte(testTopic+"/"))
		if i < 0 {
			return ids
		}
		end := i + len(testTopic) + 1
		for end < len(batch) && (batch[end] >= '0' && batch[end] <= '9' || batch[end] == '/') {
			end++
		}
		ids = append(ids, string(batch[i:end]))
		batch = batch[end:]
	}
}

// TestPromise2_CommitsOnlyWhatHasEnded looks at every commit as the broker sees it, while events
// end out of order, some late and some as dead letters, and members come and go.
func TestPromise2_CommitsOnlyWhatHasEnded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		w.api.set(100*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			a := mixedAnswer(c, before)
			if a.Verdict == consumer.Transient && a.Code == 50004 {
				return verdict(consumer.Transient, 70107) // 50004 for ever, where nothing else is left, could be an outage
			}
			return a
		})
		w.guardCommits()
		w.publishNumbered(4, 150)
		first := w.start()
		time.Sleep(2 * time.Second)
		w.start()
		time.Sleep(2 * time.Second)
		first.kill()
		w.start()
		w.awaitDrained(10 * time.Minute)
	})
}

// TestPromise2_KilledAtEveryStep kills the replica at each step of an event's path and lets another
// one go on: nothing is lost, and nothing is committed too early.
func TestPromise2_KilledAtEveryStep(t *testing.T) {
	t.Parallel()
	const victim = 7
	onCall := func(w *world, kill func()) {
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(victim) {
				kill()
			}
			return verdict(consumer.Deleted, 0)
		})
	}
	onRequest := func(w *world, key kmsg.Key, topic string, kill func()) {
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Observe: true, Count: 1, When: func(kmsg.Request) bool {
			kill()
			return true
		}})
	}
	permanent := func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) }
	for _, tc := range []struct {
		step    string
		arrange func(w *world, kill func())
		letters int
	}{
		{"before the call", func(_ *world, kill func()) { kill() }, 0},
		{"during the call", onCall, 0},
		{"after the call, before the commit", func(w *world, kill func()) { onRequest(w, kmsg.OffsetCommit, testTopic, kill) }, 0},
		{"before the dead letter is acknowledged", func(w *world, kill func()) {
			w.api.set(50*time.Millisecond, permanent)
			onRequest(w, kmsg.Produce, testDLT, kill)
		}, 20},
		{"after the dead letter, before the commit", func(w *world, kill func()) {
			w.api.set(50*time.Millisecond, permanent)
			onRequest(w, kmsg.OffsetCommit, testTopic, kill)
		}, 20},
	} {
		t.Run(tc.step, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				w.guardCommits()
				w.publishNumbered(1, 20)
				var killed atomic.Bool
				r := w.start()
				tc.arrange(w, func() {
					if killed.CompareAndSwap(false, true) {
						r.net.sever()
						r.cancel()
					}
				})
				<-r.done
				w.start()
				w.awaitDrained(5 * time.Minute)
				if n := len(w.letterKeys()); n != tc.letters {
					t.Errorf("%d dead letters, want %d", n, tc.letters)
				}
			})
		})
	}
}

// letterKeys returns the keys of the dead-letter table: repeated writes replace each other.
func (w *world) letterKeys() map[string]bool {
	keys := make(map[string]bool)
	for _, l := range w.deadLetters() {
		keys[string(l.Key)] = true
	}
	return keys
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

// TestPromise6_HandoversRepeatNothing hands all work over four times under load: nothing is done
// twice, although some events are always waiting for a retry, and each stop takes one call's
// latency and less than a second.
func TestPromise6_HandoversRepeatNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		const latency = 100 * time.Millisecond
		w.api.set(latency, func(c consumer.Call, before int) consumer.Answer {
			if strings.HasSuffix(c.From, "7") && before < 4 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range int32(4) {
			w.publish(p, eventValues(int(p)*1000, int(p)*1000+1000)...)
		}
		r := w.start()
		for range 4 {
			time.Sleep(3 * time.Second)
			next := w.start()
			time.Sleep(3 * time.Second)
			if took := r.stop(); took > latency+time.Second {
				t.Errorf("stop took %s", took)
			}
			r = next
		}
		w.awaitDrained(10 * time.Minute)
		w.wantDeletedOnce(0, 4000)
		if w.api.peak() > 200 {
			t.Errorf("%d calls in a second", w.api.peak())
		}
	})
}

// TestPromise6_KillRepeatsLittle: after a kill, what is called again is at most what was in flight
// and what was done in the last 200 ms, even behind an event that waits for its retries.
func TestPromise6_KillRepeatsLittle(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.api.set(100*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(0) && before < 5 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 2000)...)
		w.publish(1, eventValues(2000, 4000)...)
		r := w.start()
		time.Sleep(8 * time.Second)
		r.kill()
		w.start()
		w.awaitDrained(10 * time.Minute)
		twice := 0
		for _, n := range w.api.deletes() {
			twice += n - 1
		}
		// 200 calls a second: 20 in flight at 100 ms, 40 in 200 ms.
		if twice > 65 {
			t.Errorf("%d events done twice", twice)
		}
		if len(w.api.deletes()) != 4000 {
			t.Errorf("%d conversations deleted, want 4000", len(w.api.deletes()))
		}
	})
}

// TestPromise8_InFlightIsBounded: neither a long backlog nor large events make more be held than configured.
func TestPromise8_InFlightIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 8}, func(w *world) {
		t := w.t
		for p := range int32(8) {
			w.publish(p, eventValues(int(p)*1000, int(p)*1000+1000)...)
		}
		big := bytes.Repeat([]byte("x"), 400_000)
		for range 10 {
			w.publish(0, big, big)
		}
		r := w.start(func(c *consumer.Config) {
			c.MaxInFlight = 100
			c.MaxInFlightBytes = 1 << 20
		})
		for range 1000 {
			if n := r.gauge("convdel_in_flight"); n > 100 {
				t.Fatalf("%v events in flight, allowed are 100", n)
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.awaitDrained(5 * time.Minute)
		if n := len(w.letterKeys()); n != 20 {
			t.Errorf("%d dead letters, want the 20 large records", n)
		}
	})
}

// gauge reads a metric without labels.
func (r *replica) gauge(name string) float64 {
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	r.w.t.Fatalf("no metric %s", name)
	return 0
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
			if got := header(l, "dlt-null-value"); (got == "true") != (values[o] == nil) {
				t.Errorf("offset %d: dlt-null-value %q", o, got)
			}
			if header(l, "trace") != "\x01\x02" || header(l, "dlt-key") != "k\x00" || header(l, "dlt-class") != "undecodable" {
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
