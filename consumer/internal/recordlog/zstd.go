package recordlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// openZstd decompresses a batch that comes out small as a whole, without the window that its producer declares, a larger
// one piece by piece with that window, or as a whole too where the window is larger than that is worth.
func (r *reader) openZstd(b []byte, limit int64) (chunker, error) {
	for size := wholeSize(b); ; {
		a, err := r.wholeZstd(b, size)
		if err != nil || a.err == nil || !errors.Is(a.err, zstd.ErrDecoderSizeExceeded) {
			return a, err
		}
		most := max(leastWhole, limit-int64(len(b)))
		if size >= leastWhole {
			if window := windowOf(b); window <= maxStream {
				return r.streamZstd(b, window)
			}
		}
		if size >= most {
			a.err = &fault{ReasonTooLarge, fmt.Errorf("it decompresses to more than %d bytes, which its window of %d asks to hold", most, windowOf(b))}
			return a, nil
		}
		a.close(r.pool)
		const factor = 4
		size = min(most, size*factor)
	}
}

// wholeSize guesses what a batch comes out as: a power of two.
func wholeSize(b []byte) int64 {
	const least, ratio = 256 << 10, 32
	size := int64(least)
	for size < leastWhole && size < ratio*int64(len(b)) {
		size *= 2
	}
	return size
}

// windowOf is what the first frame declares.
func windowOf(b []byte) int64 {
	var h zstd.Header
	if err := h.Decode(b); err != nil || h.Skippable {
		return maxStream // whatever it is, it has to do with that
	}
	size := h.WindowSize
	if h.SingleSegment {
		size = h.FrameContentSize
	}
	return int64(min(max(size, zstd.MinWindowSize), 1<<40))
}

// wholeZstd decompresses into so many bytes. What comes before an error is there.
func (r *reader) wholeZstd(b []byte, size int64) (*all, error) {
	if err := r.takes(size + zstdSize); err != nil {
		return nil, err
	}
	z, err := r.pool.zstd()
	if err != nil {
		return nil, err
	}
	out, err := z.DecodeAll(b, r.pool.buffer(size))
	r.pool.putZstd(z)
	if err == nil {
		err = io.EOF
	}
	return &all{out, err}, nil
}

func (r *reader) streamZstd(b []byte, window int64) (chunker, error) {
	if err := r.takes(window + zstdSize + pieceSize); err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(bytes.NewReader(b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(uint64(window)), zstd.WithDecodeBuffersBelow(0)) //nolint:gosec // not negative
	if err != nil {
		return nil, err
	}
	return &streamed{Reader: oneWindow{z}, piece: r.pool.buffer(pieceSize)[:pieceSize], end: func(*decoders) { z.Close() }}, nil
}

// oneWindow says what a frame is refused for that declares more than the first one.
type oneWindow struct{ io.Reader }

func (o oneWindow) Read(b []byte) (int, error) {
	n, err := o.Reader.Read(b)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = &fault{ReasonTooLarge, err}
	}
	return n, err
}

func (d *decoders) zstd() (*zstd.Decoder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last := len(d.zstds) - 1; last >= 0 {
		z := d.zstds[last]
		d.zstds = d.zstds[:last]
		return z, nil
	}
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
}

func (d *decoders) putZstd(z *zstd.Decoder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zstds = keep(d.zstds, z)
}
