package recordlog

import (
	"errors"
	"fmt"
	"io"
)

// chunker yields decompressed data, piece by piece. A piece is valid until the next call. Data may come together with an
// error, io.EOF among them.
type chunker interface {
	next() ([]byte, error)
	// close gives memory back.
	close(pool *decoders)
}

// fault is the reason why the rest of a batch can't be read.
type fault struct {
	reason string
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

func (f *fault) Unwrap() error { return f.err }

func malformed(format string, args ...any) error {
	return &fault{ReasonMalformed, fmt.Errorf(format, args...)}
}

var errEndsEarly = errors.New("it ends early")

// source is the decompressed stream of a batch's records.
type source struct {
	// b is decompressed and not read yet. passed is how much was decompressed in all, limit is how much may be.
	b             []byte
	passed, limit int64
	chunks        chunker
	// err is the error that follows b.
	err error
}

// whole is a source of data that is not compressed.
func whole(b []byte, limit int64) *source {
	s := &source{err: io.EOF, limit: limit}
	s.bring(b)
	return s
}

func (s *source) bring(b []byte) {
	if left := s.limit - s.passed; int64(len(b)) > left {
		b, s.err = b[:left], s.tooLarge()
	}
	s.b = b
	s.passed += int64(len(b))
}

func (s *source) tooLarge() error {
	return &fault{ReasonTooLarge, fmt.Errorf("it decompresses to more than %d bytes", s.limit)}
}

// at returns how much has been read.
func (s *source) at() int64 { return s.passed - int64(len(s.b)) }

// fill makes sure that b is not empty. It returns io.EOF at the end, otherwise a fault.
func (s *source) fill() error {
	for len(s.b) == 0 {
		if s.err != nil {
			return s.err
		}
		b, err := s.chunks.next()
		var own *fault
		var need *NeedRoomError
		if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &own) && !errors.As(err, &need) {
			err = &fault{ReasonCompression, err}
		}
		s.err = err
		s.bring(b)
	}
	return nil
}

// must is fill where more data has to come.
func (s *source) must() error {
	err := s.fill()
	if errors.Is(err, io.EOF) {
		return &fault{ReasonMalformed, errEndsEarly}
	}
	return err
}

// more returns true if there is more data. An error of the decompressor behind all records counts as the end.
func (s *source) more() bool {
	err := s.fill()
	var f *fault
	return err == nil || errors.As(err, &f) && f.reason == ReasonTooLarge
}

// fits returns a fault if n bytes more can't come.
func (s *source) fits(n int64) error {
	switch {
	case n > int64(len(s.b)) && errors.Is(s.err, io.EOF):
		return &fault{ReasonMalformed, errEndsEarly}
	case n > s.limit-s.at():
		return s.tooLarge()
	}
	return nil
}

func (s *source) byte() (byte, error) {
	if len(s.b) == 0 {
		if err := s.must(); err != nil {
			return 0, err
		}
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c, nil
}

// each reads n bytes in pieces, and calls do with each piece unless do is nil.
func (s *source) each(n int64, do func([]byte)) error {
	for n > 0 {
		if err := s.must(); err != nil {
			return err
		}
		piece := s.b[:min(n, int64(len(s.b)))]
		if do != nil {
			do(piece)
		}
		s.b = s.b[len(piece):]
		n -= int64(len(piece))
	}
	return nil
}

// gathered is the first size of a buffer for n bytes. The buffer grows with the bytes that come, not with the length
// declared.
const gathered = 64 << 10

// gather reads n bytes into memory of their own.
func (s *source) gather(n int64) ([]byte, error) {
	b := make([]byte, 0, min(n, gathered))
	err := s.each(n, func(piece []byte) {
		if len(b)+len(piece) > cap(b) {
			grown := make([]byte, len(b), min(n, max(2*int64(cap(b)), int64(len(b)+len(piece)))))
			copy(grown, b)
			b = grown
		}
		b = append(b, piece...)
	})
	return b, err
}

// part is the next left bytes of a source.
type part struct {
	*source

	left int64
}

func (p *part) byte() (byte, error) {
	if p.left == 0 {
		return 0, malformed("a record's fields are longer than it")
	}
	p.left--
	return p.source.byte()
}

// varint reads a signed number of at most so many bits.
func (p *part) varint(bits int) (int64, error) { return varint(bits, p.byte) }

func (p *part) take(n int64, do func([]byte)) error {
	if n > p.left {
		return malformed("a record's fields are longer than it")
	}
	p.left -= n
	return p.each(n, do)
}

// rest skips the bytes that are left.
func (p *part) rest() error { return p.take(p.left, nil) }

// varint reads a zigzag number of at most so many bits.
func varint(bits int, next func() (byte, error)) (int64, error) {
	var x uint64
	for shift := 0; shift < bits; shift += 7 {
		c, err := next()
		if err != nil {
			return 0, err
		}
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if over := bits - shift; over < 7 && c>>over != 0 {
				break
			}
			return int64(x>>1) ^ -int64(x&1), nil
		}
	}
	return 0, malformed("a number has more than %d bits", bits)
}

// varintOf reads a number at the beginning of b, and returns how many bytes it has there, 0 if it is invalid.
func varintOf(bits int, b []byte) (int64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		x := b[0]
		return int64(x>>1) ^ -int64(x&1), 1
	}
	var x uint64
	for i, shift := 0, 0; shift < bits && i < len(b); i, shift = i+1, shift+7 {
		c := b[i]
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if over := bits - shift; over < 7 && c>>over != 0 {
				return 0, 0
			}
			return int64(x>>1) ^ -int64(x&1), i + 1
		}
	}
	return 0, 0
}
