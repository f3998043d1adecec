package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A commit carries, besides the watermark, the offsets above it that have ended already: events end
// out of order, and without the list whoever takes the partition over would repeat everything
// behind one slow event. It is a part of the commit's metadata, see stamp.
//
// Form: a letter that names it, then unpadded base64. Behind asRanges stand unsigned varints, two
// per range: the distance from the end of the previous range (at first: from the watermark) to the
// first offset, and from the first offset to the last. Where that does not fit, because ended and open
// offsets alternate, a bit per offset from the watermark on stands behind asBits. What does not
// fit in either is left out: a missing offset is merely called again, while a wrong one would be an
// event lost.
const (
	asRanges = "r"
	asBits   = "b"
)

// offsetRange is first to last, both included.
type offsetRange struct{ first, last int64 }

// encodeDone writes ranges, ascending and above watermark, in at most room bytes; "" for none.
func encodeDone(watermark int64, ranges []offsetRange, room int) string {
	most := base64.RawStdEncoding.DecodedLen(max(0, room-len(asRanges)))
	if len(ranges) == 0 || most == 0 {
		return ""
	}
	buf := make([]byte, 0, 64)
	from := watermark
	for _, r := range ranges {
		n := len(buf)
		buf = binary.AppendUvarint(buf, uint64(r.first-from))   //nolint:gosec // ranges ascend
		buf = binary.AppendUvarint(buf, uint64(r.last-r.first)) //nolint:gosec // ranges ascend
		if len(buf) > most {
			if r.first-watermark < int64(8*most) { // bits reach further
				return encodeBits(watermark, ranges, most)
			}
			buf = buf[:n]
			break
		}
		from = r.last
	}
	if len(buf) == 0 {
		return ""
	}
	return asRanges + base64.RawStdEncoding.EncodeToString(buf)
}

func encodeBits(watermark int64, ranges []offsetRange, most int) string {
	bits := make([]byte, most)
	used := 0
	for _, r := range ranges {
		for o := r.first; o <= r.last && o-watermark < int64(8*most); o++ {
			at := int(o - watermark)
			bits[at/8] |= 1 << (at % 8)
			used = at/8 + 1
		}
	}
	return asBits + base64.RawStdEncoding.EncodeToString(bits[:used])
}

func decodeBits(watermark int64, bits []byte) ([]offsetRange, error) {
	if len(bits) > 0 && bits[0]&1 != 0 || watermark > math.MaxInt64-int64(8*len(bits)) {
		return nil, errDone // the watermark itself has not ended
	}
	var ranges []offsetRange
	for at := range 8 * len(bits) {
		if bits[at/8]&(1<<(at%8)) == 0 {
			continue
		}
		o := watermark + int64(at)
		if n := len(ranges); n > 0 && ranges[n-1].last == o-1 {
			ranges[n-1].last = o
		} else {
			ranges = append(ranges, offsetRange{first: o, last: o})
		}
	}
	return ranges, nil
}

var errDone = errors.New("list of finished offsets does not parse")

// decodeDone reads what encodeDone wrote.
func decodeDone(watermark int64, text string) ([]offsetRange, error) {
	if text == "" {
		return nil, nil
	}
	buf, err := base64.RawStdEncoding.DecodeString(text[1:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDone, err)
	}
	switch text[:1] {
	case asRanges:
		return decodeRanges(watermark, buf)
	case asBits:
		return decodeBits(watermark, buf)
	}
	return nil, errDone
}

func decodeRanges(watermark int64, buf []byte) ([]offsetRange, error) {
	var ranges []offsetRange
	from := watermark
	for len(buf) > 0 {
		gap, n := binary.Uvarint(buf)
		if n <= 0 {
			return nil, errDone
		}
		length, m := binary.Uvarint(buf[n:])
		if m <= 0 {
			return nil, errDone
		}
		buf = buf[n+m:]
		// The watermark itself has not ended, and ranges never touch: a gap is at least one.
		first := from + int64(gap)    //nolint:gosec // an overflow is found below
		last := first + int64(length) //nolint:gosec // an overflow is found below
		if gap == 0 || first <= from || last < first {
			return nil, errDone
		}
		ranges = append(ranges, offsetRange{first: first, last: last})
		from = last
	}
	return ranges, nil
}
