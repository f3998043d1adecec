package recordlog

import (
	"crypto/sha256"
	"fmt"
)

// keptKey is how long a key may be that is kept of a record beyond the bounds.
const keptKey = 64 << 10

// omission is what a record beyond the bounds has, whether the record is in memory or streams by.
type omission struct {
	// size is the record's in bytes, headers how many it has.
	size, headers int64
	// longKey says that its key is left out as well.
	longKey bool
	// nullValue says that the value is null, value is its size in bytes, sum its hash.
	nullValue bool
	value     int64
	sum       [sha256.Size]byte
}

// omit leaves of a record no more than its key, and says what it has besides.
func (r *reader) omit(rec *Record, o omission) *Record {
	rec.Omitted = &Omitted{Why: o.why(r.bounds.Record), Size: o.value, SHA256: o.sum}
	if rec.Value = nil; o.longKey {
		rec.Key = nil
	}
	rec.Size = int64(len(rec.Key))
	return rec
}

// why says what of the record is left out, and that it is beyond a bound in bytes.
func (o *omission) why(bound int64) string {
	text := fmt.Sprintf("a record of %d bytes is beyond max-record-bytes, %d", o.size, bound)
	if o.headers > 0 {
		text = fmt.Sprintf("a record of %d bytes and %d headers, which count %d each and are left out, is beyond max-record-bytes, %d",
			o.size, o.headers, HeaderCost, bound)
	}
	if o.nullValue {
		text += "; its value is null"
	}
	if o.longKey {
		text += fmt.Sprintf("; its key, over %d bytes, is left out", keptKey)
	}
	return text
}

// omitHeld omits what is in memory of a record of size bytes.
func (r *reader) omitHeld(rec *Record, size, headers int64) *Record {
	o := omission{
		size: size, headers: headers, longKey: len(rec.Key) > keptKey,
		nullValue: rec.Value == nil, value: int64(len(rec.Value)), sum: sha256.Sum256(rec.Value),
	}
	if rec.Key != nil && !o.longKey {
		rec.Key = append([]byte{}, rec.Key...) // not all of the record's memory
	}
	return r.omit(rec, o)
}

// omitStreamed reads the key, the value and the number of headers of a record of size bytes, and holds no more than the key.
func (v *v2) omitStreamed(p *part, rec *Record, size int64) error {
	o := omission{size: size}
	var err error
	before := p.left
	if rec.Key, err = p.key(); err != nil {
		return err
	}
	o.longKey = rec.Key == nil && before-p.left > keptKey
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

// hash reads a value of so many bytes, -1 for null.
func (o *omission) hash(p *part, length int64) error {
	o.nullValue, o.value = length < 0, max(0, length)
	h := sha256.New()
	if err := p.take(o.value, func(b []byte) { _, _ = h.Write(b) }); err != nil {
		return err
	}
	h.Sum(o.sum[:0])
	return nil
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
