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

// Version 4 of Fetch is the first one that lists what was rolled back, and that always brings a whole batch. From 12 on,
// messages are written in another way.
const (
	oldestFetch, newestFetch = 4, 11
)

const (
	// leastDecoding is what decoding takes at least, in bytes, beside an answer.
	leastDecoding = 64 << 10
	// answerHead is how much is read of an answer that is too large, to see what its first batch is: up to there, an
	// answer has some bytes and 16 for each transaction that was rolled back.
	answerHead = 64 << 10
)

// answer is what a broker says to a fetch.
type answer struct {
	*kmsg.FetchResponse

	// held is how many bytes it takes.
	held int64
	// huge is the head of the first batch where that is too large to be held, sum its hash.
	huge *batch
	sum  [sha256.Size]byte
}

// fetched reads the answer to a fetch. What is too large for the room is not held: the error is a [*NeedRoomError], and
// the connection is as good as before.
func (w *wire) fetched(ctx context.Context, req *kmsg.FetchRequest, r Request, bounds Bounds) (*answer, error) {
	size, err := w.size()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err // nobody waits for it, and nobody counts its memory
	}
	if most := bounds.Batch + int64(r.MaxBytes) + answerHead; r.Room > 0 && size > r.Room || size > most {
		refusal := fmt.Errorf("%w: it has %d bytes", errAnswer, size)
		if r.Room > 0 && size <= most {
			refusal = &NeedRoomError{Bytes: size + 2*leastDecoding} // and a record
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

// tooLarge looks at the beginning of an answer that is not held, and discards the rest. It returns the refusal unless the first
// batch alone is beyond the bounds: then no room helps.
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

// huge makes an answer of the first batch's head and hash alone. What was rolled back does not matter then.
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

// discard reads what is left of an answer, size bytes at most, and returns err if that works.
func discard(rest io.Reader, size int64, err error) error {
	if _, lost := io.CopyN(io.Discard, rest, size); lost != nil {
		return lost
	}
	return err
}

// recordsStart tells where in the answer to a fetch of one partition the list of what was rolled back begins, and where its
// records begin, from the answer's number on. Of the list no more than its length has to be there.
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

// afterAborted is how many bytes stand between the beginning of the list of what was rolled back and the records, if the list
// is empty: lengths, and a replica.
func afterAborted(version int16) int {
	if version >= 11 {
		return 4 + 4 + 4
	}
	return 4 + 4
}
