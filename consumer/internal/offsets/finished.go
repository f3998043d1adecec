package offsets

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The list of finished offsets is a letter for its form, followed by unpadded base64.
//
// After asRanges come unsigned varints, two for each range: the distance from the end of the previous range to the first
// offset, and the distance from the first offset to the last. The first range's distance is from the watermark.
//
// After asBits comes a bit for each offset from the watermark on, the lowest bit of a byte first. This form holds more
// offsets where finished and unfinished ones alternate.
//
// The list names only finished offsets. A range that does not fit is left out, and its events are executed again.
const (
	asRanges = "r"
	asBits   = "b"
)

// Range is the offsets First to Last, both included.
type Range struct{ First, Last int64 }

// ListError says that the list of finished offsets in a commit's metadata can't be read.
type ListError struct {
	// Watermark is the committed offset.
	Watermark int64
	Err       error
}

func (e *ListError) Error() string {
	return fmt.Sprintf("list of finished offsets above %d: %v", e.Watermark, e.Err)
}

// Unwrap returns what is wrong with the list.
func (e *ListError) Unwrap() error { return e.Err }

var (
	errForm  = errors.New("unknown form")
	errShort = errors.New("a number is cut short or has more than 64 bits")
	errOrder = errors.New("ranges don't ascend from the watermark")
)

// encodeFinished writes the ranges, which ascend and are above the watermark, in at most room bytes; "" for none.
func encodeFinished(watermark int64, ranges []Range, room int) string {
	most := base64.RawStdEncoding.DecodedLen(max(0, room-len(asRanges)))
	if len(ranges) == 0 || most == 0 {
		return ""
	}
	buf := make([]byte, 0, 64)
	from := watermark
	for _, r := range ranges {
		fits := len(buf)
		buf = binary.AppendUvarint(buf, uint64(r.First-from))   //nolint:gosec // ranges ascend
		buf = binary.AppendUvarint(buf, uint64(r.Last-r.First)) //nolint:gosec // ranges ascend
		if len(buf) > most {
			if r.First-watermark < int64(8*most) { // bits reach further
				return encodeBits(watermark, ranges, most)
			}
			buf = buf[:fits]
			break
		}
		from = r.Last
	}
	if len(buf) == 0 {
		return ""
	}
	return asRanges + base64.RawStdEncoding.EncodeToString(buf)
}

func encodeBits(watermark int64, ranges []Range, most int) string {
	bits := make([]byte, most)
	used := 0
	for _, r := range ranges {
		for o := r.First; o <= r.Last && o-watermark < int64(8*most); o++ {
			at := int(o - watermark)
			bits[at/8] |= 1 << (at % 8)
			used = at/8 + 1
		}
	}
	return asBits + base64.RawStdEncoding.EncodeToString(bits[:used])
}

// decodeFinished reads what encodeFinished has written. The error is a [*ListError].
func decodeFinished(watermark int64, list string) (ranges []Range, err error) {
	if list == "" {
		return nil, nil
	}
	defer func() {
		if err != nil {
			ranges, err = nil, &ListError{Watermark: watermark, Err: err}
		}
	}()
	buf, err := base64.RawStdEncoding.DecodeString(list[1:])
	if err != nil {
		return nil, err
	}
	switch list[:1] {
	case asRanges:
		return decodeRanges(watermark, buf)
	case asBits:
		return decodeBits(watermark, buf)
	}
	return nil, errForm
}

func decodeRanges(watermark int64, buf []byte) ([]Range, error) {
	var ranges []Range
	from := watermark
	for len(buf) > 0 {
		gap, n := binary.Uvarint(buf)
		if n <= 0 {
			return nil, errShort
		}
		length, m := binary.Uvarint(buf[n:])
		if m <= 0 {
			return nil, errShort
		}
		buf = buf[n+m:]
		// The watermark itself is unfinished, and no two ranges share an offset: a gap is at least one.
		first := from + int64(gap)    //nolint:gosec // an overflow is found below
		last := first + int64(length) //nolint:gosec // an overflow is found below
		if gap == 0 || first <= from || last < first {
			return nil, errOrder
		}
		ranges = append(ranges, Range{First: first, Last: last})
		from = last
	}
	return ranges, nil
}

func decodeBits(watermark int64, bits []byte) ([]Range, error) {
	if len(bits) > 0 && bits[0]&1 != 0 || watermark > math.MaxInt64-int64(8*len(bits)) {
		return nil, errOrder // the watermark itself is unfinished, and no offset is beyond 64 bits
	}
	var ranges []Range
	for at := range 8 * len(bits) {
		if bits[at/8]&(1<<(at%8)) == 0 {
			continue
		}
		o := watermark + int64(at)
		if n := len(ranges); n > 0 && ranges[n-1].Last == o-1 {
			ranges[n-1].Last = o
		} else {
			ranges = append(ranges, Range{First: o, Last: o})
		}
	}
	return ranges, nil
}
