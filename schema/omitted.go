package schema

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

// A dead letter holds the whole source record, byte for byte, unless the record does not fit or was never read. A
// description of the missing part helps to find and recognize the record.

// Omitted describes the part of a source record that its dead letter lacks, because it does not fit or was not read. The
// dead letter's value is then empty.
type Omitted struct {
	// Why says which part is missing, and why. [DeadLetter.Headers] makes it one line, as it does an error.
	Why string
	// Size is the size of the source record's value, or of the whole batch, in bytes. SHA256 is its hash: 64 hexadecimal
	// digits in lower case.
	Size   int64
	SHA256 string
}

// These separate the parts of dlt-omitted. A number and a hash contain none of them, so the last ones are the separators,
// even if the reason contains some.
const (
	omittedSize = "; "
	omittedHash = " bytes; sha256 "
)

// String returns the value of dlt-omitted: "WHY; SIZE bytes; sha256 HEX".
func (o Omitted) String() string {
	return oneLine(o.Why) + omittedSize + strconv.FormatInt(o.Size, 10) + omittedHash + o.SHA256
}

func parseOmitted(s string) (*Omitted, bool) {
	at := strings.LastIndex(s, omittedHash)
	if at < 0 {
		return nil, false
	}
	hash := s[at+len(omittedHash):]
	why, number, found := cutLast(s[:at], omittedSize)
	size, isNumber := parseNumber(number, math.MaxInt64)
	if !found || !isNumber || !isSHA256(hash) {
		return nil, false
	}
	return &Omitted{Why: oneLine(why), Size: size, SHA256: hash}, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return "", "", false
	}
	return s[:at], s[at+len(sep):], true
}

func isSHA256(s string) bool {
	const size = 32
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size && s == strings.ToLower(s)
}

// Batch is a range of offsets, First and Last included.
type Batch struct{ First, Last int64 }

// String returns the value of dlt-batch: "FIRST-LAST".
func (b Batch) String() string {
	return strconv.FormatInt(b.First, 10) + "-" + strconv.FormatInt(b.Last, 10)
}

func parseBatch(s string) (*Batch, bool) {
	left, right, _ := strings.Cut(s, "-")
	first, okFirst := parseNumber(left, math.MaxInt64)
	last, okLast := parseNumber(right, math.MaxInt64)
	return &Batch{First: first, Last: last}, okFirst && okLast && first <= last
}

// keepsEvent returns true if Event replaces a missing source record.
func (d *DeadLetter) keepsEvent() bool { return d.Event != nil && d.Omitted != nil && d.Batch == nil }

// readOmitted reads the headers of a dead letter that lacks a part of its source record.
func (d *DeadLetter) readOmitted(r *letterReader) {
	if text, ok := r.values[HeaderOmitted]; ok {
		if d.Omitted, ok = parseOmitted(string(text)); !ok {
			r.fail(HeaderOmitted, "must be WHY; SIZE bytes; sha256 HEX, is "+quote(string(text)))
		}
	}
	if text, ok := r.values[HeaderBatch]; ok {
		if d.Batch, ok = parseBatch(string(text)); !ok {
			r.fail(HeaderBatch, "must be FIRST-LAST, two offsets, is "+quote(string(text)))
		}
	}
	text, ok := r.values[HeaderEvent]
	if !ok {
		return
	}
	d.Event = append([]byte{}, text...)
	if _, err := Decode(d.Event, nil); err != nil {
		r.fail(HeaderEvent, "is "+err.Error())
	} else if !d.keepsEvent() {
		r.fail(HeaderEvent, "is given for a record that is there, or for a batch")
	}
}
