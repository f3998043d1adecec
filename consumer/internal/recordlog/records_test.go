package recordlog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

// TestRecordFaults: a batch ends at the first record that can't be read, and the records before it are delivered.
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

// TestFields: the fields of a record arrive as they were written, with every compression.
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
				if len(r.Key) > 0 { // the owner of a record may append to its key
					_ = append(r.Key, 0xff)
				}
			}
			if string(list[2].Value[:5]) != "xlong" {
				t.Error("appending to a key overwrites the value")
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

// TestTimes: the batch's attributes decide whether a time is the producer's or the broker's. A missing time is zero.
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

// TestOmitted: a record beyond the bounds comes without its value. The records behind it come whole.
func TestOmitted(t *testing.T) {
	t.Parallel()
	l := &Log{Bounds: Bounds{Batch: 1 << 20, Record: 1000}}
	big := bytes.Repeat([]byte("0123456789"), 10_000)
	many := make([]schema.Header, 20)
	for name, edit := range map[string]func(r *writtenRecord){
		"value":          func(r *writtenRecord) { r.Value = big },
		"just":           func(r *writtenRecord) { r.Value = big[:995] },
		"headers":        func(r *writtenRecord) { r.Headers = many },
		"header":         func(r *writtenRecord) { r.Headers = []schema.Header{{Key: "k", Value: big}} },
		"many headers":   func(r *writtenRecord) { r.Headers = make([]schema.Header, 100_000) },
		"key":            func(r *writtenRecord) { r.Key = big },
		"key that fits":  func(r *writtenRecord) { r.Key, r.Value = big[:1000], big },
		"key and a byte": func(r *writtenRecord) { r.Key = big[:1001] },
		"null value":     func(r *writtenRecord) { r.Value, r.Headers = nil, make([]schema.Header, 1000) },
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
			if key := w.records[1].Key; len(key) <= 1000 && !bytes.Equal(r.Key, key) || len(key) > 1000 && r.Key != nil {
				t.Errorf("%s, %s: key of %d bytes", name, p.name, len(r.Key))
			}
		}
	}
	w := of(100, "a", strings.Repeat("x", 900), "c")
	if list, err := delivered(t, answered(l, 100, w.bytes())); err != nil || len(list) != 3 || list[1].Omitted != nil {
		t.Errorf("a record within the bounds: %v", err)
	}
}

// TestTooLarge: the decompressed size of a batch is bounded, and the records before the bound are delivered.
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

// TestRoom: decoding names the memory that it needs before it allocates it. With so much room it continues at the same
// record.
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

// TestBehindTheLastRecord: data behind the last record that a decompressor can't read is no fault. More records are one.
func TestBehindTheLastRecord(t *testing.T) {
	t.Parallel()
	for _, p := range packings() {
		if p.codec == codecNone || p.name == "snappy" { // nothing can follow a block of Snappy
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
			continue // data behind a frame is not a part of it
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
