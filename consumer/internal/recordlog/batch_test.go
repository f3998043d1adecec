package recordlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// reading is the expected result of reading a batch at 100: values by offset, and the fault, if any.
type reading struct {
	values      map[int64]string
	first, last int64 // offsets of the fault, 0 if there is none
	reason      string
	next        int64
}

// check compares a reading, and then reads again from behind the fault, as a consumer does. No record may come twice.
func (want reading) check(t *testing.T, f *Fetched) {
	t.Helper()
	list, err := delivered(t, f)
	got := make(map[int64]string)
	for _, r := range list {
		got[r.Offset] = string(r.Value)
	}
	if fmt.Sprint(got) != fmt.Sprint(want.values) {
		t.Errorf("delivered %.200q, want %.200q", fmt.Sprint(got), fmt.Sprint(want.values))
	}
	var fault *BatchError
	switch {
	case want.first == 0:
		if err != nil || f.Next != want.next {
			t.Errorf("next %d, %v; want %d", f.Next, err, want.next)
		}
	case !errors.As(err, &fault) || fault.First != want.first || fault.Last != want.last || fault.Reason != want.reason:
		t.Errorf("%+v; want a fault from %d to %d: %s", err, want.first, want.last, want.reason)
	case fault.Raw == nil || fault.Size != int64(len(fault.Raw)) || fault.SHA256 != sha256.Sum256(fault.Raw) || !bytes.HasPrefix(f.rest, fault.Raw):
		t.Errorf("the fault does not have the batch's own bytes: %d of %d", len(fault.Raw), fault.Size)
	}
}

// TestRecordOffsets: the offset that a record names counts only where the batch has holes.
func TestRecordOffsets(t *testing.T) {
	t.Parallel()
	three := map[int64]string{100: "a", 101: "b", 102: "c"}
	claim := func(offsets ...int64) *written {
		w := of(100, "a", "b", "c")
		for i, o := range offsets {
			w.records[i].offsetNumber = &o
		}
		return w
	}
	with := func(w *written, edit func(*written)) *written {
		edit(w)
		return w
	}
	tests := map[string]struct {
		batch *written
		want  reading
	}{
		"right":                  {of(100, "a", "b", "c"), reading{values: three, next: 103}},
		"far beyond":             {claim(1_000_000, 1_000_001, 1_000_002), reading{values: three, next: 103}},
		"five behind":            {claim(5, 5, 5), reading{values: three, next: 103}},
		"all the same":           {claim(0, 0, 0), reading{values: three, next: 103}},
		"backwards":              {claim(2, 1, 0), reading{values: three, next: 103}},
		"negative":               {claim(-1, -2_000_000, 0), reading{values: three, next: 103}},
		"compacted":              {with(claim(0, 4, 7), func(w *written) { w.lastDelta = new(int32(9)) }), reading{values: map[int64]string{100: "a", 104: "b", 107: "c"}, next: 110}},
		"compacted, twice":       {with(claim(0, 4, 4), func(w *written) { w.lastDelta = new(int32(9)) }), reading{map[int64]string{100: "a", 104: "b"}, 105, 109, ReasonMalformed, 0}},
		"compacted, backwards":   {with(claim(0, 4, 3), func(w *written) { w.lastDelta = new(int32(9)) }), reading{map[int64]string{100: "a", 104: "b"}, 105, 109, ReasonMalformed, 0}},
		"compacted, beyond":      {with(claim(0, 4, 10), func(w *written) { w.lastDelta = new(int32(9)) }), reading{map[int64]string{100: "a", 104: "b"}, 105, 109, ReasonMalformed, 0}},
		"compacted, no room":     {with(claim(0, 9, 9), func(w *written) { w.lastDelta = new(int32(9)) }), reading{map[int64]string{100: "a"}, 101, 109, ReasonMalformed, 0}},
		"emptied":                {with(of(100), func(w *written) { w.lastDelta = new(int32(9)) }), reading{next: 110}},
		"emptied, with data":     {with(of(100), func(w *written) { w.lastDelta, w.tail = new(int32(9)), []byte{0} }), reading{nil, 100, 109, ReasonMalformed, 0}},
		"more records than said": {with(of(100, "a", "b", "c"), func(w *written) { w.lastDelta, w.count = new(int32(1)), new(int32(2)) }), reading{map[int64]string{100: "a"}, 101, 101, ReasonMalformed, 0}},
		"one, and data":          {with(of(100, "a", "b", "c"), func(w *written) { w.lastDelta, w.count = new(int32(0)), new(int32(1)) }), reading{nil, 100, 100, ReasonMalformed, 0}},
		"fewer than said":        {with(of(100, "a", "b", "c"), func(w *written) { w.lastDelta, w.count = new(int32(4)), new(int32(5)) }), reading{three, 103, 104, ReasonMalformed, 0}},
		"more than offsets":      {with(of(100, "a", "b", "c"), func(w *written) { w.lastDelta = new(int32(1)) }), reading{nil, 100, 101, ReasonMalformed, 0}},
		"negative count":         {with(of(100, "a"), func(w *written) { w.count = new(int32(-1)) }), reading{nil, 100, 100, ReasonMalformed, 0}},
		"negative span":          {with(of(100, "a"), func(w *written) { w.lastDelta = new(int32(-3)) }), reading{nil, 100, 100, ReasonMalformed, 0}},
		"two billion":            {with(of(100, "a", "b", "c"), func(w *written) { w.lastDelta, w.count = new(int32(1<<31-2)), new(int32(1<<31-1)) }), reading{three, 103, 100 + 1<<31 - 2, ReasonMalformed, 0}},
		"wrong checksum":         {with(of(100, "a", "b", "c"), func(w *written) { w.WrongCRC = true }), reading{nil, 100, 102, ReasonCRC, 0}},
		"unknown codec":          {with(of(100, "a", "b", "c"), func(w *written) { w.Attributes = 5 }), reading{nil, 100, 102, ReasonCompression, 0}},
		"unknown format":         {with(of(100, "a", "b", "c"), func(w *written) { w.Magic = 3 }), reading{nil, 100, 100, ReasonMalformed, 0}},
		"negative length":        {with(of(100, "a", "b", "c"), func(w *written) { w.Length = new(int32(-8)) }), reading{nil, 100, 102, ReasonMalformed, 0}},
		"short length":           {with(of(100, "a", "b", "c"), func(w *written) { w.Length = new(int32(48)) }), reading{nil, 100, 102, ReasonMalformed, 0}},
		"long length":            {with(of(100, "a", "b", "c"), func(w *written) { w.Length = new(int32(1 << 30)) }), reading{nil, 100, 102, ReasonMalformed, 0}},
		"negative offset":        {with(of(-5, "a"), func(*written) {}), reading{nil, 100, 100, ReasonMalformed, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range packings() {
				if p.codec != codecNone && test.batch.Attributes != 0 {
					continue
				}
				w := *test.batch
				if name == "emptied" {
					p.pack = nil
				}
				w.codec(p.codec, p.pack)
				test.want.check(t, answered(new(Log), 100, w.bytes()))
				if t.Failed() {
					t.Fatal(p.name)
				}
			}
		})
	}
}

// TestFrom: no record below the offset asked for is delivered, and none twice.
func TestFrom(t *testing.T) {
	t.Parallel()
	sparse := of(110, "x", "y", "z")
	sparse.records[1].OffsetDelta, sparse.records[2].OffsetDelta, sparse.lastDelta = 4, 8, new(int32(9))
	log := join(of(100, "a", "b", "c"), of(103, "d"), sparse, of(120, "e"))
	all := []int64{100, 101, 102, 103, 110, 114, 118, 120}
	for from := int64(90); from < 125; from++ {
		f := answered(new(Log), from, log)
		list, err := delivered(t, f)
		var got, want []int64
		for _, r := range list {
			got = append(got, r.Offset)
		}
		for _, o := range all {
			if o >= from {
				want = append(want, o)
			}
		}
		if err != nil || !slices.Equal(got, want) || f.Next != max(from, 121) {
			t.Errorf("from %d: %v, next %d, %v; want %v", from, got, f.Next, err, want)
		}
	}
}

// TestEachGoesOn: after an error of do, the next Each continues with the record that was not accepted.
func TestEachGoesOn(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	for _, p := range packings() {
		f := answered(new(Log), 100, of(100, "a", "b", "c").codec(p.codec, p.pack).bytes(), of(103, "d").bytes())
		var got []int64
		for tries := 0; ; tries++ {
			once := true
			err := f.Each(0, func(r *Record) error {
				if !once {
					return full
				}
				once = false
				got = append(got, r.Offset)
				return nil
			})
			if err == nil {
				break
			}
			if !errors.Is(err, full) || tries > 10 {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, []int64{100, 101, 102, 103}) || f.Next != 104 {
			t.Errorf("%s: %v, next %d", p.name, got, f.Next)
		}
	}
}

// TestCut: brokers may cut an answer anywhere behind its first batch.
func TestCut(t *testing.T) {
	t.Parallel()
	first, second := of(100, "a", "b").bytes(), of(102, "c", "d").bytes()
	both := slices.Concat(first, second)
	for n := len(first); n < len(both); n++ {
		f := answered(new(Log), 100, both[:n])
		if list, err := delivered(t, f); err != nil || len(list) != 2 || f.Next != 102 {
			t.Fatalf("cut at %d: %d records, next %d, %v", n, len(list), f.Next, err)
		}
	}
	for n := 1; n < len(first); n++ {
		f := answered(new(Log), 100, both[:n])
		list, err := delivered(t, f)
		if fault, ok := errors.AsType[*BatchError](err); !ok || len(list) != 0 || fault.First != 100 || fault.Last < 100 || fault.Last > 101 {
			t.Fatalf("first one cut at %d: %v", n, err)
		}
	}
}

// TestBelieved: offsets that two batches claim belong to the later batch.
func TestBelieved(t *testing.T) {
	t.Parallel()
	w := of(100, "a")
	w.lastDelta = new(int32(50))
	f := answered(new(Log), 100, w.bytes(), of(101, "b", "c").bytes())
	list, err := delivered(t, f)
	if err != nil || len(list) != 3 || f.Next != 103 {
		t.Errorf("%d records, next %d, %v", len(list), f.Next, err)
	}
	f = answered(new(Log), 100, w.bytes())
	if f.HighWatermark = 120; f.Each(0, func(*Record) error { return nil }) != nil || f.Next != 120 {
		t.Errorf("next %d behind the end of the log", f.Next)
	}
	w.WrongCRC = true
	_, err = delivered(t, answered(new(Log), 100, w.bytes(), of(101, "b", "c").bytes()))
	if fault, ok := errors.AsType[*BatchError](err); !ok || fault.First != 100 || fault.Last != 100 {
		t.Error(err)
	}
}

// TestAnywhere: a record's or a batch's offset beyond the end of the log moves no reader there.
func TestAnywhere(t *testing.T) {
	t.Parallel()
	wrong := of(1<<60, "a")
	wrong.WrongCRC = true
	short := of(1<<60, "a")
	short.Length = new(int32(3))
	for _, w := range []*written{wrong, short} {
		f := answered(new(Log), 101, of(100, "a", "b").bytes(), w.bytes())
		f.HighWatermark = 110
		_, err := delivered(t, f)
		if fault, ok := errors.AsType[*BatchError](err); !ok || fault.First != 102 || fault.Last < 102 || fault.Last > 109 {
			t.Errorf("%+v", err)
		}
	}
}

// TestRolledBack: rolled-back records are marked as such, whatever they hold. Markers are not events.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	marker := func(base, producer int64, kind byte) *written {
		w := of(base, "")
		w.Attributes, w.Producer = controlBit|transactionBit, producer
		w.records[0].Key, w.records[0].Value = []byte{0, 0, 0, kind}, []byte{0, 0, 0, 0, 0, 0}
		return w
	}
	begun := func(base, producer int64, values ...string) *written {
		w := of(base, values...)
		w.Attributes, w.Producer = transactionBit, producer
		return w
	}
	bad := begun(104, 1, "e", "f")
	bad.records[0].Size = new(int64(0))
	f := answered(new(Log), 100, join(begun(100, 1, "a", "b"), begun(102, 2, "c"), of(103, "d"), bad, marker(106, 1, 0), begun(107, 1, "g"), marker(108, 2, 1), marker(109, 1, 1)))
	f.aborted = newAbortedSet(abortedBy(1, 100))
	list, err := delivered(t, f)
	var used []string
	for _, r := range list {
		if r.Use {
			used = append(used, string(r.Value))
		}
	}
	if err != nil || !slices.Equal(used, []string{"c", "d", "g"}) || f.Next != 110 {
		t.Errorf("%q, next %d, %v", used, f.Next, err)
	}
	if len(list) != 8 {
		t.Errorf("%d records, want 8 with those that are not to be used", len(list))
	}
}

// TestHeadIsWhole: a head that is cut short is not read beyond its bytes.
func TestHeadIsWhole(t *testing.T) {
	t.Parallel()
	b := of(100, "a").bytes()
	for n := range b {
		if h, err := readHead(b[:n]); (h == nil) != (n < afterMagic) || h == nil && err == nil {
			t.Errorf("%d bytes: %v, %v", n, h, err)
		}
	}
	binary.BigEndian.PutUint64(b, 1<<63-1)
	if h, err := readHead(b); err != nil || h.last != h.base {
		t.Errorf("the last offset there is: %+v, %v", h, err)
	}
}

// abortedBy returns a broker's list of one aborted transaction.
func abortedBy(producer, first int64) []kmsg.FetchResponseTopicPartitionAbortedTransaction {
	one := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
	one.ProducerID, one.FirstOffset = producer, first
	return []kmsg.FetchResponseTopicPartitionAbortedTransaction{one}
}
