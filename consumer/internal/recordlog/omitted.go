package recordlog

import (
	"crypto/sha256"
	"fmt"
)

// mostKey is the longest key, in bytes, that is kept of a record beyond the bounds.
const mostKey = 64 << 10

// longestKey is the longest key, in bytes, that is kept of a record beyond the bounds: what is kept is within them.
func (b Bounds) longestKey() int64 { return min(mostKey, b.Record) }

// omission describes a record beyond the bounds, whether it was held in memory or hashed as it streamed by.
type omission struct {
	// size is the record's size in bytes, headers the number of its headers.
	size, headers int64
	// longKey says that the key is left out as well.
	longKey bool
	// nullValue says that the value is null. value is the value's size in bytes, sum its hash.
	nullValue bool
	value     int64
	sum       [sha256.Size]byte
}

// omit removes value and headers from a record, and a long key, and describes the record in Omitted.
func (r *reader) omit(rec *Record, o omission) *Record {
	rec.Omitted = &Omitted{Why: o.why(r.bounds), Size: o.value, SHA256: o.sum}
	if rec.Value = nil; o.longKey {
		rec.Key = nil
	}
	rec.Size = int64(len(rec.Key))
	return rec
}

// why says which bound the record exceeds, and what is left out besides the value.
func (o *omission) why(bounds Bounds) string {
	text := fmt.Sprintf("a record of %d bytes is beyond max-record-bytes, %d", o.size, bounds.Record)
	if o.headers > 0 {
		text = fmt.Sprintf("a record of %d bytes and %d headers, which count %d each and are left out, is beyond max-record-bytes, %d",
			o.size, o.headers, HeaderCost, bounds.Record)
	}
	if o.nullValue {
		text += "; its value is null"
	}
	if o.longKey {
		text += fmt.Sprintf("; its key, over %d bytes, is left out", bounds.longestKey())
	}
	return text
}

// omitHeld omits a record of size bytes that is in memory.
func (r *reader) omitHeld(rec *Record, size, headers int64) *Record {
	o := omission{
		size: size, headers: headers, longKey: int64(len(rec.Key)) > r.bounds.longestKey(),
		nullValue: rec.Value == nil, value: int64(len(rec.Value)), sum: sha256.Sum256(rec.Value),
	}
	if rec.Key != nil && !o.longKey {
		rec.Key = append([]byte{}, rec.Key...) // a copy, so that the rest of the record's memory is freed
	}
	return r.omit(rec, o)
}

// omitStreamed reads the key, the value and the number of headers of a record of size bytes. Of these it holds only the
// key.
func (v *v2) omitStreamed(p *part, rec *Record, size int64) error {
	o := omission{size: size}
	var err error
	before := p.left
	if rec.Key, err = p.key(v.bounds.longestKey()); err != nil {
		return err
	}
	o.longKey = rec.Key == nil && before-p.left > v.bounds.longestKey()
	length, err := p.varint(32)
	if err != nil {
		return err
	}
	if length < -1 || length > p.left {
		return malformed("a record's value has %d bytes", length)
	}
	if err := o.hash(p, length); err != nil {
		return err
	}
	if o.headers, err = p.varint(32); err != nil {
		return err
	}
	if o.headers < 0 || o.headers > p.left/2 {
		return malformed("a record has %d headers in %d bytes", o.headers, p.left)
	}
	if err := p.rest(); err != nil {
		return err
	}
	v.omit(rec, o)
	return nil
}

// hash hashes a value of length bytes; a length of -1 is null.
func (o *omission) hash(p *part, length int64) error {
	o.nullValue, o.value = length < 0, max(0, length)
	h := sha256.New()
	if err := p.take(o.value, func(b []byte) { _, _ = h.Write(b) }); err != nil {
		return err
	}
	h.Sum(o.sum[:0])
	return nil
}

// key reads a key; nil if it is null or has more than longest bytes.
func (p *part) key(longest int64) ([]byte, error) {
	n, err := p.varint(32)
	switch {
	case err != nil:
		return nil, err
	case n < -1 || n > p.left:
		return nil, malformed("a record's key has %d bytes", n)
	case n < 0:
		return nil, nil
	case n > longest:
		return nil, p.take(n, nil)
	}
	key := make([]byte, 0, n)
	return key, p.take(n, func(b []byte) { key = append(key, b...) })
}
