package recordlog

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

// reading is what reading a batch at 100 should come to: values by offset, and where it fails.
type reading struct {
	values      map[int64]string
	first, last int64 // of the fault, 0 if there is none
	reason      string
	next        int64
}

// check compares, and then asks once more from behind the fault, as a consumer does: nothing may come twice.
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
		t.Errorf("the fault has not the batch's own bytes: %d of %d", len(fault.Raw), fault.Size)
	}
}

// TestPlaces: what a record says of its own offset counts where the batch has holes, and nowhere else.
func TestPlaces(t *testing.T) {
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

// TestRecordFaults: a record that can't be read ends the batch there, and those before it are delivered.
func TestRecordFaults(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(r *writtenRecord){
		"no bytes":              func(r *writtenRecord) { r.Size = new(int64(0)) },
		"negative size":         func(r *writtenRecord) { r.Size = new(int64(-1)) },
		"size too small":        func(r *writtenRecord) { r.Size = new(int64(len(r.Body()) - 1)) },
		"size of two billion":   func(r *writtenRecord) { r.Size = new(int64(1<<31 - 1)) },
		"size of 40 bits":       func(r *writtenRecord) { r.Size = new(int64(1 << 39)) },
		"negative key":          func(r *writtenRecord) { r.KeySize = new(int64(-2)) },
		"key beyond":            func(r *writtenRecord) { r.KeySize = new(int64(100)) },
		"negative value":        func(r *writtenRecord) { r.ValueSize = new(int64(-7)) },
		"value beyond":          func(r *writtenRecord) { r.ValueSize = new(int64(1 << 30)) },
		"value too short":       func(r *writtenRecord) { r.ValueSize = new(int64(0)) },
		"negative headers":      func(r *writtenRecord) { r.HeaderCount = new(int64(-1)) },
		"headers beyond":        func(r *writtenRecord) { r.HeaderCount = new(int64(3)) },
		"two billion headers":   func(r *writtenRecord) { r.HeaderCount = new(int64(1<<31 - 1)) },
		"header without a key":  func(r *writtenRecord) { r.HeaderCount, r.Tail = new(int64(1)), []byte{1, 1, 0} },
		"header's value beyond": func(r *writtenRecord) { r.HeaderCount, r.Tail = new(int64(1)), []byte{0, 8, 0} },
		"data behind its end":   func(r *writtenRecord) { r.Tail = []byte{0} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range packings() {
				w := of(100, "a", "b", "c").codec(p.codec, p.pack)
				edit(&w.records[1])
				f := answered(new(Log), 100, w.bytes())
				list, err := delivered(t, f)
				fault, ok := errors.AsType[*BatchError](err)
				if !ok || fault.First != 101 || fault.Last != 102 || len(list) != 1 || list[0].Offset != 100 || f.Next != 101 {
					t.Errorf("%s: %v, %d records, next %d", p.name, err, len(list), f.Next)
				}
			}
		})
	}
}

// TestFields: what a record has arrives as it was, in all packings.
func TestFields(t *testing.T) {
	t.Parallel()
	w := of(100, "", "value", strings.Repeat("long ", 20_000))
	w.records[0].Key, w.records[0].Value = nil, nil
	w.records[1].Key = []byte{}
	w.records[1].Headers = []schema.Header{{Key: "", Value: nil}, {Key: "a", Value: []byte{}}, {Key: "a", Value: []byte("x")}}
	w.records[2].Key = []byte("key")
	w.records[2].Value = append([]byte("x"), w.records[2].Value...)
	for _, p := range packings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			w := *w
			w.codec(p.codec, p.pack)
			list, err := delivered(t, answered(new(Log), 100, w.bytes(), w.bytes()))
			if err != nil || len(list) != 3 {
				t.Fatalf("%d records, %v", len(list), err)
			}
			if list[0].Key != nil || list[0].Value != nil || list[1].Key == nil || list[1].Value == nil {
				t.Error("null and empty are mixed up")
			}
			for i, r := range list {
				if !bytes.Equal(r.Key, w.records[i].Key) || !bytes.Equal(r.Value, w.records[i].Value) || r.Epoch != 7 || !r.Use ||
					!r.Time.Equal(time.UnixMilli(w.BaseTime+int64(i))) {
					t.Errorf("record %d: %+v", i, r)
				}
				if len(r.Key) > 0 { // a holder may append to what it has
					_ = append(r.Key, 0xff)
				}
			}
			if string(list[2].Value[:5]) != "xlong" {
				t.Error("a value lies in the way of a key that grows")
			}
			if h := list[1].Headers; fmt.Sprintf("%#v", h) != fmt.Sprintf("%#v", w.records[1].Headers) {
				t.Errorf("headers %#v", h)
			}
			if want := int64(5 + 3*HeaderCost + 3); list[1].Size != want {
				t.Errorf("size %d, want %d", list[1].Size, want)
			}
		})
	}
}

// TestTimes: attributes decide whose time it is; none is none.
func TestTimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attributes         int16
		first, most, after int64
		want               int64
	}{
		"producer's":         {0, 1000, 5000, 17, 1017},
		"broker's":           {logAppendTime, 1000, 5000, 17, 5000},
		"none":               {0, -1, -1, 0, 0},
		"none of the broker": {logAppendTime, 1000, -1, 17, 0},
		"before the first":   {0, 1000, 5000, -17, 983},
	} {
		w := of(100, "a")
		w.Attributes, w.BaseTime, w.MaxTime, w.records[0].TimeDelta = test.attributes, test.first, test.most, test.after
		list, err := delivered(t, answered(new(Log), 100, w.bytes()))
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		if got := list[0].Time; test.want == 0 && !got.IsZero() || test.want != 0 && got.UnixMilli() != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestFrom: nothing below the offset asked for, and nothing twice.
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

// TestEachGoesOn: an Each that has ended with do's error goes on with the record that was not accepted.
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

// TestCut: brokers cut an answer anywhere behind its first batch.
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

// TestBelieved: offsets that a batch claims, and the next one has, are the next one's.
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

// TestAnywhere: an offset that lies beyond the end of the log leads nobody there.
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

// TestBehindTheLastRecord: what a decompressor stumbles over behind all records is no fault; records are.
func TestBehindTheLastRecord(t *testing.T) {
	t.Parallel()
	for _, p := range packings() {
		if p.codec == codecNone || p.name == "snappy" { // a block of Snappy has no end but its own
			continue
		}
		junk := []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		for n := range junk {
			w := of(100, "a", "b", "c").codec(p.codec, p.pack)
			w.afterwards = junk[:n]
			f := answered(new(Log), 100, w.bytes())
			if list, err := delivered(t, f); err != nil || len(list) != 3 || f.Next != 103 {
				t.Errorf("%s, %d bytes: %d records, next %d, %v", p.name, n, len(list), f.Next, err)
			}
		}
		if p.codec == codecLZ4 {
			continue // what is behind a frame is none of it
		}
		w := of(100, "a", "b", "c").codec(p.codec, p.pack)
		if w.afterwards = p.pack([]byte("more")); strings.HasPrefix(p.name, "xerial") {
			w.afterwards = w.afterwards[16:]
		}
		f := answered(new(Log), 100, w.bytes())
		list, err := delivered(t, f)
		if fault, ok := errors.AsType[*BatchError](err); !ok || fault.First != 102 || len(list) != 2 {
			t.Errorf("%s: %d records, %v", p.name, len(list), err)
		}
	}
}

// TestRolledBack: what was rolled back is said to be, whatever it is; markers are not events.
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

// TestOmitted: a record beyond the bounds comes without its value, and those behind it come as ever.
func TestOmitted(t *testing.T) {
	t.Parallel()
	l := &Log{Bounds: Bounds{Batch: 1 << 20, Record: 1000}}
	big := bytes.Repeat([]byte("0123456789"), 10_000)
	many := make([]schema.Header, 20)
	for name, edit := range map[string]func(r *writtenRecord){
		"value":        func(r *writtenRecord) { r.Value = big },
		"just":         func(r *writtenRecord) { r.Value = big[:995] },
		"headers":      func(r *writtenRecord) { r.Headers = many },
		"header":       func(r *writtenRecord) { r.Headers = []schema.Header{{Key: "k", Value: big}} },
		"many headers": func(r *writtenRecord) { r.Headers = make([]schema.Header, 100_000) },
		"key":          func(r *writtenRecord) { r.Key = big },
		"null value":   func(r *writtenRecord) { r.Value, r.Headers = nil, make([]schema.Header, 1000) },
	} {
		for _, p := range packings() {
			w := of(100, "a", "b", "c").codec(p.codec, p.pack)
			w.records[1].Key = []byte("key")
			edit(&w.records[1])
			f := answered(l, 100, w.bytes())
			list, err := delivered(t, f)
			if err != nil || len(list) != 3 || f.Next != 103 || list[0].Omitted != nil || list[2].Omitted != nil {
				t.Fatalf("%s, %s: %d records, %v", name, p.name, len(list), err)
			}
			r, value := list[1], w.records[1].Value
			if r.Omitted == nil || r.Value != nil || r.Headers != nil || r.Omitted.Size != int64(len(value)) || r.Omitted.SHA256 != sha256.Sum256(value) ||
				r.Omitted.Why == "" || r.Offset != 101 {
				t.Errorf("%s, %s: %+v", name, p.name, r)
			}
			if key := w.records[1].Key; len(key) < keptKey && !bytes.Equal(r.Key, key) || len(key) > keptKey && r.Key != nil {
				t.Errorf("%s, %s: key of %d bytes", name, p.name, len(r.Key))
			}
		}
	}
	w := of(100, "a", strings.Repeat("x", 900), "c")
	if list, err := delivered(t, answered(l, 100, w.bytes())); err != nil || len(list) != 3 || list[1].Omitted != nil {
		t.Errorf("a record within the bounds: %v", err)
	}
}

// TestTooLarge: what a batch decompresses to is bounded, and what comes before the bound is delivered.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	l := &Log{Bounds: Bounds{Batch: 10_000, Record: 1000}}
	var values []string
	for range 40 {
		values = append(values, strings.Repeat("v", 500))
	}
	for _, p := range packings() {
		list, err := delivered(t, answered(l, 100, of(100, values...).codec(p.codec, p.pack).bytes()))
		fault, ok := errors.AsType[*BatchError](err)
		if !ok || fault.Reason != ReasonTooLarge || fault.First != 100+int64(len(list)) || fault.Last != 139 || len(list) != 19 {
			t.Errorf("%s: %d records, %v", p.name, len(list), err)
		}
	}
}

// TestRoom: what decoding would take is said before it is taken, and with so much room it goes on where it was.
func TestRoom(t *testing.T) {
	t.Parallel()
	var values []string
	for i := range 30 {
		values = append(values, strings.Repeat(string(rune('a'+i)), 10<<(i%20)))
	}
	for _, p := range packings() {
		batch := of(100, values...).codec(p.codec, p.pack).bytes()
		f := answered(new(Log), 100, batch)
		room, steps := int64(1), 0
		var got []string
		for ; steps < 40; steps++ {
			err := f.Each(room, func(r *Record) error {
				got = append(got, string(r.Value))
				return nil
			})
			need, ok := errors.AsType[*NeedRoomError](err)
			if err == nil {
				break
			}
			if !ok || need.Bytes <= room || need.Bytes > new(Log).Bounds.Room(int32(len(batch))) {
				t.Fatalf("%s: %v with room for %d", p.name, err, room)
			}
			room = need.Bytes
		}
		if !slices.Equal(got, values) || steps == 0 || steps > 30 {
			t.Errorf("%s: %d records of %d, after %d attempts", p.name, len(got), len(values), steps)
		}
	}
}

// TestOldFormats: messages as brokers before 0.11 have kept them.
func TestOldFormats(t *testing.T) {
	t.Parallel()
	plain := func(magic byte, offset int64, value string) message {
		return message{offset: offset, magic: magic, time: 1000 + offset, value: []byte(value)}
	}
	v0 := func(offset int64, value string) message { return plain(0, offset, value) }
	v1 := func(offset int64, value string) message { return plain(1, offset, value) }
	abc := map[int64]string{100: "a", 101: "b", 102: "c"}
	type old struct {
		log  []byte
		want reading
	}
	tests := map[string]old{
		"v0":            {join(v0(100, "a"), v0(101, "b"), v0(102, "c")), reading{values: abc, next: 103}},
		"v1":            {join(v1(100, "a"), v1(101, "b"), v1(102, "c")), reading{values: abc, next: 103}},
		"mixed":         {join(v0(100, "a"), of(101, "b"), v1(102, "c")), reading{values: abc, next: 103}},
		"holes":         {join(v1(100, "a"), v1(107, "b")), reading{values: map[int64]string{100: "a", 107: "b"}, next: 108}},
		"checksum":      {join(v1(100, "a"), message{offset: 101, magic: 1, wrongCRC: true}, v1(102, "c")), reading{map[int64]string{100: "a"}, 101, 101, ReasonCRC, 0}},
		"short":         {join(v1(100, "a"), message{offset: 101, magic: 1, size: new(int32(3))}), reading{map[int64]string{100: "a"}, 101, 101, ReasonMalformed, 0}},
		"null set":      {join(message{offset: 101, magic: 1, attributes: 1}), reading{nil, 100, 101, ReasonMalformed, 0}},
		"unknown codec": {join(message{offset: 101, magic: 1, attributes: 7, value: []byte("x")}), reading{nil, 100, 101, ReasonCompression, 0}},
	}
	for _, p := range packings()[1:] {
		s := func(magic byte, last int64, inner ...message) []byte {
			return set(plain(magic, last, ""), byte(p.codec), p.pack, inner...).bytes()
		}
		for name, test := range map[string]old{
			"v0":             {s(0, 102, v0(100, "a"), v0(101, "b"), v0(102, "c")), reading{values: abc, next: 103}},
			"v1":             {s(1, 102, v1(0, "a"), v1(1, "b"), v1(2, "c")), reading{values: abc, next: 103}},
			"v1 compacted":   {s(1, 109, v1(0, "a"), v1(4, "b"), v1(9, "c")), reading{values: map[int64]string{100: "a", 104: "b", 109: "c"}, next: 110}},
			"v1 first gone":  {s(1, 109, v1(4, "b"), v1(9, "c")), reading{values: map[int64]string{104: "b", 109: "c"}, next: 110}},
			"v0 compacted":   {s(0, 109, v0(101, "a"), v0(104, "b"), v0(109, "c")), reading{values: map[int64]string{101: "a", 104: "b", 109: "c"}, next: 110}},
			"v0 asked later": {s(0, 102, v0(98, "y"), v0(99, "z"), v0(102, "c")), reading{values: map[int64]string{102: "c"}, next: 103}},
			"v1 backwards":   {s(1, 102, v1(0, "a"), v1(2, "b"), v1(1, "c")), reading{nil, 100, 102, ReasonMalformed, 0}},
			"v0 backwards":   {s(0, 102, v0(100, "a"), v0(102, "b"), v0(101, "c")), reading{map[int64]string{100: "a", 102: "b"}, 103, 103, ReasonMalformed, 0}},
			"v0 beyond":      {s(0, 102, v0(100, "a"), v0(103, "b")), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
			"empty":          {s(1, 102), reading{nil, 100, 102, ReasonMalformed, 0}},
			"formats mixed":  {s(1, 102, v0(0, "a")), reading{nil, 100, 102, ReasonMalformed, 0}},
			"inner checksum": {s(0, 102, v0(100, "a"), message{offset: 101, wrongCRC: true}), reading{map[int64]string{100: "a"}, 101, 102, ReasonCRC, 0}},
			"nested":         {s(1, 102, set(v1(0, ""), byte(p.codec), p.pack, v1(0, "a"))), reading{nil, 100, 102, ReasonMalformed, 0}},
			"cut":            {s(0, 102, v0(100, "a"), message{offset: 101, size: new(int32(1000))}), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
			"negative size":  {s(0, 102, v0(100, "a"), message{offset: 101, size: new(int32(-4))}), reading{map[int64]string{100: "a"}, 101, 102, ReasonMalformed, 0}},
		} {
			if name == "empty" && p.name != "gzip" {
				continue
			}
			tests[p.name+" "+name] = test
		}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.check(t, answered(new(Log), 100, test.log))
		})
	}
}

// TestOldFormatsInDetail: times, LZ4's wrong checksum, and messages beyond the bounds.
func TestOldFormatsInDetail(t *testing.T) {
	t.Parallel()
	kafkas := func(b []byte) []byte { // the checksum of the frame's head, which those producers get wrong
		out := packLZ4()(b)
		out[6] ^= 0x5a
		return out
	}
	list, err := delivered(t, answered(new(Log), 100, set(message{offset: 100}, codecLZ4, kafkas, message{offset: 100, value: []byte("a")}).bytes()))
	if err != nil || len(list) != 1 || !list[0].Time.IsZero() || list[0].Epoch != NoEpoch {
		t.Errorf("LZ4 of format 0: %d records, %v", len(list), err)
	}
	inner := message{magic: 1, time: 1000, key: []byte("key"), value: bytes.Repeat([]byte("v"), 5000)}
	for attributes, want := range map[byte]int64{0: 1000, logAppendTime: 7000} {
		outer := set(message{offset: 100, magic: 1, time: 7000, attributes: attributes}, codecGzip, packGzip, inner)
		for _, bound := range []int64{0, 1000} {
			list, err := delivered(t, answered(&Log{Bounds: Bounds{Record: bound}}, 100, outer.bytes()))
			if err != nil || len(list) != 1 || list[0].Time.UnixMilli() != want || string(list[0].Key) != "key" {
				t.Fatalf("bound %d: %d records, %v", bound, len(list), err)
			}
			if o := list[0].Omitted; (o != nil) != (bound > 0) || o != nil && (o.Size != 5000 || o.SHA256 != sha256.Sum256(inner.value)) {
				t.Errorf("bound %d: omitted %+v", bound, o)
			}
		}
	}
	inner.offset = 100
	list, err = delivered(t, answered(&Log{Bounds: Bounds{Record: 1000}}, 100, inner.bytes()))
	if err != nil || len(list) != 1 || list[0].Omitted == nil || list[0].Omitted.Size != 5000 || list[0].Value != nil || string(list[0].Key) != "key" {
		t.Errorf("not compressed: %+v, %v", list, err)
	}
}

// TestHeadIsWhole: no head is read beyond its bytes.
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
