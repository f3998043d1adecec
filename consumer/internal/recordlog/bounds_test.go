package recordlog

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"convdel/schema"
)

// zeros makes a zstd frame with a window of 2^log bytes. The frame decompresses to its input with n zeros in place of the
// bar.
func zeros(log byte, n int) func([]byte) []byte {
	const block, raw, run, least = 128 << 10, 0, 1, 10
	return func(b []byte) []byte {
		at := bytes.Index(b, []byte("|"))
		out := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (log - least) << 3}
		add := func(kind, size int, last bool, data []byte) {
			head := size<<3 | kind<<1
			if last {
				head |= 1
			}
			out = append(append(out, byte(head), byte(head>>8), byte(head>>16)), data...)
		}
		add(raw, at, false, b[:at])
		for left := n; left > 0; left -= block {
			add(run, min(left, block), false, []byte{0})
		}
		add(raw, len(b)-at-1, true, b[at+1:])
		return out
	}
}

// expanded puts n zeros in place of the bar, and compresses the result.
func expanded(n int, pack func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		at := bytes.Index(b, []byte("|"))
		all := append(append(append(make([]byte, 0, len(b)+n), b[:at]...), make([]byte, n)...), b[at+1:]...)
		if pack == nil {
			return all
		}
		return pack(all)
	}
}

// blown is a batch of three records. The middle one has a value of n bytes, or n/2 empty headers.
func blown(n int, headers bool) *written {
	w := of(100, "a", "|", "c")
	r := &w.records[1]
	size := int64(n)
	if headers {
		r.Value, r.HeaderCount, r.Tail = []byte("value"), new(size/2), []byte("|")
	} else {
		r.ValueSize = &size
	}
	r.Size = new(int64(len(r.Body())-1) + size)
	return w
}

// TestHostileMemory: however large a small batch becomes, reading it takes no more memory than the bounds allow, and the
// records before the fault are delivered.
//
//nolint:paralleltest // it counts what the process allocates
func TestHostileMemory(t *testing.T) {
	l := &Log{Bounds: Bounds{Batch: 8 << 20, Record: 1 << 20}}
	list := packings()
	for _, log := range []byte{17, 21, 23, 24, 27, 31} {
		list = append(list, packing{"zstd zeros", codecZstd, func(b []byte) []byte { return zeros(log, 0)(b) }})
	}
	for _, p := range list {
		for _, n := range []int{2 << 20, 6 << 20, 20 << 20} {
			for _, headers := range []bool{false, true} {
				w := blown(n, headers).codec(p.codec, expanded(n, p.pack))
				if p.name == "zstd zeros" {
					w.pack = zeros(p.pack([]byte("|"))[5]>>3+10, n)
				}
				if p.codec == codecNone && n > 6<<20 || p.name == "xerial, small blocks" { // they take long to write
					continue
				}
				hostile(t, l, p.name, w.bytes(), n, headers)
			}
		}
	}
}

func hostile(t *testing.T, l *Log, name string, batch []byte, n int, headers bool) {
	t.Helper()
	for _, room := range []int64{0, int64(len(batch)) + 512<<10, int64(len(batch)) + 6<<20} {
		f := answered(l, 100, batch)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var got []*Record
		err := f.Each(room, func(r *Record) error {
			got = append(got, r)
			return nil
		})
		runtime.ReadMemStats(&after)
		took := int64(after.TotalAlloc - before.TotalAlloc)
		if most := l.Bounds.Room(0); took > most || room > 0 && took > 2*room {
			t.Errorf("%s, %d bytes, room %d: allocated %d, bound %d", name, n, room, took, most)
		}
		need, poor := errors.AsType[*NeedRoomError](err)
		if poor && room > 0 && need.Bytes > room && need.Bytes <= l.Bounds.Room(1<<20)+int64(len(batch)) {
			continue
		}
		switch fault, bad := errors.AsType[*BatchError](err); {
		case n > int(l.Bounds.Batch):
			if !bad || fault.Reason != ReasonTooLarge || fault.First > 101 || fault.Last != 102 || len(got) != int(fault.First)-100 {
				t.Errorf("%s, %d bytes, room %d: %d records, %v", name, n, room, len(got), err)
			}
		case err != nil || len(got) != 3 || got[1].Omitted == nil || headers == (got[1].Omitted.Size == int64(n)):
			t.Errorf("%s, %d bytes, room %d: %d records, %v", name, n, room, len(got), err)
		}
	}
}

// TestDeclared: a size that is only declared takes no memory.
//
//nolint:paralleltest // it counts what the process allocates
func TestDeclared(t *testing.T) {
	const huge = 1<<31 - 1
	for name, edit := range map[string]func(w *written){
		"size":        func(w *written) { w.records[1].Size = new(int64(huge)) },
		"size in it":  func(w *written) { w.records[1].Size = new(int64(7 << 20)) },
		"key":         func(w *written) { w.records[1].KeySize = new(int64(huge)) },
		"value":       func(w *written) { w.records[1].ValueSize = new(int64(huge)) },
		"headers":     func(w *written) { w.records[1].HeaderCount = new(int64(huge)) },
		"records":     func(w *written) { w.count, w.lastDelta = new(int32(huge)), new(int32(huge-1)) },
		"many little": func(w *written) { w.records[1].Headers = make([]schema.Header, 40_000) },
	} {
		for _, p := range packings() {
			w := of(100, "a", "b", "c").codec(p.codec, p.pack)
			edit(w)
			f := answered(new(Log), 100, w.bytes())
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := f.Each(0, func(*Record) error { return nil })
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 || (err == nil) != (name == "many little") {
				t.Errorf("%s, %s: allocated %d, %v", name, p.name, took, err)
			}
		}
	}
}

// TestLinkedBlocks: blocks of LZ4 may refer to earlier ones.
func TestLinkedBlocks(t *testing.T) {
	t.Parallel()
	data := []byte("abcdefgh")
	frame := []byte{0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0}
	frame = append(frame, 8, 0, 0, 0x80)
	frame = append(frame, data...)
	for range 20_000 { // four bytes repeated from eight bytes before, and five new ones
		frame = append(frame, 9, 0, 0, 0, 0x00, 8, 0, 0x50, 'v', 'w', 'x', 'y', 'z')
	}
	frame = append(frame, 0, 0, 0, 0)
	want := bytes.Clone(data)
	for range 20_000 {
		at := len(want) - 8
		want = append(append(want, want[at:at+4]...), "vwxyz"...)
	}
	r := &reader{Fetched: answered(new(Log), 0), pool: new(decoders)}
	src, err := r.open(codecLZ4, frame, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close(src)
	if got, err := src.gather(int64(len(want))); err != nil || !bytes.Equal(got, want) || src.more() {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestDecodersAreKept: a log keeps a few decoders and buffers, even if it has needed many at once.
func TestDecodersAreKept(t *testing.T) {
	t.Parallel()
	var pool decoders
	for range 5 {
		for _, size := range []int64{1 << 10, 300 << 10, 100 << 10, 2 << 20} {
			pool.put(make([]byte, 0, size))
		}
	}
	if len(pool.buffers) != kept || cap(pool.buffers[0]) > keptSize || cap(pool.buffers[0])+cap(pool.buffers[1]) < 600<<10 {
		t.Errorf("%d buffers", len(pool.buffers))
	}
	if b := pool.buffer(200 << 10); len(b) != 0 || cap(b) != 200<<10 || len(pool.buffers) != kept-1 {
		t.Errorf("a buffer of %d bytes, %d left", cap(b), len(pool.buffers))
	}
}
