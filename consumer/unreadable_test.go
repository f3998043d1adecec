package consumer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/rawbatch"
	"convdel/schema"
)

// send produces a batch byte for byte.
func (w *world) send(partition int32, batch []byte) {
	w.t.Helper()
	if err := rawbatch.Send(w.t.Context(), w.client, testTopic, partition, batch); err != nil {
		w.t.Fatal(err)
	}
}

func now() int64 { return time.Now().UnixMilli() }

// hostile is a batch that a broker takes, and what becomes of it.
type hostile struct {
	name  string
	batch func() []byte
	// events are those of its records that are to be deleted, letters how many dead letters there are to be, batch the offsets
	// that one of them stands for, counted from the batch's first.
	events  []int
	letters int
	covers  string
	omitted string // what dlt-omitted says, in part
}

func hostiles() []hostile {
	event := func(delta int64, n int) []byte { return rawbatch.Record(delta, eventValue(n), 0) }
	all := []hostile{
		{name: "an offset delta far beyond the end", batch: func() []byte {
			return rawbatch.Of(now(), rawbatch.Record(1_000_000, []byte("x"), 0)).Bytes()
		}, letters: 1},
		{name: "an offset delta beyond later events", batch: func() []byte {
			return rawbatch.Of(now(), rawbatch.Record(5, []byte("x"), 0)).Bytes()
		}, letters: 1},
		{name: "negative offset deltas", batch: func() []byte {
			return rawbatch.Of(now(), event(-3, 100), event(-2_000_000_000, 101)).Bytes()
		}, events: []int{100, 101}},
		{name: "three events that all say 0", batch: func() []byte {
			return rawbatch.Of(now(), event(0, 100), event(0, 101), event(0, 102)).Bytes()
		}, events: []int{100, 101, 102}},
		{name: "gzip and then zeros", batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), event(1, 101)).Compressed(rawbatch.Gzip)
			b.Records = append(b.Records, make([]byte, 8)...)
			return b.Bytes()
		}, events: []int{100, 101}},
		{name: "fewer records than it says", batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), event(1, 101), event(2, 102))
			b.Records = append(event(0, 100), event(1, 101)...)
			return b.Bytes()
		}, events: []int{100, 101}, letters: 1, covers: "2-2"},
		{name: "more records than it says", batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), event(1, 101))
			b.Records = append(b.Records, event(2, 102)...)
			return b.Bytes()
		}, events: []int{100}, letters: 1, covers: "1-1"},
		{name: "records that are none", batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), event(1, 101), event(2, 102))
			b.Records = append(event(0, 100), bytes.Repeat([]byte{0xff}, 40)...)
			return b.Bytes()
		}, events: []int{100}, letters: 1, covers: "1-2"},
		{name: "a large value", batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), nil, event(2, 102))
			b.Records = bytes.Join([][]byte{event(0, 100), rawbatch.Compress(rawbatch.None, rawbatch.LargeRecord(4<<20)), event(2, 102)}, nil)
			return b.Compressed(rawbatch.Zstd).Bytes()
		}, events: []int{100, 102}, letters: 1, omitted: "4194304 bytes"},
		{name: "headers without end", batch: func() []byte {
			b := rawbatch.Of(now(), nil, event(1, 101))
			b.Records = append(rawbatch.Compress(rawbatch.None, rawbatch.ManyHeaders(eventValue(100), 100_000)), event(1, 101)...)
			return b.Compressed(rawbatch.LZ4).Bytes()
		}, events: []int{101}, letters: 1, omitted: "header"},
	}
	for name, codec := range map[string]int16{"gzip": rawbatch.Gzip, "lz4": rawbatch.LZ4, "zstd": rawbatch.Zstd, "snappy": rawbatch.Snappy} {
		all = append(all, hostile{name: "what is no " + name, batch: func() []byte {
			b := rawbatch.Of(now(), event(0, 100), event(1, 101))
			b.Attributes |= codec
			return b.Bytes()
		}, letters: 1, covers: "0-1"})
	}
	for name, codec := range map[string]int16{"gzip": rawbatch.Gzip, "lz4": rawbatch.LZ4, "zstd": rawbatch.Zstd} {
		all = append(all, hostile{name: "a value beyond what a batch may have, in " + name, batch: func() []byte {
			b := rawbatch.Of(now(), nil)
			b.Attributes |= codec
			b.Records = rawbatch.Compress(codec, rawbatch.LargeRecord(16<<20))
			return b.Bytes()
		}, letters: 1, covers: "0-0"})
	}
	return all
}

// TestPromise1_WhateverAProducerWrites: no batch that a broker takes makes an event of another publisher vanish or wait, in its
// own partition or in another.
func TestPromise1_WhateverAProducerWrites(t *testing.T) {
	t.Parallel()
	for _, h := range hostiles() {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) { w.readHostile(h) })
		})
	}
}

func (w *world) readHostile(h hostile) {
	t := w.t
	setTopicConfig(t, w, testTopic, "max.message.bytes", "9000000")
	w.publish(0, eventValues(0, 3)...)
	w.send(0, h.batch())
	w.publish(0, eventValues(10, 13)...)
	w.publish(1, eventValues(20, 23)...)
	r := w.start(func(c *consumer.Config) { c.MaxBatchBytes, c.MaxRecordBytes = 8<<20, 1<<20 })
	w.awaitDrained(time.Minute)
	for _, from := range []int{0, 10, 20} {
		w.wantDeletedOnce(from, from+3)
	}
	for _, n := range h.events {
		w.wantDeletedOnce(n, n+1)
	}
	if n := len(w.api.made()); n != 9+len(h.events) {
		t.Errorf("%d calls, want %d", n, 9+len(h.events))
	}
	if n := r.counter("convdel_offset_resets_total"); n != 0 {
		t.Errorf("%v offset resets", n)
	}
	letters := w.deadLetters()
	if len(letters) != h.letters {
		t.Fatalf("%d dead letters, want %d", len(letters), h.letters)
	}
	if h.letters > 0 {
		w.checkHostileLetter(h, letters[0])
	}
}

func (w *world) checkHostileLetter(h hostile, l *kgo.Record) {
	t := w.t
	if class := header(l, schema.HeaderClass); class != string(schema.ClassUndecodable) {
		t.Errorf("class %q", class)
	}
	if h.covers != "" {
		var first, last int
		if _, err := fmt.Sscanf(h.covers, "%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
		d, err := schema.ParseDeadLetter(headersOf(l))
		if err != nil || d.Batch == nil || *d.Batch != (schema.Batch{First: int64(3 + first), Last: int64(3 + last)}) || string(l.Key) != fmt.Sprint(testTopic, "/0/", 3+first) {
			t.Errorf("letter %s of %+v, %v; want one of the batch's offsets %s", l.Key, d.Batch, err, h.covers)
		}
		if d.Omitted == nil && len(l.Value) < 61 {
			t.Errorf("the batch's bytes are not there: %d", len(l.Value))
		}
	}
	if h.omitted != "" && (!strings.Contains(header(l, "dlt-omitted"), h.omitted) || len(l.Value) != 0) {
		t.Errorf("dlt-omitted says %q, want %q, and %d bytes of value", header(l, "dlt-omitted"), h.omitted, len(l.Value))
	}
}

func headersOf(r *kgo.Record) []schema.Header {
	var all []schema.Header
	for _, h := range r.Headers {
		all = append(all, schema.Header{Key: h.Key, Value: h.Value})
	}
	return all
}

// TestPromise8_HeadersCount: headers take memory beside their bytes, so that events with many of them are few at a time.
func TestPromise8_HeadersCount(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		const events, headers = 60, 4000
		for n := range events {
			w.send(0, rawbatch.Of(now(), rawbatch.Record(0, eventValue(n), headers)).Bytes())
		}
		w.api.set(time.Minute, nil)
		w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 1 << 20 })
		time.Sleep(10 * time.Second)
		if n := len(w.api.made()); n == 0 || n > 1<<20/(64*headers) {
			t.Errorf("%d events of %d headers each are in flight in 1 MiB", n, headers)
		}
		w.api.set(time.Millisecond, nil)
		w.awaitDrained(5 * time.Minute)
		w.wantDeletedOnce(0, events)
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
		refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
		w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 64 << 10 })
		w.await(2*time.Minute, "every event deleted", func() bool { return w.deleted(0, 100) == 100 })
		if n := len(w.letterKeys()); n != 0 {
			t.Fatalf("%d dead letters that nobody took", n)
		}
		refused.Remove()
		w.awaitDrained(5 * time.Minute)
		for _, l := range w.deadLetters() {
			n := garbage[string(l.Key)]
			if !bytes.Equal(l.Value, n) || header(l, "n") != string(n[:1]) || header(l, schema.HeaderKey) != string(n[:1]) || header(l, "dlt-omitted") != "" {
				t.Errorf("letter %s: %d bytes, key %q, header n %q, omitted %q", l.Key, len(l.Value), header(l, schema.HeaderKey), header(l, "n"), header(l, "dlt-omitted"))
			}
			delete(garbage, string(l.Key))
		}
		if len(garbage) != 0 {
			t.Errorf("letters are missing: %d", len(garbage))
		}
	})
}

// TestPromise1_LettersOfRecordsThatAreGone: where retention removes a record while its letter waits for the dead-letter topic, the
// letter says what it lacks, and keeps the event.
func TestPromise1_LettersOfRecordsThatAreGone(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		value := fmt.Appendf(nil, `{"From_Account":"user1","Type":1,"To_Account":"friend","ClearRamble":1,"P":%q}`, strings.Repeat("x", 10_000))
		w.publish(0, value, bytes.Repeat([]byte("garbage "), 1000))
		w.api.set(time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
		w.start()
		time.Sleep(time.Minute)
		if err := w.kafka.DeleteRecords(testTopic, 0, 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // one that was being written in that moment waits again
		refused.Remove()
		w.awaitDrained(5 * time.Minute)
		for _, l := range w.deadLetters() {
			d, err := schema.ParseDeadLetter(headersOf(l))
			if err != nil || d.Omitted == nil || len(l.Value) != 0 || !strings.Contains(d.Omitted.Why, "gone") {
				t.Errorf("letter %s: omitted %+v, %d bytes, %v", l.Key, d.Omitted, len(l.Value), err)
				continue
			}
			if d.Offset != 0 {
				continue
			}
			sum := sha256.Sum256(value)
			e, err := schema.Decode(d.Event, nil)
			if err != nil || e.Conversation != conversation(1) || !e.ClearRamble || d.Omitted.Size != int64(len(value)) || d.Omitted.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("event %+v, %v; omitted %+v", e, err, d.Omitted)
			}
		}
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// TestPromise1_LettersTheTopicTakesOnlyInPart: a letter that the topic does not take in full is written compressed, then
// without its value, then with nothing but its own headers; it holds up nobody.
func TestPromise1_LettersTheTopicTakesOnlyInPart(t *testing.T) {
	t.Parallel()
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	event := fmt.Appendf(nil, `{"From_Account":"user1","Type":1,"To_Account":"friend","ClearRamble":0,"P":"%x"}`, noise(4000))
	for _, test := range []struct {
		name                string
		record              kgo.Record
		whole, event, keeps bool
	}{
		{"compressed", kgo.Record{Value: bytes.Repeat([]byte("garbage "), 5000)}, true, false, true},
		{"without its value", kgo.Record{Value: noise(5000), Key: []byte("key")}, false, false, true},
		{"without its value, but with its event", kgo.Record{Value: event, Key: []byte("key")}, false, true, true},
		{"with nothing", kgo.Record{Value: eventValue(1), Key: noise(3000)}, false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				setTopicConfig(t, w, testDLT, "max.message.bytes", "2000")
				w.api.set(time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if c.Conversation == conversation(1) {
						return verdict(consumer.Permanent, 50001)
					}
					return verdict(consumer.Deleted, 0)
				})
				record := test.record
				record.Topic, record.Headers = testTopic, []kgo.RecordHeader{{Key: "own", Value: []byte("1")}}
				w.produce(&record)
				w.publish(0, eventValues(10, 20)...)
				w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 8 << 10 })
				w.awaitDrained(time.Minute)
				w.wantDeletedOnce(10, 20)
				l := w.deadLetters()[0]
				d, err := schema.ParseDeadLetter(headersOf(l))
				if err != nil || (d.Omitted == nil) != test.whole || bytes.Equal(l.Value, record.Value) != test.whole {
					t.Errorf("omitted %+v, %d bytes, %v", d.Omitted, len(l.Value), err)
				}
				if (header(l, "own") == "1") != test.keeps || (d.Key != nil) != (test.keeps && record.Key != nil) {
					t.Errorf("headers %v", l.Headers)
				}
				if e, err := schema.Decode(d.Event, nil); (err == nil && e.Conversation == conversation(1)) != test.event {
					t.Errorf("event %+v, %v", e, err)
				}
			})
		})
	}
}

// TestReadyz_Standstill: a replica that has something to do and does nothing outside of a pause says so, and why.
func TestReadyz_Standstill(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start()
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("with nothing to do: %+v", s)
		}
		refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
		w.publish(0, []byte("garbage"))
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s == nil || !strings.Contains(s.Why, "1 dead letters are not written to their topic: [19]") {
			t.Errorf("with a letter that nobody takes: %+v", s)
		}
		refused.Remove()
		w.awaitDrained(time.Minute)
		broken := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.KafkaStorageError, Count: -1})
		w.publish(0, eventValue(20))
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s == nil || !strings.Contains(s.Why, "0 at offset 11: ") {
			t.Errorf("with a partition that can't be read: %+v", s)
		}
		broken.Remove()
		w.awaitDrained(time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("when all is done: %+v", s)
		}
		transactional := w.newClient(kgo.TransactionalID("upstream"), kgo.TransactionTimeout(10*time.Minute))
		defer transactional.Close()
		if err := transactional.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := transactional.ProduceSync(t.Context(), &kgo.Record{Topic: testTopic, Value: eventValue(30)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("behind an open transaction, where nothing can be read: %+v", s)
		}
		if err := transactional.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		w.awaitDrained(time.Minute)
	})
}

// TestReadyz_Absent: a replica that is no working member of the group says why.
func TestReadyz_Absent(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		away := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		r := w.start()
		time.Sleep(10 * time.Second)
		if s := r.Status(); s.Live || !strings.Contains(s.Absent, "offsets of the group not read") {
			t.Errorf("while the coordinator loads: %+v", s)
		}
		away.Remove()
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		time.Sleep(10 * time.Second)
		if s := r.Status(); s.Absent != "" {
			t.Errorf("as a working member: %+v", s)
		}
		if err := w.kafka.DeleteTopic(testTopic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if s := r.Status(); !strings.Contains(s.Absent, "topic events is not there") {
			t.Errorf("without the topic: %+v", s)
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
		if n := r.counter("convdel_fetch_failures_total"); n != 0 {
			t.Errorf("%v fetches failed", n)
		}
	})
}

// TestLogAppendTime: where the topic's records have the broker's time, the producer's clock says nothing about an event's age.
func TestLogAppendTime(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		b := rawbatch.Of(now()-(48*time.Hour).Milliseconds(), rawbatch.Record(0, eventValue(0), 0), rawbatch.Record(1, eventValue(1), 0))
		b.Attributes, b.MaxTime = rawbatch.LogAppendTime, now()
		w.publish(0, eventValue(0), eventValue(1)) // the embedded broker has no such topics: it is told what to answer
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			asked, _ := req.(*kmsg.FetchRequest)
			if asked.Topics[0].Topic != testTopic || asked.Topics[0].Partitions[0].FetchOffset != 0 {
				return nil, nil, false
			}
			res, _ := req.ResponseKind().(*kmsg.FetchResponse)
			topic, partition := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
			partition.HighWatermark, partition.LastStableOffset, partition.RecordBatches = 2, 2, b.Bytes()
			topic.Topic, topic.Partitions = testTopic, append(topic.Partitions, partition)
			res.Topics = append(res.Topics, topic)
			return res, nil, true
		})
		w.start(func(c *consumer.Config) { c.MaxEventAge = time.Hour })
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 2)
	})
}
