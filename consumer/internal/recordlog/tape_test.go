package recordlog

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

// tape is a sequence of choices.
type tape []byte

func (t *tape) n(most int) int {
	if len(*t) == 0 || most <= 1 {
		return 0
	}
	c := int((*t)[0])
	*t = (*t)[1:]
	if most > 256 && len(*t) > 0 {
		c = c<<8 | int((*t)[0])
		*t = (*t)[1:]
	}
	return c % most
}

// rarely is true once in so many times. It is false at the end of the tape.
func (t *tape) rarely(in int) bool { return t.n(in) == 1 }

// odd draws a wrong number in place of a right one.
func (t *tape) odd(right int64) *int64 {
	list := []int64{-1, -2, 0, 1, right - 1, right + 1, 2 * right, 1000, 1 << 20, 1<<31 - 1, -1 << 31, 1 << 40}
	return &list[t.n(len(list))]
}

func (t *tape) odd32(right int32) *int32 {
	n := int32(min(max(*t.odd(int64(right)), -1<<31), 1<<31-1))
	return &n
}

func (t *tape) bytes(most int) []byte {
	if t.rarely(8) {
		return nil
	}
	return bytes.Repeat([]byte{byte('a' + t.n(26))}, t.n(most))
}

// batch draws a batch that begins at an offset.
func (t *tape) batch(base int64) *written {
	w := of(base)
	w.BaseTime, w.MaxTime = int64(t.n(3)-1)*1000, int64(t.n(3)-1)*2000
	delta := int64(0)
	for range t.n(6) {
		r := writtenRecord{Record: rawbatch.Record{OffsetDelta: delta, TimeDelta: int64(t.n(5)), Key: t.bytes(9), Value: t.bytes(40)}}
		if t.rarely(12) {
			r.Value = t.bytes(3000)
		}
		for range t.n(3) {
			r.Headers = append(r.Headers, schema.Header{Key: string(t.bytes(4)), Value: t.bytes(5)})
		}
		if t.rarely(16) {
			r.Headers = make([]schema.Header, t.n(40))
		}
		t.spoil(&r)
		w.records = append(w.records, r)
		if delta++; t.rarely(8) {
			delta += int64(t.n(5))
		}
	}
	if p := packings(); t.n(2) == 1 {
		p := p[t.n(len(p)-1)] // the last packing takes long
		w.codec(p.codec, p.pack)
	}
	if last := int32(delta - 1); t.rarely(12) {
		w.lastDelta = new(last + int32(t.n(4)))
	} else if t.rarely(20) {
		w.lastDelta = t.odd32(last)
	}
	switch t.n(24) {
	case 1:
		w.count = t.odd32(int32(len(w.records)))
	case 2:
		w.WrongCRC = true
	case 3:
		w.tail = t.bytes(8)
	case 4:
		w.Magic = int8(3 + t.n(125))
	case 5:
		w.Attributes ^= int16(t.n(16))
	case 6:
		w.afterwards = t.bytes(12)
	}
	return w
}

// spoil rarely makes a field of a record wrong.
func (t *tape) spoil(r *writtenRecord) {
	switch t.n(40) {
	case 1:
		r.Size = t.odd(int64(len(r.Body())))
	case 2:
		r.KeySize = t.odd(int64(len(r.Key)))
	case 3:
		r.ValueSize = t.odd(int64(len(r.Value)))
	case 4:
		r.HeaderCount = t.odd(int64(len(r.Headers)))
	case 5:
		r.Tail = t.bytes(5)
	case 6, 7, 8:
		r.offsetNumber = t.odd(r.OffsetDelta)
	}
}

// log draws some batches in ascending order, with holes between them.
func (t *tape) log(draw func(base int64) []byte) (batches [][]byte, from, end int64) {
	next := int64(t.n(20))
	from = next + int64(t.n(8))
	for range 1 + t.n(4) {
		b := draw(next)
		batches = append(batches, b)
		if next++; len(b) >= batchHead {
			var head kmsg.RecordBatch
			_ = head.ReadFrom(b)
			next += max(0, min(100, int64(head.LastOffsetDelta)))
		}
		if t.rarely(4) {
			next += int64(t.n(5))
		}
	}
	return batches, from, max(next, from)
}

// legacy draws messages of formats 0 and 1.
func (t *tape) legacy(base int64) []byte {
	magic := byte(t.n(2))
	one := func(offset int64) message {
		m := message{offset: offset, magic: magic, time: int64(t.n(3)-1) * 1000, key: t.bytes(9), value: t.bytes(40)}
		switch t.n(20) {
		case 1:
			m.value = t.bytes(3000)
		case 2:
			m.wrongCRC = true
		case 3:
			m.size = t.odd32(30)
		case 4:
			m.offset = *t.odd(offset)
		case 5:
			m.attributes = byte(t.n(16))
		case 6:
			m.magic = byte(t.n(3))
		}
		return m
	}
	if t.n(2) == 0 {
		return one(base).bytes()
	}
	var inner []message
	n := t.n(5)
	for i := range n {
		offset := int64(i)
		if magic == 0 {
			offset += base
		}
		inner = append(inner, one(offset))
	}
	p := packings()
	packed := p[1+t.n(len(p)-2)]
	return set(one(base+int64(max(0, n-1))), byte(packed.codec), packed.pack, inner...).bytes()
}
