package recordlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// These are the codecs in a batch's attributes.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

const (
	// pieceSize is how much is decompressed at a time, where the codec leaves the choice.
	pieceSize = 32 << 10
	// gzipSize is the memory of a gzip reader, roughly.
	gzipSize = 80 << 10
	// leastWhole is the size up to which a batch may always be decompressed as a whole.
	leastWhole = 1 << 20
	// maxStream is the largest window with which zstd is decompressed piece by piece. A batch with a larger window is
	// decompressed as a whole, which takes no window: some producers declare 128 MiB for a few kilobytes.
	maxStream = 8 << 20
	// zstdSize is the memory of a zstd decoder besides window and output, roughly: two blocks, and tables.
	zstdSize = 384 << 10
)

// open starts to decompress records. It returns a fault, or a [*NeedRoomError].
func (r *reader) open(codec int, b []byte, limit int64) (*source, error) {
	var err error
	s := &source{limit: limit}
	switch codec {
	case codecNone:
		return whole(b, limit), nil
	case codecGzip:
		if err = r.takes(gzipSize); err == nil {
			s.chunks, err = r.pool.openGzip(b)
		}
	case codecSnappy:
		s.chunks, err = r.openSnappy(b, limit)
	case codecLZ4:
		s.chunks, err = r.openLZ4(b)
	case codecZstd:
		s.chunks, err = r.openZstd(b, limit)
	default:
		err = fmt.Errorf("it has the unknown codec %d", codec)
	}
	var (
		need *NeedRoomError
		own  *fault
	)
	if err != nil && !errors.As(err, &need) && !errors.As(err, &own) {
		err = &fault{ReasonCompression, err}
	}
	return s, err
}

// takes counts the memory of a decompressor. It returns an error if there is no room for it.
func (r *reader) takes(bytes int64) error {
	r.decoding = bytes
	return r.need(0)
}

// close ends decompression and returns its memory.
func (r *reader) close(s *source) {
	r.decoding = 0
	if s.chunks != nil {
		s.chunks.close(r.pool)
	}
}

// decoders keeps a few decoders and buffers for the next batch. Its zero value is empty. Each log has its own, since a
// decoder with channels must not be used in another test's bubble.
type decoders struct {
	mu      sync.Mutex
	gzips   []*gzip.Reader
	zstds   []*zstd.Decoder
	buffers [][]byte
}

// kept is how many of each kind are kept. keptSize is the largest buffer that is kept.
const (
	kept     = 2
	keptSize = leastWhole
)

func keep[T any](list []T, one T) []T {
	if len(list) < kept {
		return append(list, one)
	}
	return list
}

func (d *decoders) put(b []byte) {
	if cap(b) == 0 || cap(b) > keptSize {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.buffers) < kept {
		d.buffers = append(d.buffers, b)
		return
	}
	for i, other := range d.buffers {
		if cap(other) < cap(b) {
			d.buffers[i], b = b, other
		}
	}
}

// buffer returns an empty buffer with a capacity of size bytes.
func (d *decoders) buffer(size int64) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, b := range d.buffers {
		if int64(cap(b)) >= size {
			last := len(d.buffers) - 1
			d.buffers[i], d.buffers[last] = d.buffers[last], nil
			d.buffers = d.buffers[:last]
			return b[:0:size]
		}
	}
	return make([]byte, 0, size)
}

// streamed yields the data of a reader.
type streamed struct {
	io.Reader

	piece []byte
	end   func(pool *decoders)
}

func (s *streamed) next() ([]byte, error) {
	n, err := s.Read(s.piece)
	return s.piece[:n], err
}

func (s *streamed) close(pool *decoders) {
	pool.put(s.piece)
	if s.end != nil {
		s.end(pool)
	}
}

// all yields one piece, and then an error.
type all struct {
	b   []byte
	err error
}

func (a *all) next() ([]byte, error) { return a.b, a.err }

func (a *all) close(pool *decoders) { pool.put(a.b[:0]) }

func (d *decoders) openGzip(b []byte) (chunker, error) {
	d.mu.Lock()
	z := new(gzip.Reader)
	if last := len(d.gzips) - 1; last >= 0 {
		z, d.gzips = d.gzips[last], d.gzips[:last]
	}
	d.mu.Unlock()
	s := &streamed{Reader: gzipped{z}, piece: d.buffer(pieceSize)[:pieceSize], end: func(d *decoders) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.gzips = keep(d.gzips, z)
	}}
	if err := z.Reset(bytes.NewReader(b)); err != nil {
		s.close(d)
		if errors.Is(err, io.EOF) {
			err = errEndsEarly
		}
		return nil, err
	}
	return s, nil
}

// gzipped takes data behind a gzip member for the end, unless it is another member. Java does so, too.
type gzipped struct{ *gzip.Reader }

func (g gzipped) Read(b []byte) (int, error) {
	n, err := g.Reader.Read(b)
	if errors.Is(err, gzip.ErrHeader) {
		err = io.EOF
	}
	return n, err
}
