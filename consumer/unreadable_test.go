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
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

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
	event := func(delta int64, n int) []byte { return rawbatch.Plain(delta, eventValue(n), 0) }
	all := []hostile{
		{name: "an offset delta far beyond the end", batch: func() []byte {
			return rawbatch.Of(now(), rawbatch.Plain(1_000_000, []byte("x"), 0)).Bytes()
		}, letters: 1},
		{name: "an offset delta beyond later events", batch: func() []byte {
			return rawbatch.Of(now(), rawbatch.Plain(5, []byte("x"), 0)).Bytes()
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
	if n := r.metric("convdel_offset_resets_total"); n != 0 {
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
	if class := testkit.Header(l, schema.HeaderClass); class != string(schema.ClassUndecodable) {
		t.Errorf("class %q", class)
	}
	if h.covers != "" {
		var first, last int
		if _, err := fmt.Sscanf(h.covers, "%d-%d", &first, &last); err != nil {
			t.Fatal(err)
		}
		d, err := schema.ParseDeadLetter(testkit.Headers(l))
		if err != nil || d.Batch == nil || *d.Batch != (schema.Batch{First: int64(3 + first), Last: int64(3 + last)}) || string(l.Key) != fmt.Sprint(testTopic, "/0/", 3+first) {
			t.Errorf("letter %s of %+v, %v; want one of the batch's offsets %s", l.Key, d.Batch, err, h.covers)
		}
		if d.Omitted == nil && len(l.Value) < 61 {
			t.Errorf("the batch's bytes are not there: %d", len(l.Value))
		}
	}
	if h.omitted != "" && (!strings.Contains(testkit.Header(l, "dlt-omitted"), h.omitted) || len(l.Value) != 0) {
		t.Errorf("dlt-omitted says %q, want %q, and %d bytes of value", testkit.Header(l, "dlt-omitted"), h.omitted, len(l.Value))
	}
}
