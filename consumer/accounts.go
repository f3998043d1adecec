package consumer

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"convdel/schema"
)

// hiddenAccount stands where a text has named an account.
const hiddenAccount = "[account]"

// namedError is an error whose text may name the accounts that a call or an event is about.
type namedError struct {
	error

	accounts []string
}

// Unwrap returns the error itself.
func (e *namedError) Unwrap() error { return e.error }

// naming notes the accounts that an error may name; nil stays nil.
func naming(err error, accounts ...string) error {
	if err == nil {
		return nil
	}
	return &namedError{error: err, accounts: accounts}
}

// WithoutAccounts returns the text of an error with each account hidden that the error is known to be about, and those given. The error of a
// record that is no event may quote what an account should be: there, all that it quotes is hidden. A nil error has no text.
func WithoutAccounts(err error, accounts ...string) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if _, ok := errors.AsType[*schema.DecodeError](err); ok {
		text = quoted.ReplaceAllString(text, `"`+hiddenAccount+`"`)
	}
	return hideAccounts(text, slices.Concat(accounts, accountsIn(err)))
}

// quoted finds what Go's %q has written.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// accountsIn are the accounts that an error, and those within it, may name.
func accountsIn(err error) (all []string) {
	if named, ok := err.(*namedError); ok { //nolint:errorlint // each error of the chain is looked at
		all = named.accounts
	}
	switch inner := err.(type) { //nolint:errorlint // likewise
	case interface{ Unwrap() error }:
		if next := inner.Unwrap(); next != nil {
			return append(slices.Clip(all), accountsIn(next)...)
		}
	case interface{ Unwrap() []error }:
		for _, next := range inner.Unwrap() {
			all = append(slices.Clip(all), accountsIn(next)...)
		}
	}
	return all
}

// leastAnywhere is the number of bytes from which on an account is hidden within a longer word, too: the API puts C2C or GROUP in front of
// accounts. Shorter ones are hidden as words only, or every other word would be.
const leastAnywhere = 4

// hideAccounts hides accounts in a text, in whatever [spelling], and cut off by an ellipsis.
func hideAccounts(text string, accounts []string) string {
	var all []spelling
	for _, a := range accounts {
		if s := spellingOf(a); len(s) > 0 {
			all = append(all, s)
		}
	}
	// The longer one first, or its rest would tell it.
	slices.SortFunc(all, func(a, b spelling) int { return cmp.Or(len(b)-len(a), slices.Compare(a, b)) })
	for _, s := range slices.CompactFunc(all, slices.Equal[spelling]) {
		text = hideCut(hideSpelling(text, s), s)
	}
	return text
}

func hideSpelling(text string, s spelling) string {
	anywhere := len(string(s)) >= leastAnywhere
	var b strings.Builder
	for i := 0; i < len(text); {
		n := s.at(text[i:])
		switch {
		case n > 0 && (anywhere || !wordBefore(text[:i]) && !wordAfter(text[i+n:])):
			b.WriteString(hiddenAccount)
		case strings.HasPrefix(text[i:], hiddenAccount): // of another account
			n = len(hiddenAccount)
			b.WriteString(hiddenAccount)
		default:
			_, n = utf8.DecodeRuneInString(text[i:])
			b.WriteString(text[i : i+n])
		}
		i += n
	}
	return b.String()
}

// hideCut hides the beginnings of an account where a text was cut off: before each ellipsis. An error can go on after a text that was cut.
func hideCut(text string, s spelling) string {
	const ellipsis = "…"
	parts := strings.SplitAfter(text, ellipsis)
	for i, part := range parts {
		body, found := strings.CutSuffix(part, ellipsis)
		if !found {
			continue
		}
		for at := range body {
			if n := s.begins(body[at:]); n > 0 && len(string(s[:n])) >= leastAnywhere {
				parts[i] = body[:at] + hiddenAccount + ellipsis
				break
			}
		}
	}
	return strings.Join(parts, "")
}

func wordBefore(text string) bool {
	r, size := utf8.DecodeLastRuneInString(text)
	return size > 0 && isWordRune(r)
}

func wordAfter(text string) bool {
	r, size := utf8.DecodeRuneInString(text)
	return size > 0 && isWordRune(r)
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_' }
