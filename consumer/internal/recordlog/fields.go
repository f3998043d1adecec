package recordlog

// recordOf returns a new record and a copy of b. If b is short, both are one piece of memory.
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

// bytes reads a length and the bytes that follow; nil if they are null.
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
