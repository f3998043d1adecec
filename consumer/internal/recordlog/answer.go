package recordlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Version 4 of Fetch is the first one that lists aborted transactions and always returns a whole batch. Version 12 and
// later encode messages in another way.
const (
	oldestFetch, newestFetch = 4, 11
)

const (
	// leastDecoding is the memory that decoding takes at least, in bytes, besides the answer.
	leastDecoding = 64 << 10
	// answerHead is how much of a too large answer is read to find its first batch. Before that batch an answer has a few
	// fixed bytes, and 16 for each aborted transaction.
	answerHead = 64 << 10
)

// answer is a broker's answer to a fetch.
type answer struct {
	*kmsg.FetchResponse

	// held is the answer's size in memory, in bytes.
	held int64
	// huge is the head of the first batch if that batch is too large to be held. sum is the batch's hash.
	huge *batch
	sum  [sha256.Size]byte
}

// fetched reads the answer to a fetch. It does not hold an answer that is larger than the room: it returns a
// [*NeedRoomError] then, and the connection can be used again.
func (w *wire) fetched(ctx context.Context, req *kmsg.FetchRequest, r Request, bounds Bounds) (*answer, error) {
	size, err := w.size()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err // nobody waits for the answer, and nobody counts its memory
	}
	if most := bounds.Batch + int64(r.MaxBytes) + answerHead; r.Room > 0 && size > r.Room || size > most {
		refusal := fmt.Errorf("%w: it has %d bytes", errAnswer, size)
		if r.Room > 0 && size <= most {
			refusal = &NeedRoomError{Bytes: size + 2*leastDecoding} // room for a record, too
		}
		return w.tooLarge(req, size, bounds, refusal)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(w.rw, body); err != nil {
		return nil, err
	}
	return w.parseFetched(req, body)
}

func (w *wire) parseFetched(req *kmsg.FetchRequest, body []byte) (*answer, error) {
	got, err := w.parse(req, body)
	if err != nil {
		return nil, err
	}
	res, _ := got.(*kmsg.FetchResponse)
	return &answer{FetchResponse: res, held: int64(len(body))}, nil
}

// tooLarge looks at the beginning of an answer that is not held, and discards the rest. It returns refusal, unless the
// first batch alone is beyond the bounds. Then no room is enough, and the answer is made of that batch's head and hash.
func (w *wire) tooLarge(req *kmsg.FetchRequest, size int64, bounds Bounds, refusal error) (*answer, error) {
	head := make([]byte, min(size, answerHead))
	if _, err := io.ReadFull(w.rw, head); err != nil {
		return nil, err
	}
	rest := io.MultiReader(bytes.NewReader(head), io.LimitReader(w.rw, size-int64(len(head))))
	aborted, start, ok := recordsStart(req.Version, head)
	if !ok || start+batchHead > size {
		return nil, discard(rest, size, refusal)
	}
	if _, err := io.CopyN(io.Discard, rest, start); err != nil {
		return nil, err
	}
	raw := make([]byte, batchHead)
	if _, err := io.ReadFull(rest, raw); err != nil {
		return nil, err
	}
	left := size - start - batchHead
	first, err := readHead(raw)
	if err != nil || first.size <= bounds.Batch {
		return nil, discard(rest, left, refusal)
	}
	return w.huge(req, rest, left, append(head[:aborted:aborted], make([]byte, afterAborted(req.Version))...), first, raw)
}

// huge makes an answer of the first batch's head and hash. The list of aborted transactions is left out, since no record is
// read.
func (w *wire) huge(req *kmsg.FetchRequest, rest io.Reader, left int64, head []byte, first *batch, raw []byte) (*answer, error) {
	a, err := w.parseFetched(req, head)
	if err != nil {
		return nil, err
	}
	first.raw = nil
	a.huge = first
	hash := sha256.New()
	_, _ = hash.Write(raw)
	n, err := io.Copy(hash, io.LimitReader(rest, min(left, first.size-batchHead)))
	if err != nil {
		return nil, err
	}
	first.size = batchHead + n
	hash.Sum(a.sum[:0])
	return a, discard(rest, left-n, nil)
}

// discard reads the rest of an answer, at most size bytes. It returns err, unless reading fails.
func discard(rest io.Reader, size int64, err error) error {
	if _, lost := io.CopyN(io.Discard, rest, size); lost != nil {
		return lost
	}
	return err
}

// recordsStart returns the positions at which the list of aborted transactions and the records begin, in the answer to a
// fetch of one partition. Positions count from the answer's request number on. Of the list, b needs to hold only the
// length.
func recordsStart(version int16, b []byte) (aborted int, records int64, ok bool) {
	at := 4 + 4 + 4 // number, throttled, topics
	if version >= 7 {
		at += 2 + 4 // error, session
	}
	if len(b) < at+2 {
		return 0, 0, false
	}
	at += 2 + int(binary.BigEndian.Uint16(b[at:])) + 4 // topic, partitions
	at += 4 + 2 + 8 + 8                                // partition, error, high watermark, stable
	if version >= 5 {
		at += 8 // start
	}
	if len(b) < at+4 {
		return 0, 0, false
	}
	records = int64(at + afterAborted(version))
	if n := int32(binary.BigEndian.Uint32(b[at:])); n > 0 { //nolint:gosec // -1 is none
		records += 16 * int64(n)
	}
	return at, records, true
}

// afterAborted returns how many bytes lie between the beginning of an empty list of aborted transactions and the records:
// lengths, and a replica's number.
func afterAborted(version int16) int {
	if version >= 11 {
		return 4 + 4 + 4
	}
	return 4 + 4
}
