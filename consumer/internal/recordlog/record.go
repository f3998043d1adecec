package recordlog

import (
	"fmt"
	"time"

	"convdel/schema"
)

// Bounds limit how much memory a producer can make a reader hold.
type Bounds struct {
	// Batch is the largest size to which a batch may decompress, in bytes. Default: 64 MiB.
	Batch int64
	// Record is the largest size of a record, in bytes: key, value and headers, and [HeaderCost] for each header. Default:
	// 8 MiB.
	Record int64
}

const (
	defaultBatch  = 64 << 20
	defaultRecord = 8 << 20
	// spareRoom is for small things: a decoder's tables, a piece, rounding.
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

// Room is the memory, in bytes, that is enough for any fetch and any [Fetched.Each], if fetches ask for at most maxBytes.
func (b Bounds) Room(maxBytes int32) int64 {
	b = b.orDefault()
	return b.Batch + b.Batch/8 + max(int64(maxBytes), 2*leastWhole) + 2*b.Record + maxStream + spareRoom
}

// HeaderCost is what a header counts in addition to its bytes.
const HeaderCost = 64

// NoEpoch stands for a leader epoch that is not known.
const NoEpoch int32 = -1

// Record is one record of the log. Its bytes belong to it, so it may be kept.
type Record struct {
	Offset int64
	// Time is the producer's time, or the broker's where the topic is set to LogAppendTime; zero if there is none.
	Time time.Time
	// Epoch is the epoch of the leader that has appended the record; [NoEpoch] if unknown.
	Epoch int32
	// Key and Value are nil if they are null, which is not the same as empty.
	Key, Value []byte
	Headers    []schema.Header
	// Size is what the record counts against [Bounds.Record]. For an omitted record it is the size of the key that is held.
	Size int64
	// Use is false for a record that is no event: its transaction was aborted, or it is a marker of a transaction.
	Use bool
	// Omitted is set if the record is beyond [Bounds.Record]. Then the value and the headers are missing.
	Omitted *Omitted
}

// Omitted describes a record beyond the bounds.
type Omitted struct {
	// Why names the bound.
	Why string
	// Size is the value's size in bytes, SHA256 the value's hash.
	Size   int64
	SHA256 [32]byte
}

// NeedRoomError says that an answer, or its decoding, takes more memory than was allowed.
type NeedRoomError struct {
	// Bytes is the memory that is needed in all.
	Bytes int64
}

func (e *NeedRoomError) Error() string {
	return fmt.Sprintf("fetched records take %d bytes of memory", e.Bytes)
}

// These are the reasons of a [BatchError].
const (
	ReasonCRC         = "crc"
	ReasonCompression = "compression"
	ReasonMalformed   = "malformed"
	ReasonTooLarge    = "too_large"
)

// BatchError says that a batch can't be read to its end.
type BatchError struct {
	// Base and Last are the batch's first and last offset. First is the first offset that can't be read.
	Base, First, Last int64
	// Epoch is the epoch of the leader that has appended the batch; [NoEpoch] if unknown.
	Epoch int32
	// Reason is a word for metrics: [ReasonCRC] or one of the constants beside it.
	Reason string
	// Raw is the batch as the log has it; nil if it is too large to be held. Size and SHA256 are those of the whole batch.
	Raw    []byte
	Size   int64
	SHA256 [32]byte
	Err    error
}

func (e *BatchError) Error() string {
	return fmt.Sprintf("batch %d to %d can't be read from offset %d on: %v", e.Base, e.Last, e.First, e.Err)
}

// Unwrap returns the error with which reading failed.
func (e *BatchError) Unwrap() error { return e.Err }
