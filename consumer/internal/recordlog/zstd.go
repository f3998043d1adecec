package recordlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// openZstd decompresses a batch. A small batch is decompressed as a whole, which takes no window, whatever window its
// producer declares. A larger batch is decompressed piece by piece with its window, or as a whole if that window is beyond
// maxStream.
func (r *reader) openZstd(b []byte, limit int64) (chunker, error) {
	for size := wholeSize(b); ; size *= 2 {
		a, err := r.wholeZstd(b, size)
		if err != nil || !errors.Is(a.err, zstd.ErrDecoderSizeExceeded) {
			return a, err
		}
		a.close(r.pool)
		if size >= leastWhole {
			break
		}
	}
	window := windowOf(b)
	if window <= maxStream {
		return r.streamZstd(b, window)
	}
	for size := int64(4 * leastWhole); ; size *= 4 {
		size = max(leastWhole, min(size, limit-int64(len(b))))
		a, err := r.largeZstd(b, size)
		if err != nil || !errors.Is(a.err, zstd.ErrDecoderSizeExceeded) {
			return a, err
		}
		if size >= limit-int64(len(b)) {
			a.err = &fault{ReasonTooLarge, fmt.Errorf("it decompresses to more than %d bytes, which its window of %d asks to hold", size, window)}
			return a, nil
		}
	}
}

// wholeSize guesses a batch's decompressed size as a power of two.
func wholeSize(b []byte) int64 {
	const least, ratio = 256 << 10, 32
	size := int64(least)
	for size < leastWhole && size < ratio*int64(len(b)) {
		size *= 2
	}
	return size
}

// windowOf returns the window that the first frame declares.
func windowOf(b []byte) int64 {
	var h zstd.Header
	if err := h.Decode(b); err != nil || h.Skippable {
		return maxStream // an unreadable frame gets the largest window
	}
	size := h.WindowSize
	if h.SingleSegment {
		size = h.FrameContentSize
	}
	return int64(min(max(size, zstd.MinWindowSize), 1<<40))
}

// wholeZstd decompresses up to size bytes. Data before an error is returned, too.
func (r *reader) wholeZstd(b []byte, size int64) (*all, error) {
	const over = 2 // the decoder's output grows once before the decoder says that it does not fit
	if err := r.takes(over*size + zstdSize); err != nil {
		return nil, err
	}
	z, err := r.pool.zstd()
	if err != nil {
		return nil, err
	}
	a := decoded(z, b, r.pool.buffer(size))
	r.pool.putZstd(z)
	return a, nil
}

func decoded(z *zstd.Decoder, b, into []byte) *all {
	out, err := z.DecodeAll(b, into)
	if err == nil {
		err = io.EOF
	}
	return &all{out, err}
}

// largeZstd is wholeZstd for a batch with a window beyond maxStream. The decoder bounds the window by the bound on the
// output. So the frame's head is changed meanwhile: it declares a window of that size.
func (r *reader) largeZstd(b []byte, size int64) (*all, error) {
	const spare = 256 << 10 // one block more, so that the output does not grow
	descriptor, window := windowFor(size)
	if err := r.takes(window + spare + zstdSize); err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(uint64(window))) //nolint:gosec // not negative
	if err != nil {
		return nil, err
	}
	defer z.Close()
	const head, single, at = 6, 0x20, 5
	if len(b) >= head && b[at-1]&single == 0 {
		was := b[at]
		b[at] = descriptor
		defer func() { b[at] = was }()
	}
	return decoded(z, b, make([]byte, 0, window+spare)), nil
}

// windowFor returns the smallest window of at least size bytes that a frame can declare, and its descriptor.
func windowFor(size int64) (byte, int64) {
	const least, parts = 10, 8
	for log := least; ; log++ {
		for part := range parts {
			if window := int64(1)<<log + int64(1)<<log/parts*int64(part); window >= size {
				return byte((log-least)<<3 | part), window //nolint:gosec // sizes have 40 bits at most
			}
		}
	}
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

// oneWindow turns the refusal of a later frame with a larger window into a fault.
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
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxWindow(1<<41)) // the window is not allocated
}

func (d *decoders) putZstd(z *zstd.Decoder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.zstds = keep(d.zstds, z)
}
