package consumer_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit/rawbatch"
)

// TestPromise1_NothingIsLostBehindAFullSpan: a fetch that brings more records than may be open behind one that does not end is
// left in its midst. What it brought beyond them is fetched again when there is room.
func TestPromise1_NothingIsLostBehindAFullSpan(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		const all, span = 15_000, 10_000
		w.api.set(0, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(0) {
				return verdict(consumer.Throttled, 60007)
			}
			return verdict(consumer.Deleted, 0)
		})
		for n := 0; n < all; n += 100 { // small batches, so that a fetch brings several
			w.publish(0, eventValues(n, n+100)...)
		}
		w.start(func(c *consumer.Config) { c.CallsPerSecond = 0 })
		w.await(time.Minute, "a full span", func() bool { return len(w.api.deletes()) == span-1 })
		time.Sleep(10 * time.Second)
		if n := len(w.api.deletes()); n != span-1 {
			t.Errorf("%d events deleted behind one that is stuck, want %d", n, span-1)
		}
		w.api.set(0, nil)
		w.awaitDrained(5 * time.Minute)
		if n := w.deleted(0, all); n != all {
			t.Errorf("%d of %d events deleted", n, all)
		}
	})
}

// fetches notes from where each partition has been fetched.
type fetches struct {
	mu   sync.Mutex
	from map[string]bool
}

// countFetches watches the broker. A fetch that is repeated from the same offset counts once. One that the broker may hold
// does not count: it is for what is published later.
func (w *world) countFetches() *fetches {
	f := &fetches{from: make(map[string]bool)}
	w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		r, _ := req.(*kmsg.FetchRequest)
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				if t.Topic == testTopic && r.MaxWaitMillis == 0 {
					f.from[fmt.Sprint(p.Partition, "/", p.FetchOffset)] = true
				}
			}
		}
		return nil, nil, false
	})
	return f
}

func (f *fetches) made() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.from)
}

// TestPromise8_FetchedAheadIsBounded: memory is full, and each of many partitions has a batch to offer that is small in the log and
// large in memory. All of them together bring no more than is allowed to wait, and a batch.
func TestPromise8_FetchedAheadIsBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 20}, func(w *world) {
		t := w.t
		const events, size, allowed = 50, 10_000, 4 << 20
		compressing := w.newClient(kgo.ProducerBatchCompression(kgo.GzipCompression()))
		padding := bytes.Repeat([]byte("x"), size)
		for p := range int32(20) {
			var batch []*kgo.Record
			for n := range events {
				value := fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","P":%q}`, int(p)*events+n, padding)
				batch = append(batch, &kgo.Record{Topic: testTopic, Partition: p, Value: value})
			}
			if err := compressing.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		compressing.Close()
		w.api.set(10*time.Minute, nil)
		fetched := w.countFetches()
		w.start(func(c *consumer.Config) { c.MaxInFlight = 16 }) // fewer than a batch has
		time.Sleep(time.Minute)
		if bytes := fetched.made() * events * size; bytes < allowed/2 || bytes > allowed+events*size {
			t.Errorf("%d bytes fetched, allowed are %d", bytes, allowed)
		}
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(15 * time.Minute)
		w.wantDeletedOnce(0, 20*events)
	})
}

// TestQuietTopicIsFetchedOnce: on a topic with little traffic each batch is fetched once, whatever its codec takes to decompress.
func TestQuietTopicIsFetchedOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.start()
		w.publish(0, eventValue(0))
		w.awaitDrained(time.Minute)
		time.Sleep(10 * time.Second)
		hurried := 0
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			if r, _ := req.(*kmsg.FetchRequest); r.MaxWaitMillis == 0 {
				hurried++
			}
			return nil, nil, false
		})
		for n := 1; n < 20; n++ {
			codec := []int16{rawbatch.None, rawbatch.Gzip, rawbatch.Snappy, rawbatch.LZ4, rawbatch.Zstd}[n%5]
			w.send(0, rawbatch.Of(now(), rawbatch.Plain(0, eventValue(n), 0)).Compressed(codec).Bytes())
			time.Sleep(2 * time.Second)
		}
		w.wantDeletedOnce(0, 20)
		if hurried > 1 { // the first one by which it was found out what the codec takes
			t.Errorf("%d fetches that do not wait for a batch", hurried)
		}
	})
}

// TestThrottledFetch: a broker that has no more for a client for a while answers without the partition. That is no fault.
func TestThrottledFetch(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 10)...)
		answered := 0
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			if answered++; answered%2 == 0 {
				return nil, nil, false
			}
			res, _ := req.ResponseKind().(*kmsg.FetchResponse)
			res.ThrottleMillis = 700
			return res, nil, true
		})
		r := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 10)
		if text := w.log.String(); strings.Contains(text, "fetch fails") {
			t.Error("a throttled fetch is said to have failed")
		}
		if n := r.metric("convdel_fetch_failures_total"); n != 0 {
			t.Errorf("%v fetches failed", n)
		}
	})
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
