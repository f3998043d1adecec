package recordlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// entry is one message of format 0 or 1, with its offset.
type entry struct {
	offset     int64
	magic      byte
	attributes byte
	time       time.Time
	key, value []byte
}

// readEntry reads the part of an entry that follows its length.
func readEntry(offset int64, b []byte) (*entry, error) {
	const crc, head, word = 4, 6, 4
	if len(b) < head {
		return nil, malformed("a message has %d bytes", len(b))
	}
	if binary.BigEndian.Uint32(b) != crc32.ChecksumIEEE(b[crc:]) {
		return nil, &fault{ReasonCRC, errChecksum}
	}
	e := &entry{offset: offset, magic: b[crc], attributes: b[crc+1]}
	b = b[head:]
	if e.magic == 1 {
		if len(b) < 8 {
			return nil, malformed("a message ends early")
		}
		e.time = timeOf(int64(binary.BigEndian.Uint64(b))) //nolint:gosec // times are signed
		b = b[8:]
	}
	for _, field := range []*[]byte{&e.key, &e.value} {
		if len(b) < word {
			return nil, malformed("a message ends early")
		}
		n := int64(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // lengths are signed
		b = b[word:]
		if n < -1 || n > int64(len(b)) {
			return nil, malformed("a message's field has %d bytes", n)
		}
		if n >= 0 {
			*field, b = b[:n:n], b[n:]
		}
	}
	if len(b) > 0 {
		return nil, malformed("a message's fields don't fill it")
	}
	return e, nil
}

// readLegacy reads an entry of format 0 or 1: a message, or a message whose value is a compressed set of messages.
func (r *reader) readLegacy(b *batch) error {
	if b.last < r.Next {
		return nil
	}
	e, err := readEntry(b.base, b.raw[uncounted:])
	if err == nil && e.attributes&codecMask == codecNone {
		err = r.deliverEntry(e, e.time)
	} else if err == nil {
		err = r.readSet(e)
	}
	if f, ok := errors.AsType[*fault](err); ok {
		b.base = min(b.base, r.Next) // the first offset of a set is unknown, so take the position
		return r.fault(b, b.base, f.reason, f.err)
	}
	return err
}

// readSet reads the set of messages in the value of outer, which has the last message's offset. In format 1, offsets in the
// set are relative to that of its first message, and follow from the last one. In format 0 they are absolute.
func (r *reader) readSet(outer *entry) error {
	var shift int64
	if outer.magic == 1 {
		last := int64(-1)
		if err := r.eachEntry(outer, func(offset int64, p *part) error {
			if offset <= last {
				return malformed("a message's offset is %d after %d", offset, last)
			}
			last = offset
			return p.rest()
		}); err != nil {
			return err
		}
		shift = outer.offset - last
	}
	before := int64(-1)
	err := r.eachEntry(outer, func(offset int64, p *part) error {
		if offset += shift; offset <= before || offset > outer.offset {
			return malformed("a message's offset is %d after %d, and the last one's %d", offset, before, outer.offset)
		}
		before = offset
		if offset < r.Next {
			return p.rest()
		}
		return r.readInner(outer, offset, p)
	})
	if err == nil && before < 0 {
		return malformed("a set of messages is empty")
	}
	return err
}

// eachEntry calls do with each message in the value of outer.
func (r *reader) eachEntry(outer *entry, do func(offset int64, p *part) error) error {
	if outer.value == nil {
		return malformed("a set of messages is null")
	}
	src, err := r.open(int(outer.attributes&codecMask), outer.value, r.bounds.Batch)
	if err != nil {
		return err
	}
	defer r.close(src)
	for {
		if err := src.fill(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		head := part{src, uncounted}
		offset, err := head.uint64()
		if err != nil {
			return err
		}
		size, err := head.uint32()
		if err != nil {
			return err
		}
		n := int64(int32(size)) //nolint:gosec // lengths are signed
		if offset > 1<<62 || n < legacyLeast-uncounted {
			return malformed("a message has the offset %d and %d bytes", offset, n)
		}
		if err := src.fits(n); err != nil {
			return err
		}
		if err := do(int64(offset), &part{src, n}); err != nil {
			return err
		}
	}
}

// readInner reads and delivers a message of a set.
func (r *reader) readInner(outer *entry, offset int64, p *part) error {
	if p.left > r.bounds.Record {
		return r.omitEntry(outer, offset, p)
	}
	if err := r.need(p.left + p.left/2); err != nil {
		return err
	}
	b, err := p.gather(p.left)
	if err != nil {
		return err
	}
	inner, err := readEntry(offset, b)
	switch {
	case err != nil:
		return err
	case inner.magic != outer.magic || inner.attributes&codecMask != codecNone:
		return malformed("a message in a set has format %d and codec %d", inner.magic, inner.attributes&codecMask)
	}
	return r.deliverEntry(inner, setTime(outer, inner.time))
}

// setTime is the time of a message in a set: that of outer if the broker has set it, otherwise the message's own.
func setTime(outer *entry, inner time.Time) time.Time {
	if outer.attributes&logAppendTime != 0 {
		return outer.time
	}
	return inner
}

// deliverEntry delivers a message that is not in a set, or one of a set.
func (r *reader) deliverEntry(e *entry, at time.Time) error {
	size := int64(len(e.key) + len(e.value))
	rec := &Record{Offset: e.offset, Time: at, Epoch: NoEpoch, Key: e.key, Value: e.value, Size: size, Use: true}
	if size > r.bounds.Record {
		return r.accept(r.omitHeld(rec, size, 0))
	}
	if err := r.need(size); err != nil {
		return err
	}
	own := append(append(make([]byte, 0, size), e.key...), e.value...)
	if n := len(e.key); e.key != nil {
		rec.Key = own[:n:n]
	}
	if n := len(e.key); e.value != nil {
		rec.Value = own[n:]
	}
	return r.accept(rec)
}

// accept delivers a record, and moves the position behind it if do accepts it.
func (r *reader) accept(rec *Record) error {
	if err := r.do(rec); err != nil {
		return err
	}
	r.Next = rec.Offset + 1
	return nil
}

// omitEntry delivers a message beyond the bounds without its value.
func (r *reader) omitEntry(outer *entry, offset int64, p *part) error {
	const crc = 4
	rec, o := &Record{Offset: offset, Epoch: NoEpoch, Use: true}, omission{size: p.left}
	if err := p.take(crc+2, nil); err != nil {
		return err
	}
	var inner time.Time
	if outer.magic == 1 {
		ms, err := p.uint64()
		if err != nil {
			return err
		}
		inner = timeOf(int64(ms)) //nolint:gosec // times are signed
	}
	rec.Time = setTime(outer, inner)
	n, err := p.entryLength()
	if err != nil {
		return err
	}
	if o.longKey = n > r.bounds.longestKey(); o.longKey {
		err = p.take(n, nil)
	} else if n >= 0 {
		rec.Key = make([]byte, 0, n)
		err = p.take(n, func(b []byte) { rec.Key = append(rec.Key, b...) })
	}
	if err != nil {
		return err
	}
	if n, err = p.entryLength(); err != nil {
		return err
	}
	if err := o.hash(p, n); err != nil {
		return err
	}
	if p.left > 0 {
		return malformed("a message's fields don't fill it")
	}
	return r.accept(r.omit(rec, o))
}

// entryLength reads the length of a message's key or value, -1 for null.
func (p *part) entryLength() (int64, error) {
	length, err := p.uint32()
	n := int64(int32(length)) //nolint:gosec // lengths are signed
	if err == nil && (n < -1 || n > p.left) {
		err = malformed("a message's field has %d bytes", n)
	}
	return n, err
}

func (p *part) uint32() (uint32, error) {
	var b []byte
	err := p.take(4, func(piece []byte) { b = append(b, piece...) })
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (p *part) uint64() (uint64, error) {
	high, err := p.uint32()
	if err != nil {
		return 0, err
	}
	low, err := p.uint32()
	return uint64(high)<<32 | uint64(low), err
}
