package recordlog

import (
	"crypto/sha256"
	"fmt"
	"time"

	"convdel/schema"
)

// keptKey is how long a key may be that is kept of a record beyond the bounds.
const keptKey = 64 << 10

// v2 reads the records of a batch of format 2, one after the other.
type v2 struct {
	*reader
	*batch

	src *source
	use bool
	// dense says that no offset of the batch is without a record.
	dense bool
	// delta is the place of the record before, -1 at first; now that of the one under way.
	delta, now int64
}

// next reads a record, with so many left behind it, and delivers it unless its offset is below the one asked for.
func (v *v2) next(left int64) error {
	p := part{v.src, 5} // a length's bytes
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

// place checks a record's own idea of its offset, where it counts: offsets ascend, and leave room for those left.
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

// time is a record's, given how much it says to be later than the batch's first.
func (v *v2) time(delta int64) time.Time {
	if v.Attributes&logAppendTime != 0 {
		return timeOf(v.MaxTimestamp)
	}
	return timeOf(v.FirstTimestamp + delta)
}

// timeOf is a time in Kafka's milliseconds, in which -1 is none.
func timeOf(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// hold reads a record of n bytes into memory of its own. It returns nil for one below the offset asked for.
func (v *v2) hold(n, left int64) (*Record, error) {
	if len(v.src.b) < int(n) {
		if err := v.need(n + n/2); err != nil { // the larger and the smaller buffer while it grows
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

// build makes a record of its bytes: own, or a copy where that is nil.
func (v *v2) build(view, own []byte, left int64) (*Record, error) {
	f := fields{b: view, at: 1} // behind attributes that nobody uses
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
		return v.omit(rec, int64(len(own)), headers), nil
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

// recordOf makes a record and a copy of its bytes: in one piece of memory where they are few.
func recordOf(b []byte) (*Record, []byte) {
	var (
		r   *Record
		own []byte
	)
	switch n := len(b); {
	case n <= 96:
		one := new(struct {
			Record

			b [96]byte
		})
		r, own = &one.Record, one.b[:n:n]
	case n <= 192:
		one := new(struct {
			Record

			b [192]byte
		})
		r, own = &one.Record, one.b[:n:n]
	case n <= 384:
		one := new(struct {
			Record

			b [384]byte
		})
		r, own = &one.Record, one.b[:n:n]
	case n <= 768:
		one := new(struct {
			Record

			b [768]byte
		})
		r, own = &one.Record, one.b[:n:n]
	default:
		r, own = new(Record), make([]byte, n)
	}
	copy(own, b)
	return r, own
}

// name makes a header's key a string.
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

// omit leaves of a record what is kept of one beyond the bounds.
func (r *reader) omit(rec *Record, size, headers int64) *Record {
	rec.Omitted = &Omitted{
		Why: r.why(size, headers, rec.Value == nil, len(rec.Key) > keptKey), Size: int64(len(rec.Value)), SHA256: sha256.Sum256(rec.Value),
	}
	if rec.Value = nil; len(rec.Key) > keptKey {
		rec.Key = nil
	}
	if rec.Key != nil {
		rec.Key = append([]byte{}, rec.Key...) // not all of the record's memory
	}
	rec.Size = int64(len(rec.Key))
	return rec
}

// why says what of a record is left out, and why: its value, which may be null, its headers, and its key if that is long.
func (r *reader) why(size, headers int64, nullValue, longKey bool) string {
	text := fmt.Sprintf("a record of %d bytes is beyond max-record-bytes, %d", size, r.bounds.Record)
	if headers > 0 {
		text = fmt.Sprintf("a record of %d bytes and %d headers, which count %d each and are left out, is beyond max-record-bytes, %d",
			size, headers, HeaderCost, r.bounds.Record)
	}
	if nullValue {
		text += "; its value is null"
	}
	if longKey {
		text += fmt.Sprintf("; its key, over %d bytes, is left out", keptKey)
	}
	return text
}

// stream reads a record of which no more than a key is held: one beyond the bounds, one that was rolled back, or a marker.
// It returns nil for one below the offset asked for.
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
		if rec.Key, err = p.key(); err != nil {
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
	return rec, v.digest(p, rec, size)
}

// key reads a key; nil if it is null or longer than what is kept.
func (p *part) key() ([]byte, error) {
	n, err := p.varint(32)
	switch {
	case err != nil:
		return nil, err
	case n < -1 || n > p.left:
		return nil, malformed("a record's key has %d bytes", n)
	case n < 0:
		return nil, nil
	case n > keptKey:
		return nil, p.take(n, nil)
	}
	key := make([]byte, 0, n)
	return key, p.take(n, func(b []byte) { key = append(key, b...) })
}

// digest reads the key, the value and the number of headers of a record beyond the bounds.
func (v *v2) digest(p *part, rec *Record, size int64) error {
	var err error
	before := p.left
	if rec.Key, err = p.key(); err != nil {
		return err
	}
	longKey := rec.Key == nil && before-p.left > keptKey
	length, err := p.varint(32)
	if err != nil {
		return err
	}
	if length < -1 || length > p.left {
		return malformed("a record's value has %d bytes", length)
	}
	null := length < 0
	length = max(0, length)
	hash := sha256.New()
	if err := p.hash(length, hash); err != nil {
		return err
	}
	headers, err := p.varint(32)
	if err != nil {
		return err
	}
	if headers < 0 || headers > p.left/2 {
		return malformed("a record has %d headers in %d bytes", headers, p.left)
	}
	if err := p.rest(); err != nil {
		return err
	}
	rec.Omitted = &Omitted{Why: v.why(size, headers, null, longKey), Size: length}
	hash.Sum(rec.Omitted.SHA256[:0])
	rec.Size = int64(len(rec.Key))
	return nil
}

// fields reads a record's fields from its bytes.
type fields struct {
	b   []byte
	at  int
	bad bool
}

func (f *fields) fault() error {
	return malformed("a record's fields don't fit into its %d bytes", len(f.b))
}

func (f *fields) varint(bits int) int64 {
	if f.bad || f.at >= len(f.b) {
		f.bad = true
		return 0
	}
	x, n := varintOf(bits, f.b[f.at:])
	f.at += n
	f.bad = n == 0
	return x
}

// bytes reads a length and so many bytes; nil if they are null.
func (f *fields) bytes() []byte {
	n := f.varint(32)
	if f.bad || n < -1 || n > int64(len(f.b)-f.at) {
		f.bad = true
		return nil
	}
	if n < 0 {
		return nil
	}
	end := f.at + int(n)
	b := f.b[f.at:end:end]
	f.at = end
	return b
}
