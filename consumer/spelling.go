package consumer

import (
	"html"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// These bound a character's spelling: that of HTML is the longest.
const (
	mostEntity = 12
	hexDigits  = "0123456789abcdefABCDEF"
)

// spelling finds an account in texts that may spell any of its characters in another way: in the other case, escaped as in Go, JSON, a URL or
// HTML, or, if it does not print, as a space.
type spelling []rune

// spellingOf is that of an account. What a text may have trimmed off is no part of it.
func spellingOf(account string) spelling {
	return spelling(strings.TrimFunc(account, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }))
}

// at returns how many bytes at the beginning of a text spell the account; 0 if none do.
func (s spelling) at(text string) int {
	if len(s) == 0 {
		return 0
	}
	for _, n := range spelled(text, s[0]) {
		if len(s) == 1 {
			return n
		}
		if rest := s[1:].at(text[n:]); rest > 0 {
			return n + rest
		}
	}
	return 0
}

// begins returns how many of the account's first characters a text spells, if that is the whole text. The last one may be cut off within its
// spelling. It returns 0 otherwise.
func (s spelling) begins(text string) int {
	if len(s) == 0 {
		return 0
	}
	most := 0
	for _, n := range spelled(text, s[0]) {
		if n == len(text) {
			return 1
		}
		if rest := s[1:].begins(text[n:]); rest > 0 {
			most = max(most, 1+rest)
		}
	}
	if most == 0 && text != "" && len(text) < mostEntity && strings.ContainsRune(`\%&`, rune(text[0])) && !strings.ContainsAny(text[1:], " \"';") {
		return 1
	}
	return most
}

// spelled returns the lengths of the spellings of a character that a text begins with, the longest first.
func spelled(text string, r rune) (lengths []int) {
	first, size := utf8.DecodeRuneInString(text)
	switch {
	case size == 0:
		return nil
	case same(first, r), first == ' ' && !unicode.IsPrint(r), first == '+' && r == ' ':
		lengths = append(lengths, size)
	}
	var other rune
	n := 0
	switch first {
	case '\\':
		other, n = unescaped(text)
	case '%':
		other, n = percent(text)
	case '&':
		other, n = entity(text)
	}
	if n > 0 && same(other, r) {
		lengths = append([]int{n}, lengths...)
	}
	return lengths
}

// same says whether characters are the same in the letters of either case.
func same(a, b rune) bool {
	return a == b || unicode.ToLower(a) == unicode.ToLower(b)
}

// unescaped reads a character behind backslashes. They are several if it was escaped more than once.
func unescaped(text string) (rune, int) {
	rest := strings.TrimLeft(text, `\`)
	before := len(text) - len(rest)
	if before%2 == 0 && (rest == "" || !strings.ContainsRune(`ux"/`, rune(rest[0]))) {
		return '\\', before
	}
	const escapes, meant = `ntrbfav`, "\n\t\r\b\f\a\v"
	switch r, size := utf8.DecodeRuneInString(rest); {
	case size == 0:
		return '\\', before
	case r == 'u' && len(rest) > 4:
		return hexNumber(rest[1:5], before+5)
	case r == 'x' && len(rest) > 2:
		return hexNumber(rest[1:3], before+3)
	default:
		if i := strings.IndexRune(escapes, r); i >= 0 {
			return rune(meant[i]), before + size
		}
		return r, before + size
	}
}

// percent reads a character as it is in a URL.
func percent(text string) (rune, int) {
	var encoded []byte
	for n := 0; len(encoded) < utf8.UTFMax && len(text) >= n+3 && text[n] == '%'; n += 3 {
		value, size := hexNumber(text[n+1:n+3], 3)
		if size == 0 {
			break
		}
		encoded = append(encoded, byte(value&0xff))
	}
	r, size := utf8.DecodeRune(encoded)
	if r == utf8.RuneError {
		return 0, 0
	}
	return r, 3 * size
}

// entity reads a character as it is in HTML.
func entity(text string) (rune, int) {
	end := strings.IndexByte(text[:min(len(text), mostEntity)], ';')
	if end < 0 {
		return 0, 0
	}
	plain := html.UnescapeString(text[:end+1])
	if r, size := utf8.DecodeRuneInString(plain); size == len(plain) {
		return r, end + 1
	}
	return 0, 0
}

// hexNumber reads a number whose digits are all hexadecimal, and returns the size with it; 0 if it is none.
func hexNumber(digits string, size int) (rune, int) {
	if strings.Trim(digits, hexDigits) != "" {
		return 0, 0
	}
	n, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return 0, 0
	}
	return rune(n), size
}
