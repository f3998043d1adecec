// Package secret reads secrets from files and from environment variables. It refuses what can't be a secret, and says why. No
// error holds a part of a secret.
package secret

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBytes bounds a secret and its line end. It is far above any key, password or URL.
const MaxBytes = 4096

// These are the reasons for which a text is refused.
var (
	errEmpty     = errors.New("it is empty")
	errTooLarge  = errors.New("it is larger than 4096 bytes")
	errByteOrder = errors.New("it begins with a byte order mark: save it as UTF-8 without one")
	errUTF16     = errors.New("it is UTF-16 or binary, since it has zero bytes: save it as UTF-8")
	errNotUTF8   = errors.New("it is not UTF-8")
	errLines     = errors.New("it has several lines, and a secret has one")
	errInvisible = errors.New("it has a control character or another character that does not print")
	errQuotes    = errors.New("it has quotes around it, which would be part of the secret")
)

// Parse returns the secret in a text, without the line ends behind it. Everything else is part of the secret, spaces too.
func Parse(text string) (string, error) {
	if len(text) > MaxBytes {
		return "", errTooLarge
	}
	if why := wrongEncoding([]byte(text)); why != nil {
		return "", why
	}
	text = strings.TrimRight(text, "\r\n")
	switch {
	case strings.TrimSpace(text) == "":
		return "", errEmpty
	case strings.ContainsAny(text, "\r\n"):
		return "", errLines
	case strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "", errInvisible
	case quoted(strings.TrimSpace(text)):
		return "", errQuotes
	}
	return text, nil
}

// wrongEncoding returns why bytes are no UTF-8 text. It knows what editors on Windows write.
func wrongEncoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")), bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return errByteOrder
	case bytes.IndexByte(text, 0) >= 0:
		return errUTF16
	case !utf8.Valid(text):
		return errNotUTF8
	}
	return nil
}

// quoted returns true if quotes surround a text.
func quoted(text string) bool {
	first, size := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	if len(text) == size {
		return false
	}
	for _, pair := range []string{`""`, `''`, "``", "“”", "„“", "‘’", "«»", "””", "’’"} {
		open, width := utf8.DecodeRuneInString(pair)
		if end, _ := utf8.DecodeRuneInString(pair[width:]); first == open && last == end {
			return true
		}
	}
	return false
}
