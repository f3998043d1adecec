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

// What a batch of format 2 and an entry of the formats before have in common: an offset, the length of what follows, four
// bytes, and the format's number.
const (
	lengthAt, epochAt, magicAt, afterMagic = 8, 12, 16, 17

	uncounted = 12 // offset and length themselves
	batchHead = 61
	crcFrom   = 21 // what a batch's checksum covers begins here

	legacyCRCFrom = 16
	legacyLeast   = 26 // without key, value and time
)

// The attributes of a batch.
const (
	codecMask      = 0x07
	logAppendTime  = 0x08
	transactionBit = 0x10
	controlBit     = 0x20
)

// batch is a batch of the log, or an entry of formats 0 and 1, which may be one in disguise.
type batch struct {
	kmsg.RecordBatch

	// base is its first offset, or of an entry its last; last is the last one as far as it can be believed.
	base, last int64
	// size is what it has in bytes, raw all of it.
	size int64
	raw  []byte
}

func (b *batch) control() bool       { return b.Attributes&controlBit != 0 }
func (b *batch) transactional() bool { return b.Attributes&transactionBit != 0 }

// readHead reads a batch's head as far as it is there. It returns nil if that is not as far as the format's number.
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
	_ = b.ReadFrom(head[:batchHead]) // all of it is there, and it has no lengths
	if b.LastOffsetDelta > 0 && b.base >= 0 && b.base <= math.MaxInt64-1-int64(b.LastOffsetDelta) {
		b.last = b.base + int64(b.LastOffsetDelta)
	}
}

// next reads the head of the next batch. It returns nil at the end, which may lie within a batch: brokers cut there.
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

// believe cuts a batch's claim on offsets down to what neither the next batch has nor lies behind the end of the log.
func (f *Fetched) believe(b *batch) {
	if f.HighWatermark > b.base {
		b.last = min(b.last, f.HighWatermark-1)
	}
	if b.size > 0 && b.size+lengthAt <= int64(len(f.rest)) {
		next := int64(binary.BigEndian.Uint64(f.rest[b.size:])) //nolint:gosec // offsets are signed
		switch {
		case next <= b.base:
		case b.Magic < 0 || b.Magic > 2:
			b.last = next - 1 // nothing else tells where it ends
		default:
			b.last = min(b.last, next-1)
		}
	}
}

// fault is the error for a batch that can't be read from an offset on. Whoever steps over it gets ahead, and not beyond
// the end of the log, whatever the batch says of its offsets.
func (f *Fetched) fault(b *batch, first int64, reason string, err error) *BatchError {
	last := b.last
	if end := f.HighWatermark; end >= 0 {
		last = min(last, end-1)
		if first >= end {
			first = f.Next
		}
	}
	first = max(first, f.Next)
	e := &BatchError{Base: b.base, First: first, Last: max(first, last), Reason: reason, Size: int64(len(b.raw)), Err: err}
	if e.Size <= f.log.Bounds.orDefault().Batch {
		e.Raw = slices.Clip(b.raw)
	}
	e.SHA256 = sha256.Sum256(b.raw)
	return e
}

// Each calls do with each record at or above the offset asked for, in order, until it returns an error. Decoding may take
// room bytes of memory (0: no limit), what is held of the answer included; what do keeps is not counted. Errors beside
// do's: a [*NeedRoomError], after which Each may be called again with more room; a [*BatchError] where a batch can't be
// read to its end, with all records before the fault delivered, and later batches left alone. Called again, it goes on
// with the first record that do has not accepted.
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

// reader reads batches on behalf of an Each.
type reader struct {
	*Fetched

	bounds Bounds
	pool   *decoders
	room   int64
	do     func(*Record) error
	// decoding is what the decompressor under way takes, in bytes.
	decoding int64
	// names are header keys that have been seen, few and short ones.
	names map[string]string
}

// need refuses what takes more memory than there is.
func (r *reader) need(bytes int64) error {
	if total := r.held + leastDecoding + r.decoding + bytes; r.room > 0 && total > r.room {
		const grain = 256 << 10 // not one attempt for each record that is larger than the one before
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
		return nil // no harm: it was rolled back
	}
	return r.fault(b, first, f.reason, f.err)
}

var errChecksum = errors.New("its checksum is another")

// readV2 reads the records of a batch of format 2. Where that fails, it returns the first offset that can't be read.
func (r *reader) readV2(b *batch, use bool) (int64, error) {
	count, span := int64(b.NumRecords), int64(b.LastOffsetDelta)+1
	if has := b.last - b.base + 1; count < 0 || span < 1 || count > has {
		return b.base, malformed("it has %d records for %d offsets", count, min(span, has))
	}
	src, err := r.open(int(b.Attributes&codecMask), b.raw[batchHead:], r.bounds.Batch)
	if _, bad := errors.AsType[*fault](err); bad && count == 0 {
		return 0, nil // compaction has left the codec, and no data
	}
	if err != nil {
		return b.base, err
	}
	defer r.close(src)
	if count == 0 && src.more() {
		return b.base, malformed("it has data and no records")
	}
	// Where there are as many records as offsets, a record's place is its offset, whatever it says.
	v := v2{reader: r, batch: b, src: src, use: use, dense: count == span, delta: -1}
	for left := count - 1; left >= 0; left-- {
		if err := v.next(left); err != nil {
			return b.base + v.delta + 1, err
		}
		v.delta = v.now
	}
	return 0, nil
}
