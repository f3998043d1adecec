package recordlog

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"convdel/schema"
)

// modelled is the expected result of reading a log, computed by a decoder that holds everything at once.
type modelled struct {
	records []*Record
	// faults are the ranges of offsets that can't be read.
	faults [][2]int64
	next   int64
	// last says that no batch follows.
	last bool
}

// model reads batches of format 2, in the order of their offsets, like a consumer that steps over faults.
func model(from, end int64, bounds Bounds, batches [][]byte) modelled {
	m := modelled{next: from}
	for i, b := range batches {
		if i+1 < len(batches) {
			m.batch(bounds, b, int64(binary.BigEndian.Uint64(batches[i+1])))
		} else {
			m.last = true
			m.batch(bounds, b, end)
		}
	}
	return m
}

func (m *modelled) fault(first, last int64) {
	first = max(first, m.next)
	last = max(first, last)
	m.faults = append(m.faults, [2]int64{first, last})
	m.next = last + 1
}

// batch reads one batch. end is the first offset of the next one.
func (m *modelled) batch(bounds Bounds, b []byte, end int64) {
	var head kmsg.RecordBatch
	if err := head.ReadFrom(b); err != nil {
		panic(err) // the generator's batches have the right length
	}
	last := min(end-1, head.FirstOffset+max(0, int64(head.LastOffsetDelta)))
	if head.Magic != 2 {
		if last = head.FirstOffset; !m.last {
			last = end - 1
		}
		m.fault(head.FirstOffset, last)
		return
	}
	if crc32.Checksum(b[crcFrom:], crc32.MakeTable(crc32.Castagnoli)) != uint32(head.CRC) {
		m.fault(head.FirstOffset, last)
		return
	}
	if last < m.next {
		return
	}
	count, span, has := int64(head.NumRecords), int64(head.LastOffsetDelta)+1, last-head.FirstOffset+1
	data, broken := unpack(int(head.Attributes&codecMask), b[batchHead:], bounds.Batch+1)
	if count < 0 || span < 1 || count > has || broken && len(data) == 0 && count > 0 || count == 0 && len(data) > 0 {
		m.fault(head.FirstOffset, last)
		return
	}
	at, before, dense := 0, int64(-1), count == span
	for i := range count {
		rec, size, placed, ok := naive(data[at:], &head, bounds)
		delta := rec.Offset
		if dense {
			delta = i
		}
		if below := head.FirstOffset+delta < m.next; below { // records below the position need not be right
			ok = size > 0 && (dense || placed)
		}
		at += size
		if !ok || int64(at) > bounds.Batch || delta <= before || delta > has-1-(count-1-i) || i == count-1 && at < len(data) {
			m.fault(head.FirstOffset+before+1, last)
			return
		}
		before = delta
		if rec.Offset = head.FirstOffset + delta; rec.Offset >= m.next {
			m.records = append(m.records, rec)
			m.next = rec.Offset + 1
		}
	}
	m.next = max(m.next, last+1)
}

// unpack decompresses b, up to most bytes.
func unpack(codec int, b []byte, most int64) (data []byte, broken bool) {
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch codec {
	case codecNone:
	case codecGzip:
		r, err = gzip.NewReader(r)
	case codecSnappy:
		if rest, ok := bytes.CutPrefix(b, []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")); ok {
			for len(rest) > 0 && int64(len(data)) < most {
				if len(rest) < 4 || int64(binary.BigEndian.Uint32(rest)) > int64(len(rest)-4) {
					return data, true
				}
				n := binary.BigEndian.Uint32(rest)
				piece, err := snappy.Decode(nil, rest[4:4+n])
				if err != nil {
					return data, true
				}
				data, rest = append(data, piece...), rest[4+n:]
			}
			return data, false
		}
		var all []byte
		all, err = snappy.Decode(nil, b)
		r = bytes.NewReader(all)
	case codecLZ4:
		r = lz4.NewReader(r)
	case codecZstd:
		r, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
	default:
		return nil, true
	}
	if err != nil {
		return nil, true
	}
	data, err = io.ReadAll(io.LimitReader(r, most))
	return data, err != nil
}

// naive reads one record and returns its size in bytes. placed says that the record's own offset could be read.
func naive(b []byte, head *kmsg.RecordBatch, bounds Bounds) (rec *Record, size int, placed, ok bool) {
	rec = &Record{Epoch: head.PartitionLeaderEpoch, Use: true}
	at := 0
	number := func(bits int) int64 {
		n, took := binary.Varint(b[at:])
		if took <= 0 || bits == 32 && n != int64(int32(n)) {
			panic(io.ErrUnexpectedEOF)
		}
		at += took
		return n
	}
	field := func() []byte {
		n := number(32)
		if n < -1 || n > int64(len(b)-at) {
			panic(io.ErrUnexpectedEOF)
		}
		if n < 0 {
			return nil
		}
		f := b[at : at+int(n) : at+int(n)]
		at += int(n)
		return f
	}
	defer func() {
		if recover() != nil { // anything out of range
			ok = false
		}
	}()
	length := number(32)
	end := at + int(length)
	if length < 1 || end > len(b) {
		return rec, 0, false, false
	}
	size, b = end, b[:end]
	at++
	after := number(64)
	rec.Offset = number(32)
	placed = true
	rec.Key, rec.Value = field(), field()
	headers := number(32)
	switch {
	case headers < 0 || headers*2 > int64(len(b)-at):
		return rec, size, placed, false
	case length+headers*HeaderCost > bounds.Record:
		rec.Omitted = &Omitted{Size: int64(len(rec.Value)), SHA256: sha256.Sum256(rec.Value)}
		if rec.Value = nil; int64(len(rec.Key)) > bounds.Record {
			rec.Key = nil
		}
		at = end
	default:
		for range headers {
			key, value := field(), field()
			if key == nil {
				return rec, size, placed, false
			}
			rec.Headers = append(rec.Headers, schema.Header{Key: string(key), Value: value})
		}
	}
	if rec.Time = timeOf(head.FirstTimestamp + after); head.Attributes&logAppendTime != 0 {
		rec.Time = timeOf(head.MaxTimestamp)
	}
	return rec, size, placed, at == end
}

// followed reads a log like a consumer: it steps over faults, and each fetch begins with the batch that has the offset. It
// fails the test if that takes too many steps.
func followed(t interface{ Fatalf(string, ...any) }, l *Log, from, end int64, batches [][]byte) modelled {
	m := modelled{next: from}
	for range 4*len(batches) + 4 {
		f := answered(l, m.next, batches...)
		f.HighWatermark = end
		err := f.Each(0, func(r *Record) error {
			m.records = append(m.records, r)
			return nil
		})
		fault, ok := errors.AsType[*BatchError](err)
		if err == nil {
			if f.Next < m.next {
				t.Fatalf("next %d after %d", f.Next, m.next)
			}
			m.next = f.Next
			return m
		}
		if !ok || fault.First < m.next || fault.Last < fault.First || fault.Last > max(end, fault.First) || fault.First < f.Next || fault.Size == 0 {
			t.Fatalf("from %d: %v", m.next, err)
		}
		m.faults = append(m.faults, [2]int64{fault.First, fault.Last})
		if m.next = fault.Last + 1; m.next >= end {
			return m // nothing is left to ask for
		}
		for len(batches) > 0 && !bytes.HasPrefix(f.rest, batches[0]) {
			batches = batches[1:]
		}
		if len(batches) > 0 && lastOf(batches) < m.next {
			batches = batches[1:]
		}
	}
	t.Fatalf("it does not end, at %d", m.next)
	return m
}

// lastOf returns the last offset of the first batch, as a broker computes it.
func lastOf(batches [][]byte) int64 {
	head, _ := readHead(batches[0])
	if head == nil {
		return -1
	}
	if len(batches) > 1 {
		if next, _ := readHead(batches[1]); next != nil && next.base > head.base {
			return min(head.last, next.base-1)
		}
	}
	return head.last
}

func show(m modelled) string {
	var b bytes.Buffer
	for _, r := range m.records {
		c := *r
		c.Size = 0
		if c.Omitted != nil {
			c.Omitted = &Omitted{Size: r.Omitted.Size, SHA256: r.Omitted.SHA256}
			fmt.Fprintf(&b, "%v ", *c.Omitted)
			c.Omitted = nil
		}
		fmt.Fprintf(&b, "%d %d %d %v %q/%v %q/%v %q\n", c.Offset, c.Time.UnixMilli(), c.Epoch, c.Use, c.Key, c.Key == nil, c.Value, c.Value == nil, c.Headers)
	}
	fmt.Fprintf(&b, "faults %v, next %d", m.faults, m.next)
	return b.String()
}

// smallBounds are so small that the batches that tests draw exceed them.
func smallBounds() Bounds { return Bounds{Batch: 4000, Record: 500} }

// TestReadsAsTheModel: whatever batches hold, the streaming reader and the model read the same.
func TestReadsAsTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choices := tape(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "choices"))
		batches, from, end := choices.log(func(base int64) []byte {
			w := choices.batch(base)
			if w.Attributes&(transactionBit|controlBit) != 0 {
				w.Attributes &= codecMask
			}
			return w.bytes()
		})
		l := &Log{Bounds: smallBounds()}
		want, got := model(from, end, l.Bounds, batches), followed(t, l, from, end, batches)
		if show(got) != show(want) {
			t.Fatalf("read\n%s\nwant\n%s", show(got), show(want))
		}
	})
}

// FuzzFetchAnswer: whatever a producer or a broken disk puts into batches, reading them ends without a panic. Offsets
// ascend, and no offset is passed over in silence.
func FuzzFetchAnswer(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{3, 1, 2, 1, 1, 3, 0, 4, 2, 9, 1, 1, 0, 0, 0, 2}, []byte{})
	f.Add(bytes.Repeat([]byte{1, 2, 3, 5, 7, 11}, 30), []byte{})
	f.Add([]byte{0}, of(3, "a", "b").bytes())
	f.Add([]byte{0}, of(3, "a", "b").codec(codecZstd, packZstd()).bytes())
	f.Add([]byte{0}, set(message{offset: 3, magic: 1}, codecLZ4, packLZ4(), message{magic: 1, value: []byte("x")}).bytes())
	f.Fuzz(func(t *testing.T, choices, raw []byte) {
		c := tape(choices)
		batches, from, end := c.log(func(base int64) []byte {
			switch c.n(8) {
			case 0:
				return c.legacy(base)
			case 1:
				if len(raw) > 0 {
					return slices.Clone(raw)
				}
			}
			return c.batch(base).bytes()
		})
		l := &Log{Bounds: smallBounds()}
		got := followed(t, l, from, end, batches)
		before := from - 1
		for _, r := range got.records {
			if r.Offset <= before {
				t.Fatalf("offset %d after %d", r.Offset, before)
			}
			before = r.Offset
			if int64(len(r.Value)+len(r.Key)) > l.Bounds.Record || r.Omitted == nil && r.Size > l.Bounds.Record {
				t.Fatalf("a record of %d bytes", r.Size)
			}
		}
		covered(t, got, from, batches)
	})
}

// covered fails the test if an offset of a batch without holes is neither delivered nor part of a fault. It does not look
// at batches that are out of order, since brokers prevent these.
func covered(t *testing.T, got modelled, from int64, batches [][]byte) {
	t.Helper()
	before := int64(-1)
	for _, b := range batches {
		head, err := readHead(b)
		if head == nil || head.base <= before || err != nil && head.size != int64(len(b)) {
			return
		}
		before = head.base
	}
	seen := make(map[int64]bool)
	for _, r := range got.records {
		seen[r.Offset] = true
	}
	for i := range batches {
		b, err := readHead(batches[i])
		if err != nil || b.Magic != 2 || b.size != int64(len(batches[i])) || b.control() || int64(b.NumRecords) != int64(b.LastOffsetDelta)+1 {
			continue
		}
		for o := max(from, b.base); o <= min(lastOf(batches[i:]), b.base+100); o++ {
			in := slices.ContainsFunc(got.faults, func(f [2]int64) bool { return f[0] <= o && o <= f[1] })
			if seen[o] == in && (seen[o] || o < got.next) {
				t.Fatalf("offset %d of batch %d: delivered %t, in a fault %t\n%s", o, b.base, seen[o], in, show(got))
			}
		}
	}
}
