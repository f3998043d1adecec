package e2e

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

// most is the bound on a service's memory with default settings, in MiB. No input gets it over this.
const most = 200

// hostileBatches are batches that anybody may write to a topic that takes a megabyte. Each becomes as many dead letters as
// it has records.
func hostileBatches() map[string]func() []byte {
	value := func(n int) []byte {
		return fmt.Appendf(nil, `{"From_Account":"many-headers-%d","Type":1,"To_Account":"friend","ClearRamble":0}`, n)
	}
	all := map[string]func() []byte{
		"50 million headers": func() []byte {
			b := rawbatch.Of(time.Now().UnixMilli(), nil)
			b.Attributes, b.Records = rawbatch.Zstd, rawbatch.Compress(rawbatch.Zstd, rawbatch.ManyHeaders(value(0), 50_000_000))
			return b.Bytes()
		},
		"an offset beyond the end": func() []byte {
			return rawbatch.Of(time.Now().UnixMilli(), rawbatch.Plain(1_000_000, []byte("x"), 0)).Bytes()
		},
		"a record of 60 MiB": func() []byte { // just within a batch's bound
			b := rawbatch.Of(time.Now().UnixMilli(), nil)
			b.Attributes, b.Records = rawbatch.Zstd, rawbatch.Compress(rawbatch.Zstd, rawbatch.LargeRecord(60<<20))
			return b.Bytes()
		},
		"records of 7 MiB": func() []byte { // each record is within the bounds
			var records [][]byte
			for i := range 8 {
				records = append(records, rawbatch.Plain(int64(i), bytes.Repeat([]byte{byte(i)}, 7<<20), 0))
			}
			return rawbatch.Of(time.Now().UnixMilli(), records...).Compressed(rawbatch.Zstd).Bytes()
		},
	}
	for name, codec := range map[string]int16{"zstd": rawbatch.Zstd, "lz4": rawbatch.LZ4, "gzip": rawbatch.Gzip} {
		all["a value of 200 MiB in "+name] = func() []byte {
			b := rawbatch.Of(time.Now().UnixMilli(), nil)
			b.Attributes, b.Records = codec, rawbatch.Compress(codec, rawbatch.LargeRecord(200<<20))
			return b.Bytes()
		}
	}
	return all
}

// letterCounts are the numbers of dead letters of batches with more than one.
var letterCounts = map[string]int{"records of 7 MiB": 8}

// TestPromise8_NoInputTakesTheMemory writes batches that are small in the log and large in memory, to many partitions at
// once. The service's memory stays bounded, and other publishers' events are deleted.
func TestPromise8_NoInputTakesTheMemory(t *testing.T) {
	t.Parallel()
	const partitions, good = 8, 400
	s := newStage(t, partitions, imtest.Config{})
	limit := "8000000"
	if _, err := s.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, s.topic); err != nil {
		t.Fatal(err)
	}
	first := events("before", 0, good)
	s.produce(values(t, first)...)
	letters := 0
	for name, batch := range hostileBatches() {
		raw := batch()
		for p := range int32(partitions) {
			if err := rawbatch.Send(t.Context(), s.client, s.topic, p, raw); err != nil {
				t.Fatal(name, ": ", err)
			}
			letters += max(1, letterCounts[name])
		}
	}
	for p := range int32(partitions) { // events whose headers take far more memory than they have bytes
		for n := range 20 {
			value := fmt.Appendf(nil, `{"From_Account":"headers-%d-%d","Type":1,"To_Account":"friend","ClearRamble":0}`, p, n)
			if err := rawbatch.Send(t.Context(), s.client, s.topic, p, rawbatch.Of(time.Now().UnixMilli(), rawbatch.Plain(0, value, 40_000)).Bytes()); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := events("after", 0, good)
	s.produce(values(t, last)...)
	p := s.service()
	s.await(4*time.Minute, "every offset committed", s.drained)
	if peak := p.peakMiB(); peak > most {
		t.Errorf("the service took %.0f MiB, at most %d are allowed", peak, most)
	} else {
		t.Logf("peak %.0f MiB", peak)
	}
	p.stop()
	s.wantDeletedOf(first, last)
	if n := s.deletes(); len(n) != 2*good+20*partitions {
		t.Errorf("deletes for %d accounts, want %d", len(n), 2*good+20*partitions)
	}
	table := s.deadLetters()
	if len(table) != letters {
		t.Errorf("%d dead letters, want %d", len(table), letters)
	}
	for key, l := range table {
		if class := testkit.Header(l, schema.HeaderClass); class != string(schema.ClassUndecodable) {
			t.Errorf("dead letter %s: class %s, %s", key, class, testkit.Header(l, schema.HeaderError))
		}
	}
}

// wantDeletedOf checks that each event has had a delete.
func (s *stage) wantDeletedOf(lists ...[]schema.Event) {
	s.tb.Helper()
	deletes := s.deletes()
	for _, list := range lists {
		for _, e := range list {
			if deletes[e.From] != 1 {
				s.tb.Errorf("%s deleted %d times", e.From, deletes[e.From])
			}
		}
	}
}
