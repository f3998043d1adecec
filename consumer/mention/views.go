package mention

import (
	"bytes"
	"encoding/base64"
	"html"
	"strconv"
	"unicode/utf8"
)

// views calls do with other readings of data, until do returns false: without the zero bytes that UTF-16 and UTF-32 put
// between ASCII characters, without escapes, and with each stretch of base64 that has room for least bytes decoded.
func views(data []byte, least int, do func(view []byte) bool) {
	if plain := withoutNUL(data); len(plain) < len(data) && !do(plain) {
		return
	}
	if plain := unescape(data); len(plain) < len(data) && !do(plain) {
		return
	}
	if bytes.IndexByte(data, '&') >= 0 {
		if plain := html.UnescapeString(string(data)); len(plain) < len(data) && !do([]byte(plain)) {
			return
		}
	}
	eachBase64(data, least, do)
}

func withoutNUL(data []byte) []byte {
	if bytes.IndexByte(data, 0) < 0 {
		return data
	}
	return bytes.ReplaceAll(data, []byte{0}, nil)
}

// unescape undoes the escapes of JSON and most languages (backslash and a character, \uHHHH, \xHH) and of URLs (%HH),
// wherever they are, since the data need not be valid.
func unescape(data []byte) []byte {
	if !bytes.ContainsAny(data, `\%`) {
		return data
	}
	plain := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		size, r := escape(data[i:])
		if size == 0 {
			plain = append(plain, data[i])
			i++
			continue
		}
		plain = utf8.AppendRune(plain, r)
		i += size
	}
	return plain
}

// escape reads the escape with which data begins. Its size is 0 if there is none.
func escape(data []byte) (size int, r rune) {
	digits := func(from, n int) (int, rune) {
		if len(data) < from+n {
			return 0, 0
		}
		v, err := strconv.ParseUint(string(data[from:from+n]), 16, 32)
		if err != nil {
			return 0, 0
		}
		return from + n, rune(v) //nolint:gosec // four digits at most
	}
	switch {
	case len(data) < 2:
		return 0, 0
	case data[0] == '%':
		return digits(1, 2)
	case data[0] != '\\':
		return 0, 0
	}
	switch data[1] {
	case 'u':
		return digits(2, 4)
	case 'x':
		return digits(2, 2)
	case 'n', 'r', 't':
		return 2, ' '
	}
	return 2, rune(data[1])
}

// eachBase64 decodes each stretch of base64 characters. Text before it may be a part of the stretch, so it is tried from
// each of the first four characters on. Line ends within it count as nothing.
func eachBase64(data []byte, least int, do func([]byte) bool) {
	for _, alphabet := range []struct {
		encoding *base64.Encoding
		more     string
	}{{base64.RawStdEncoding, "+/"}, {base64.RawURLEncoding, "-_"}} {
		in := func(c byte) bool {
			return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == alphabet.more[0] || c == alphabet.more[1]
		}
		var run []byte
		for i := 0; i <= len(data); i++ {
			switch {
			case i < len(data) && in(data[i]):
				run = append(run, data[i])
				continue
			case i < len(data) && (data[i] == '\n' || data[i] == '\r'):
				continue
			}
			same := alphabet.encoding == base64.RawURLEncoding && !bytes.ContainsAny(run, alphabet.more) // as in the first alphabet
			if !same && !eachAlignment(alphabet.encoding, run, least, do) {
				return
			}
			run = run[:0]
		}
	}
}

func eachAlignment(encoding *base64.Encoding, run []byte, least int, do func([]byte) bool) bool {
	const group = 4
	for at := range group {
		rest := run[min(at, len(run)):]
		if encoding.DecodedLen(len(rest)) < least {
			return true
		}
		if len(rest)%group == 1 {
			rest = rest[:len(rest)-1] // no length of base64
		}
		decoded := make([]byte, encoding.DecodedLen(len(rest)))
		if n, err := encoding.Decode(decoded, rest); err == nil && !do(decoded[:n]) {
			return false
		}
	}
	return true
}
