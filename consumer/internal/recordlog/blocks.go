package recordlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
)

var errBlock = errors.New("a compressed block is broken")

// lz4Blocks yields the blocks of an LZ4 frame. It checks neither the checksum of the frame's head, which producers of
// format 0 compute wrongly, nor those of blocks, since the batch has a checksum of its own. It ignores data behind the
// frame.
type lz4Blocks struct {
	rest []byte
	// out holds the previous block, if blocks depend on it, and behind that the present one.
	out  []byte
	most int
	// linked says that blocks refer to earlier ones. summed says that each block has a checksum.
	linked, summed bool
}

const lz4History = 64 << 10

// openLZ4 reads a frame's head.
func (r *reader) openLZ4(b []byte) (chunker, error) {
	const (
		magic                              = 0x184d2204
		head                               = 7
		version, independent, sums, length = 0xc0, 0x20, 0x10, 0x08
		dictionary                         = 0x01
	)
	if len(b) < head || binary.LittleEndian.Uint32(b) != magic || b[4]&version != 0x40 || b[4]&dictionary != 0 {
		return nil, errors.New("it is no LZ4 frame")
	}
	l := &lz4Blocks{linked: b[4]&independent == 0, summed: b[4]&sums != 0}
	size := b[5] >> 4 & 7
	if size < 4 {
		return nil, fmt.Errorf("it is an LZ4 frame with blocks of the unknown kind %d", size)
	}
	l.most = 1 << (8 + 2*int(size)) // 64 KiB to 4 MiB
	start := head
	if b[4]&length != 0 {
		start += 8
	}
	if len(b) < start {
		return nil, errEndsEarly
	}
	l.rest = b[start:]
	// A byte of input becomes at most 255 bytes of output, so a declared size takes no more memory than the input can fill.
	l.most = min(l.most, 256*len(b)+64)
	size64 := int64(l.most)
	if l.linked {
		size64 += lz4History
	}
	if err := r.takes(size64); err != nil {
		return nil, err
	}
	l.out = r.pool.buffer(size64)
	return l, nil
}

func (l *lz4Blocks) next() ([]byte, error) {
	const word, plain = 4, 1 << 31
	if len(l.rest) < word {
		return nil, errEndsEarly
	}
	size := binary.LittleEndian.Uint32(l.rest)
	if size == 0 {
		return nil, io.EOF
	}
	l.rest = l.rest[word:]
	n := int(size &^ plain)
	if n > len(l.rest) {
		return nil, errEndsEarly
	}
	block := l.rest[:n]
	l.rest = l.rest[n:]
	if l.summed {
		l.rest = l.rest[min(word, len(l.rest)):]
	}
	if size&plain != 0 && !l.linked {
		return block, nil
	}
	history := l.history()
	out := l.out[len(history) : len(history)+l.most]
	if size&plain != 0 {
		if n > len(out) {
			return nil, errBlock
		}
		copy(out, block)
	} else {
		var err error
		if n, err = lz4.UncompressBlockWithDict(block, out, history); err != nil {
			return nil, err
		}
	}
	l.out = l.out[:len(history)+n]
	return out[:n], nil
}

// history moves the data that the next block may refer to, to the beginning of the buffer, and returns it.
func (l *lz4Blocks) history() []byte {
	if !l.linked {
		return nil
	}
	old := l.out[max(0, len(l.out)-lz4History):]
	return l.out[:copy(l.out, old)]
}

func (l *lz4Blocks) close(pool *decoders) { pool.put(l.out[:0]) }

// snappyBlocks yields blocks of Snappy: a single one, or those of a frame of Java's Snappy library.
type snappyBlocks struct {
	r     *reader
	rest  []byte
	out   []byte
	limit int64
	// framed says that each block is preceded by its length.
	framed bool
}

func (r *reader) openSnappy(b []byte, limit int64) (chunker, error) {
	s := &snappyBlocks{r: r, rest: b, limit: limit}
	const head = 16 // a name and two versions
	if bytes.HasPrefix(b, []byte("\x82SNAPPY\x00")) {
		if len(b) < head {
			return nil, errEndsEarly
		}
		s.framed, s.rest = true, b[head:]
	}
	return s, nil
}

func (s *snappyBlocks) next() ([]byte, error) {
	if len(s.rest) == 0 {
		return nil, io.EOF
	}
	block := s.rest
	if s.framed {
		const word = 4
		if len(s.rest) < word {
			return nil, errEndsEarly
		}
		n := int64(binary.BigEndian.Uint32(s.rest))
		if n > int64(len(s.rest)-word) {
			return nil, errEndsEarly
		}
		block = s.rest[word : word+n]
		s.rest = s.rest[word+n:]
	} else {
		s.rest = nil
	}
	return s.decode(block)
}

// decode decompresses a block. It first counts the length, since a block may declare far more than it contains. Of a block
// that is too large to be held, it decompresses the beginning.
func (s *snappyBlocks) decode(block []byte) ([]byte, error) {
	declared, n := binary.Uvarint(block)
	if n <= 0 {
		return nil, errBlock
	}
	most := max(leastWhole, s.limit-int64(len(block)))
	size, end, ok := snappySize(block[n:], most)
	if !ok {
		return nil, errBlock
	}
	var behind error
	if n+end < len(block) {
		behind = &fault{ReasonTooLarge, fmt.Errorf("a block decompresses to more than %d bytes", most)}
		block = append(binary.AppendUvarint(nil, uint64(size)), block[n:n+end]...) //nolint:gosec // not negative
	} else if uint64(size) != declared { //nolint:gosec // not negative
		return nil, errBlock
	}
	if int64(cap(s.out)) < size {
		if err := s.r.takes(size); err != nil {
			return nil, err
		}
		s.r.pool.put(s.out)
		s.out = s.r.pool.buffer(max(size, pieceSize))
	}
	out, err := snappy.Decode(s.out[:cap(s.out)], block)
	if err != nil {
		return nil, err
	}
	return out, behind
}

func (s *snappyBlocks) close(pool *decoders) { pool.put(s.out[:0]) }

// snappySize counts the bytes to which the elements of a block decompress, until they are more than most. end is how many
// bytes of the block these elements take. ok is false if the elements can't be read.
func snappySize(b []byte, most int64) (size int64, end int, ok bool) {
	for i := 0; i < len(b); {
		var n, took int
		switch tag := int(b[i]); tag & 3 {
		case 0:
			n, took = tag>>2+1, 1
			if wide := n - 60; wide > 0 { // the length has bytes of its own
				if n = 0; i+1+wide > len(b) {
					return 0, 0, false
				}
				for k := wide; k > 0; k-- {
					n = n<<8 | int(b[i+k])
				}
				n, took = n+1, 1+wide
			}
			took += n
		case 1:
			n, took = tag>>2&7+4, 2
		case 2:
			n, took = tag>>2+1, 3
		default:
			n, took = tag>>2+1, 5
		}
		if took > len(b)-i {
			return 0, 0, false
		}
		if size+int64(n) > most {
			return size, i, true
		}
		size += int64(n)
		i += took
	}
	return size, len(b), true
}
