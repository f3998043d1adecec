package mention

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"convdel/schema"
)

// Where says where in a record an account was found.
type Where string

const (
	// Nowhere means that the record can be read, and does not hold the account.
	Nowhere Where = ""
	// Field means the value of a From_Account or To_Account at any depth, in any case of the name's letters.
	Field Where = "field"
	// Key means a part of the record's key.
	Key Where = "key"
	// Header means a part of a header's name or value.
	Header Where = "header"
	// Bytes means a part of the value, as it is or encoded.
	Bytes Where = "bytes"
	// Unknown means that the account was not found, but could be there: the value is missing, cut off, compressed,
	// encrypted or otherwise no text.
	Unknown Where = "unknown"
)

const (
	// maxDepth bounds how many encodings within each other are undone.
	maxDepth = 4
	// A search reads at most so many bytes, and so many for each byte of the record, since a record can be made to have any
	// number of readings.
	leastWork   = 1 << 20
	workPerByte = 16
)

// Find returns where a record holds an account: the first of the places in the order above. It undoes escapes, base64 and
// UTF-16. An account is found as a part of a longer one, too.
func Find(account string, r schema.Record) Where {
	s := &search{account: account, bytes: []byte(account), hex: []byte(hex.EncodeToString([]byte(account)))}
	s.work = leastWork + workPerByte*(len(r.Key)+len(r.Value))
	truncated := false
	if s.fields(r.Value, maxDepth, &truncated) {
		return Field
	}
	if s.in(r.Key, maxDepth) {
		return Key
	}
	for _, h := range r.Headers {
		if s.in([]byte(h.Key), maxDepth) || s.in(h.Value, maxDepth) {
			return Header
		}
	}
	s.packed = false // keys and headers that can't be read are no reason to suspect an account there
	s.work = leastWork + workPerByte*len(r.Value)
	switch {
	case s.in(r.Value, maxDepth):
		return Bytes
	case len(r.Value) == 0 || truncated || s.packed || !readable(r.Value):
		return Unknown
	}
	return Nowhere
}

// search looks for one account.
type search struct {
	account    string
	bytes, hex []byte
	// packed says that compressed data has been met, or more readings than can be searched.
	packed bool
	work   int
}

// in returns true if data holds the account, as it is or encoded.
func (s *search) in(data []byte, depth int) bool {
	if bytes.Contains(data, s.bytes) || bytes.Contains(bytes.ToLower(data), s.hex) {
		return true
	}
	s.work -= len(data)
	s.packed = s.packed || compressed(data) || s.work < 0
	if depth == 0 || s.work < 0 {
		return false
	}
	found := false
	views(data, len(s.bytes), func(view []byte) bool {
		found = s.in(view, depth-1)
		return !found && s.work >= 0
	})
	return found
}

// readable returns true if data is text, in UTF-8 or UTF-16.
func readable(data []byte) bool {
	data = withoutNUL(data)
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) })
}

// compressed returns true if data begins like a compressed file or frame: gzip, zstd, lz4, snappy, zlib, bzip2, xz, zip.
func compressed(data []byte) bool {
	for _, magic := range []string{
		"\x1f\x8b", "\x28\xb5\x2f\xfd", "\x04\x22\x4d\x18", "\xff\x06\x00\x00sNaPpY", "\x82SNAPPY\x00", "\x78\x01", "\x78\x5e", "\x78\x9c",
		"\x78\xda", "BZh", "\xfd7zXZ", "PK\x03\x04",
	} {
		if bytes.HasPrefix(data, []byte(magic)) {
			return true
		}
	}
	return false
}
