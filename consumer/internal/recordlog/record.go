package recordlog

import (
	"fmt"
	"time"

	"convdel/schema"
)

// Bounds are on what a producer may make a reader hold.
type Bounds struct {
	// Batch is what a batch may decompress to, in bytes. Default: 64 MiB.
	Batch int64
	// Record is what a record may have in bytes: key, value and headers, and [HeaderCost] for each header. Default: 8 MiB.
	Record int64
}

const (
	defaultBatch  = 64 << 20
	defaultRecord = 8 << 20
	// spareRoom is for what is small: a decoder's tables, a piece, rounding.
	spareRoom = 1 << 20
)

func (b Bounds) orDefault() Bounds {
	if b.Batch <= 0 {
		b.Batch = defaultBatch
	}
	if b.Record <= 0 {
		b.Record = defaultRecord
	}
	return b
}

// Room is what no fetch and no [Fetched.Each] ever needs more than, in bytes, where fetches ask for maxBytes at most.
func (b Bounds) Room(maxBytes int32) int64 {
	b = b.orDefault()
	return b.Batch + b.Batch/8 + max(int64(maxBytes), 2*leastWhole) + 2*b.Record + maxStream + spareRoom
}

// HeaderCost is what a header counts beside its bytes.
const HeaderCost = 64

// NoEpoch stands for a leader epoch that is not known.
const NoEpoch int32 = -1

// Record is one record of the log. Its bytes are its own: whoever gets it may keep it.
type Record struct {
	Offset int64
	// Time is the producer's, or the broker's where the topic's records have that; zero if there is none.
	Time time.Time
	// Epoch is that of the leader who has appended it; [NoEpoch] if unknown.
	Epoch int32
	// Key and Value are nil where they are null, which is not the same as empty.
	Key, Value []byte
	Headers    []schema.Header
	// Size is what it counts against [Bounds.Record]. Of an omitted one it is what is held of it.
	Size int64
	// Use is false for what is no event: rolled back by its producer, or a marker of a transaction.
	Use bool
	// Omitted, unless nil, says that the record is beyond [Bounds.Record]: its value is not there, nor are headers.
	Omitted *Omitted
}

// Omitted says what a record beyond the bounds has.
type Omitted struct {
	// Why names the bound.
	Why string
	// Size is the value's in bytes, SHA256 its hash.
	Size   int64
	SHA256 [32]byte
}

// NeedRoomError says that an answer, or its decoding, takes more memory than was allowed.
type NeedRoomError struct {
	// Bytes are needed in all.
	Bytes int64
}

func (e *NeedRoomError) Error() string {
	return fmt.Sprintf("fetched records take %d bytes of memory", e.Bytes)
}

// Reasons of a [BatchError].
const (
	ReasonCRC         = "crc"
	ReasonCompression = "compression"
	ReasonMalformed   = "malformed"
	ReasonTooLarge    = "too_large"
)

// BatchError says that a batch can't be read to its end.
type BatchError struct {
	// Base is the batch's first offset, First the first one that can't be read, Last the batch's last.
	Base, First, Last int64
	// Epoch is that of the leader who has appended it; [NoEpoch] if unknown.
	Epoch int32
	// Reason is a word for metrics: [ReasonCRC] and its siblings.
	Reason string
	// Raw is the batch as the log has it; nil where it is too large to be held. Size and SHA256 are of all of it.
	Raw    []byte
	Size   int64
	SHA256 [32]byte
	Err    error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("batch %d to %d can't be read from offset %d on: %v", e.Base, e.Last, e.First, e.Err)
}

// Unwrap returns what reading failed with.
func (e *BatchError) Unwrap() error { return e.Err }
