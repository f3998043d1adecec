package recordlog

import (
	"time"

	"convdel/schema"
)

// v2 reads the records of a batch of format 2, one after the other.
type v2 struct {
	*reader
	*batch

	src *source
	use bool
	// dense says that the batch has a record for each of its offsets.
	dense bool
	// delta is the position of the previous record in the batch, -1 at first. now is that of the present record.
	delta, now int64
}

// next reads a record that is followed by left more. It delivers the record unless its offset is below the one asked for.
func (v *v2) next(left int64) error {
	p := part{v.src, 5} // a length has at most 5 bytes
	n, err := p.varint(32)
	if err != nil {
		return err
	}
	if n < 1 {
		return malformed("a record has %d bytes", n)
	}
	if err := v.src.fits(n); err != nil {
		return err
	}
	v.now = v.delta + 1
	var rec *Record
	switch {
	case v.dense && v.base+v.now < v.Next && !v.control():
		err = v.src.each(n, nil)
	case !v.use || n > v.bounds.Record:
		rec, err = v.stream(&part{v.src, n}, left)
	default:
		rec, err = v.hold(n, left)
	}
	if err != nil {
		return err
	}
	if left == 0 && v.src.more() {
		return malformed("data follows its last record")
	}
	if rec == nil {
		return nil
	}
	return v.accept(rec)
}

// place checks the offset that a record names, if the batch has holes: offsets must ascend, and leave room for those left.
func (v *v2) place(delta, left int64) error {
	if v.dense {
		return nil
	}
	if most := v.last - v.base; delta <= v.delta || delta > most-left {
		return malformed("a record's offset is %d behind the first, after %d, with %d behind it until %d", delta, v.delta, left, most)
	}
	v.now = delta
	return nil
}

// time returns a record's time. delta is its distance to the time of the batch's first record.
func (v *v2) time(delta int64) time.Time {
	if v.Attributes&logAppendTime != 0 {
		return timeOf(v.MaxTimestamp)
	}
	return timeOf(v.FirstTimestamp + delta)
}

// timeOf converts Kafka's milliseconds, in which -1 means none.
func timeOf(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// hold reads a record of n bytes into memory of its own. It returns nil for a record below the offset asked for.
func (v *v2) hold(n, left int64) (*Record, error) {
	if len(v.src.b) < int(n) {
		if err := v.need(n + n/2); err != nil { // a growing buffer is copied into a larger one
			return nil, err
		}
		own, err := v.src.gather(n)
		if err != nil {
			return nil, err
		}
		return v.build(own, own, left)
	}
	view := v.src.b[:n]
	v.src.b = v.src.b[n:]
	if err := v.need(n); err != nil {
		return nil, err
	}
	return v.build(view, nil, left)
}

// build makes a record of its bytes in view. own is the same memory if the record may keep it; if own is nil, the bytes are
// copied.
func (v *v2) build(view, own []byte, left int64) (*Record, error) {
	f := fields{b: view, at: 1} // behind the attributes, which have no meaning
	after := f.varint(64)
	delta := f.varint(32)
	if f.bad {
		return nil, f.fault()
	}
	if err := v.place(delta, left); err != nil {
		return nil, err
	}
	if v.base+v.now < v.Next {
		return nil, nil
	}
	var rec *Record
	if own == nil {
		rec, own = recordOf(view)
	} else {
		rec = new(Record)
	}
	rec.Offset, rec.Time, rec.Epoch, rec.Use = v.base+v.now, v.time(after), v.PartitionLeaderEpoch, true
	f.b = own
	rec.Key, rec.Value = f.bytes(), f.bytes()
	headers := f.varint(32)
	if f.bad || headers < 0 || headers > int64(len(own)-f.at)/2 {
		return nil, f.fault()
	}
	if size := int64(len(own)) + HeaderCost*headers; size > v.bounds.Record {
		return v.omitHeld(rec, int64(len(own)), headers), nil
	}
	if err := v.need(int64(len(own)) + HeaderCost*headers); err != nil {
		return nil, err
	}
	rec.Size = int64(len(rec.Key)+len(rec.Value)) + HeaderCost*headers
	if headers > 0 {
		rec.Headers = make([]schema.Header, headers)
		for i := range rec.Headers {
			key, value := f.bytes(), f.bytes()
			if key == nil {
				f.bad = true
			}
			rec.Headers[i] = schema.Header{Key: v.name(key), Value: value}
			rec.Size += int64(len(key) + len(value))
		}
	}
	if f.bad || f.at != len(own) {
		return nil, f.fault()
	}
	return rec, nil
}

// name returns a header's key as a string.
func (r *reader) name(key []byte) string {
	const most, longest = 64, 64
	if name, ok := r.names[string(key)]; ok {
		return name
	}
	name := string(key)
	if len(name) <= longest && len(r.names) < most {
		if r.names == nil {
			r.names = make(map[string]string)
		}
		r.names[name] = name
	}
	return name
}

// stream reads a record without holding more than its key. The record is beyond the bounds, or rolled back, or a marker.
// stream returns nil for a record below the offset asked for.
func (v *v2) stream(p *part, left int64) (*Record, error) {
	size := p.left
	if _, err := p.byte(); err != nil {
		return nil, err
	}
	after, err := p.varint(64)
	if err != nil {
		return nil, err
	}
	delta, err := p.varint(32)
	if err != nil {
		return nil, err
	}
	if err := v.place(delta, left); err != nil {
		return nil, err
	}
	rec := &Record{Offset: v.base + v.now, Time: v.time(after), Epoch: v.PartitionLeaderEpoch, Use: v.use}
	switch {
	case v.control():
		if rec.Key, err = p.key(v.bounds.longestKey()); err != nil {
			return nil, err
		}
		v.aborted.mark(v.ProducerID, rec.Key)
		rec.Key = nil
		fallthrough
	case !v.use, rec.Offset < v.Next:
		if rec.Offset < v.Next {
			rec = nil
		}
		return rec, p.rest()
	}
	return rec, v.omitStreamed(p, rec, size)
}
