package recordlog

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batches of format 2 and entries of the older formats begin alike: an offset, the length of the rest, four bytes, and the
// number of the format.
const (
	lengthAt, epochAt, magicAt, afterMagic = 8, 12, 16, 17

	uncounted = 12 // offset and length
	batchHead = 61
	crcFrom   = 21 // the batch's checksum covers the bytes from here on

	legacyCRCFrom = 16
	legacyLeast   = 26 // an entry without key, value and time
)

// These are the attributes of a batch.
const (
	codecMask      = 0x07
	logAppendTime  = 0x08
	transactionBit = 0x10
	controlBit     = 0x20
)

// batch is a batch of the log. An entry of format 0 or 1 is taken for a batch, too, since it may contain several messages.
type batch struct {
	kmsg.RecordBatch

	// base is the first offset of a batch, or the last one of an entry. last is the last offset that the batch can have,
	// see believe.
	base, last int64
	// size is the batch's size in bytes, raw are these bytes.
	size int64
	raw  []byte
}

func (b *batch) control() bool       { return b.Attributes&controlBit != 0 }
func (b *batch) transactional() bool { return b.Attributes&transactionBit != 0 }

// readHead reads as much of a batch's head as b holds. It returns nil if b ends before the number of the format.
func readHead(b []byte) (*batch, error) {
	if len(b) < afterMagic {
		return nil, errEndsEarly
	}
	h := &batch{
		base: int64(binary.BigEndian.Uint64(b)),                               //nolint:gosec // offsets are signed
		size: uncounted + int64(int32(binary.BigEndian.Uint32(b[lengthAt:]))), //nolint:gosec // so are lengths
	}
	h.last = h.base
	h.Magic = int8(b[magicAt]) //nolint:gosec // and formats
	h.PartitionLeaderEpoch = NoEpoch
	least := int64(legacyLeast)
	switch h.Magic {
	case 0, 1:
	case 2:
		least = batchHead
		if len(b) >= batchHead {
			h.parse(b)
		}
	default:
		return h, fmt.Errorf("it has the unknown format %d", h.Magic)
	}
	switch {
	case h.base < 0:
		return h, fmt.Errorf("its offset is %d", h.base)
	case h.size < least:
		return h, fmt.Errorf("its length is %d bytes", h.size)
	}
	return h, nil
}

// parse reads a head of format 2.
func (b *batch) parse(head []byte) {
	_ = b.ReadFrom(head[:batchHead]) // it can't fail: the head is complete, and all of its fields have a fixed length
	if b.LastOffsetDelta > 0 && b.base >= 0 && b.base <= math.MaxInt64-1-int64(b.LastOffsetDelta) {
		b.last = b.base + int64(b.LastOffsetDelta)
	}
}

// next reads the head of the next batch. It returns nil at the end of the answer. Brokers may cut an answer within a batch.
func (f *Fetched) next() (*batch, error) {
	if len(f.rest) == 0 {
		return nil, nil
	}
	b, err := readHead(f.rest)
	cut := b == nil || err == nil && b.size > int64(len(f.rest))
	switch {
	case cut && f.decoded:
		return nil, nil
	case b == nil:
		b = &batch{base: f.Next, last: f.Next, size: int64(len(f.rest))}
	case cut:
		err = errEndsEarly
	}
	f.believe(b)
	if b.raw = f.rest; b.size >= afterMagic && b.size <= int64(len(f.rest)) {
		b.raw = f.rest[:b.size]
	}
	if err != nil {
		return nil, f.fault(b, b.base, ReasonMalformed, err)
	}
	return b, nil
}

// believe limits the offsets that a batch claims: they end before the next batch, and before the end of the log.
func (f *Fetched) believe(b *batch) {
	if f.HighWatermark > b.base {
		b.last = min(b.last, f.HighWatermark-1)
	}
	if b.size > 0 && b.size+lengthAt <= int64(len(f.rest)) {
		next := int64(binary.BigEndian.Uint64(f.rest[b.size:])) //nolint:gosec // offsets are signed
		switch {
		case next <= b.base:
		case b.Magic < 0 || b.Magic > 2:
			b.last = next - 1 // in an unknown format the length of the batch is unknown
		default:
			b.last = min(b.last, next-1)
		}
	}
}

// fault returns the error for a batch that can't be read from an offset on. Whatever the batch says of its offsets, its
// Last is at or above the position and below the end of the log. So a reader that continues behind Last always makes
// progress.
func (f *Fetched) fault(b *batch, first int64, reason string, err error) *BatchError {
	last := b.last
	if end := f.HighWatermark; end >= 0 {
		last = min(last, end-1)
		if first >= end {
			first = f.Next
		}
	}
	first = max(first, f.Next)
	e := &BatchError{Epoch: b.PartitionLeaderEpoch, Base: b.base, First: first, Last: max(first, last), Reason: reason, Size: int64(len(b.raw)), Err: err}
	if e.Size <= f.log.Bounds.orDefault().Batch {
		e.Raw = slices.Clip(b.raw)
	}
	e.SHA256 = sha256.Sum256(b.raw)
	return e
}

// Each calls do with each record at or above the offset asked for, in order, until do returns an error. Decoding may take
// room bytes of memory (0: no limit), the answer itself included; memory that do keeps is not counted. Errors that are not
// do's own:
//
//   - A [*NeedRoomError] says that room is too small. Each may be called again with more.
//   - A [*BatchError] says that a batch can't be read to its end. All records before the fault have been delivered, and no record of
//     a later batch.
//
// The next call of Each continues with the first record that do has not accepted.
func (f *Fetched) Each(room int64, do func(*Record) error) error {
	if f.huge != nil {
		return f.huge
	}
	r := &reader{Fetched: f, bounds: f.log.Bounds.orDefault(), pool: &f.log.decoders, room: room, do: do}
	for {
		b, err := f.next()
		if b == nil || err != nil {
			return err
		}
		if err := r.read(b); err != nil {
			return err
		}
		f.Next = max(f.Next, b.last+1)
		f.rest, f.decoded = f.rest[b.size:], true
	}
}

// reader reads batches for Each.
type reader struct {
	*Fetched

	bounds Bounds
	pool   *decoders
	room   int64
	do     func(*Record) error
	// decoding is the memory of the present decompressor, in bytes.
	decoding int64
	// names are header keys seen before. It holds a few short ones.
	names map[string]string
}

// need returns an error if bytes more would take more memory than the room.
func (r *reader) need(bytes int64) error {
	if total := r.held + leastDecoding + r.decoding + bytes; r.room > 0 && total > r.room {
		const grain = 256 << 10 // a coarse step, or each larger record would cost an attempt of its own
		return &NeedRoomError{Bytes: (total + grain - 1) / grain * grain}
	}
	return nil
}

// read reads a batch.
func (r *reader) read(b *batch) error {
	if b.Magic < 2 {
		return r.readLegacy(b)
	}
	if uint32(b.CRC) != crc32.Checksum(b.raw[crcFrom:], crc32.MakeTable(crc32.Castagnoli)) { //nolint:gosec // the same 32 bits
		return r.fault(b, b.base, ReasonCRC, errChecksum)
	}
	use := r.aborted.use(b)
	if b.last < r.Next && !b.control() {
		return nil
	}
	first, err := r.readV2(b, use)
	var f *fault
	switch {
	case !errors.As(err, &f):
		return err
	case !use && !b.control():
		return nil // the batch was rolled back, so its faults do not matter
	}
	return r.fault(b, first, f.reason, f.err)
}

var errChecksum = errors.New("its checksum does not match")

// readV2 reads the records of a batch of format 2. With an error it returns the first offset that can't be read.
func (r *reader) readV2(b *batch, use bool) (int64, error) {
	count, span := int64(b.NumRecords), int64(b.LastOffsetDelta)+1
	if has := b.last - b.base + 1; count < 0 || span < 1 || count > has {
		return b.base, malformed("it has %d records for %d offsets", count, min(span, has))
	}
	src, err := r.open(int(b.Attributes&codecMask), b.raw[batchHead:], r.bounds.Batch)
	if _, bad := errors.AsType[*fault](err); bad && count == 0 {
		return 0, nil // compaction has removed the data and left the codec
	}
	if err != nil {
		return b.base, err
	}
	defer r.close(src)
	if count == 0 && src.more() {
		return b.base, malformed("it has data and no records")
	}
	// Where there are as many records as offsets, a record's position gives its offset, whatever the record says.
	v := v2{reader: r, batch: b, src: src, use: use, dense: count == span, delta: -1}
	for left := count - 1; left >= 0; left-- {
		if err := v.next(left); err != nil {
			return b.base + v.delta + 1, err
		}
		v.delta = v.now
	}
	return 0, nil
}
