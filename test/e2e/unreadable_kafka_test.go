//go:build kafka

package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

// hostile is a batch between events, with its expected result.
type hostile struct {
	name  string
	batch rawbatch.Batch
	// refused says that Kafka refuses the batch.
	refused bool
	// events are the accounts of its records that are to be deleted. letters are the offsets of its dead letters, relative
	// to its first offset.
	events  []int
	letters []int64
	// omitted is the expected dlt-omitted. whole says that one dead letter stands for the whole batch.
	omitted string
	whole   bool
}

// hostiles are batches of all kinds. Kafka checks batches more strictly than kfake, and refuses some.
func hostiles() []hostile {
	at := time.Now().UnixMilli()
	value := func(n int) []byte {
		return fmt.Appendf(nil, `{"From_Account":"hostile-%d","Type":1,"To_Account":"friend","ClearRamble":0}`, n)
	}
	event := func(delta int64, n int) []byte { return rawbatch.Plain(delta, value(n), 0) }
	of := func(records ...[]byte) rawbatch.Batch { return rawbatch.Of(at, records...) }
	with := func(b rawbatch.Batch, change func(*rawbatch.Batch)) rawbatch.Batch {
		change(&b)
		return b
	}
	all := []hostile{
		{name: "an offset delta far beyond the end", batch: of(event(1_000_000, 0)), events: []int{0}},
		{name: "an offset delta beyond later events", batch: of(event(5, 10)), events: []int{10}},
		{name: "negative offset deltas", batch: of(event(-3, 20), event(-2_000_000_000, 21)), events: []int{20, 21}},
		{name: "three events that all say 0", batch: of(event(0, 30), event(0, 31), event(0, 32)), events: []int{30, 31, 32}},
		{name: "descending offset deltas", batch: of(event(2, 40), event(1, 41), event(0, 42)), events: []int{40, 41, 42}},
		{name: "three events that all say 0, compressed", batch: of(event(0, 45), event(0, 46), event(0, 47)).Compressed(rawbatch.Zstd), refused: true},
		{name: "gzip and then zeros", batch: with(of(event(0, 50), event(1, 51)).Compressed(rawbatch.Gzip), func(b *rawbatch.Batch) {
			b.Records = append(b.Records, make([]byte, 8)...)
		}), events: []int{50, 51}},
		{name: "fewer records than it says", batch: with(of(event(0, 60), event(1, 61), event(2, 62)), func(b *rawbatch.Batch) {
			b.Records = append(event(0, 60), event(1, 61)...)
		}), refused: true},
		{name: "more records than it says", batch: with(of(event(0, 70), event(1, 71)), func(b *rawbatch.Batch) {
			b.Records = append(b.Records, event(2, 72)...)
		}), refused: true},
		{name: "more records than it says, compressed", batch: with(of(event(0, 80), event(1, 81), event(2, 82)).Compressed(rawbatch.Zstd), func(b *rawbatch.Batch) {
			b.LastOffsetDelta, b.Count = 1, 2
		}), refused: true},
		{name: "a count that is not what its deltas span", batch: with(of(event(0, 90), event(1, 91)), func(b *rawbatch.Batch) {
			b.LastOffsetDelta = 1000
		}), refused: true},
		{name: "records that are none", batch: with(of(event(0, 100), event(1, 101), event(2, 102)), func(b *rawbatch.Batch) {
			b.Records = append(event(0, 100), bytes.Repeat([]byte{0xff}, 40)...)
		}), refused: true},
		{name: "a large value", batch: with(of(nil, event(1, 111), event(2, 112)), func(b *rawbatch.Batch) {
			b.Records = slices.Concat(rawbatch.Compress(rawbatch.None, rawbatch.LargeRecord(20<<20)), event(1, 111), event(2, 112))
		}).Compressed(rawbatch.Zstd), events: []int{111, 112}, letters: []int64{0}, omitted: "20971520 bytes"},
		{name: "headers without end", batch: with(of(nil, event(1, 121)), func(b *rawbatch.Batch) {
			b.Records = append(rawbatch.Compress(rawbatch.None, rawbatch.ManyHeaders(value(120), 1_000_000)), event(1, 121)...)
		}).Compressed(rawbatch.LZ4), events: []int{121}, letters: []int64{0}, omitted: "header"},
		{name: "a batch that says to have the broker's time", batch: with(of(event(0, 130)), func(b *rawbatch.Batch) {
			b.Attributes |= rawbatch.LogAppendTime
		}), events: []int{130}},
	}
	for codec, name := range map[int16]string{rawbatch.Gzip: "gzip", rawbatch.LZ4: "lz4", rawbatch.Zstd: "zstd", rawbatch.Snappy: "snappy"} {
		all = append(all, hostile{name: "what is no " + name, batch: with(of(event(0, 0), event(1, 0)), func(b *rawbatch.Batch) {
			b.Attributes |= codec
		}), refused: true})
	}
	for codec, name := range map[int16]string{rawbatch.Gzip: "gzip", rawbatch.LZ4: "lz4", rawbatch.Zstd: "zstd"} {
		all = append(all, hostile{name: "a value beyond what a batch may have, in " + name, batch: with(of(nil), func(b *rawbatch.Batch) {
			b.Attributes, b.Records = codec, rawbatch.Compress(codec, rawbatch.LargeRecord(200<<20))
		}), letters: []int64{0}, whole: true})
	}
	return all
}

// TestPromise1_KafkaWhateverAProducerWrites: whatever batch Kafka accepts, no event of another publisher gets lost or waits
// for it, and the batch's records are read as they are. Each batch is in a partition of its own, between events.
func TestPromise1_KafkaWhateverAProducerWrites(t *testing.T) {
	t.Parallel()
	kinds := hostiles()
	s := newStage(t, int32(len(kinds)), imtest.Config{})
	s.configure(s.topic, "max.message.bytes", "9000000")
	first := events("before", 0, 3*len(kinds))
	s.produce(values(t, first)...)
	want := len(first)
	for p, kind := range kinds {
		err := rawbatch.Send(t.Context(), s.client, s.topic, int32(p), kind.batch.Bytes())
		if (err != nil) != kind.refused {
			t.Errorf("%s: %v, refused %t", kind.name, err, kind.refused)
		}
		want += len(kind.events)
	}
	last := events("after", 0, 3*len(kinds))
	s.produce(values(t, last)...)
	want += len(last)

	admin := freeAddr(t)
	p := s.service("--admin-addr", admin)
	s.await(2*time.Minute, "every offset committed", s.drained)
	if got := linesWith(page(t, "http://"+admin+"/metrics"), "convdel_offset_resets_total 0\n"); got == "" {
		t.Error("offsets were reset")
	}
	p.stop()
	s.wantDeletedOf(first, last)
	if n := len(s.deletes()); n != want {
		t.Errorf("deletes for %d accounts, want %d", n, want)
	}
	letters := 0
	table := s.deadLetters()
	for partition, kind := range kinds {
		for _, n := range kind.events {
			if account := fmt.Sprint("hostile-", n); s.deletes()[account] != 1 {
				t.Errorf("%s: %s deleted %d times", kind.name, account, s.deletes()[account])
			}
		}
		letters += len(kind.letters)
		for _, offset := range kind.letters {
			l := table[schema.DeadLetter{Topic: s.topic, Partition: partition, Offset: 3 + offset}.ID()]
			if l == nil {
				t.Errorf("%s: no dead letter of its record %d", kind.name, offset)
				continue
			}
			kind.wantLetter(t, l)
		}
	}
	if len(table) != letters {
		t.Errorf("%d dead letters, want %d: %v", len(table), letters, sortedKeys(table))
	}
}

func (h *hostile) wantLetter(t *testing.T, l *kgo.Record) {
	t.Helper()
	class, batch, omitted := testkit.Header(l, schema.HeaderClass), testkit.Header(l, schema.HeaderBatch), testkit.Header(l, schema.HeaderOmitted)
	if class != string(schema.ClassUndecodable) || !strings.Contains(omitted, h.omitted) || (h.omitted != "") != (len(l.Value) == 0) {
		t.Errorf("%s: letter of class %s, omitted %q, %d bytes", h.name, class, omitted, len(l.Value))
	}
	offset := testkit.Header(l, schema.HeaderOffset)
	if want := offset + "-" + offset; h.whole && (batch != want || !bytes.Contains(l.Value, h.batch.Records)) || !h.whole && batch != "" {
		t.Errorf("%s: the letter stands for batch %q and has %d bytes", h.name, batch, len(l.Value))
	}
}
