package consumer

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A commit carries, besides the watermark, the offsets above it that have ended already: events end
// out of order, and without the list whoever takes the partition over would repeat everything
// behind one slow event. It travels in the commit's metadata, a string that brokers keep with the
// offset and hand to the next owner (4,096 bytes by default: offset.metadata.max.bytes).
//
// Form: a prefix with a version, then unpadded base64 of unsigned varints, two per range: the
// distance from the end of the previous range (at first: from the watermark) to the first offset,
// and from the first offset to the last. What does not fit is left out: a missing offset is
// merely called again, while a wrong one would be an event lost.
const (
	donePrefix   = "convdel1:"
	maxDoneBytes = (4096 - len(donePrefix)) / 4 * 3
)

// offsetRange is first to last, both included.
type offsetRange struct{ first, last int64 }

// encodeDone writes ranges, ascending and above watermark, as commit metadata; "" for none.
func encodeDone(watermark int64, ranges []offsetRange) string {
	if len(ranges) == 0 {
		return ""
	}
	buf := make([]byte, 0, 64)
	from := watermark
	for _, r := range ranges {
		n := len(buf)
		buf = binary.AppendUvarint(buf, uint64(r.first-from))   //nolint:gosec // ranges ascend
		buf = binary.AppendUvarint(buf, uint64(r.last-r.first)) //nolint:gosec // ranges ascend
		if len(buf) > maxDoneBytes {
			buf = buf[:n]
			break
		}
		from = r.last
	}
	return donePrefix + base64.RawStdEncoding.EncodeToString(buf)
}

var errDone = errors.New("commit metadata does not parse")

// decodeDone reads what encodeDone wrote. Metadata of another origin (another tool reset the
// offsets) is no error and means none.
func decodeDone(watermark int64, metadata string) ([]offsetRange, error) {
	text, ours := strings.CutPrefix(metadata, donePrefix)
	if !ours {
		return nil, nil
	}
	buf, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDone, err)
	}
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
