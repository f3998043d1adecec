package consumer

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
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

// hideAccounts hides accounts in a text, in the letters of either case, as they are, as they stand within quotes or in a URL, and cut off by an
// ellipsis.
func hideAccounts(text string, accounts []string) string {
	var forms []string
	for _, a := range accounts {
		forms = append(forms, formsOf(a)...)
	}
	// The longer one first, or its rest would tell it.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	for _, form := range slices.Compact(forms) {
		text = hideForm(text, form)
	}
	return text
}

func hideForm(text, form string) string {
	if form == "" {
		return text
	}
	find := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(form))
	anywhere := len(form) >= leastAnywhere
	var b strings.Builder
	rest := 0
	for _, at := range find.FindAllStringIndex(text, -1) {
		if anywhere || !wordBefore(text[:at[0]]) && !wordAfter(text[at[1]:]) {
			b.WriteString(text[rest:at[0]] + hiddenAccount)
			rest = at[1]
		}
	}
	b.WriteString(text[rest:])
	return hideCut(b.String(), form)
}

// hideCut hides the beginning of an account at the end of a text that was cut off there.
func hideCut(text, form string) string {
	const ellipsis = "…"
	body, found := strings.CutSuffix(text, ellipsis)
	if !found {
		return text
	}
	for n := len(form) - 1; n >= leastAnywhere; n-- {
		if utf8.RuneStart(form[n]) && len(body) >= n && strings.EqualFold(body[len(body)-n:], form[:n]) {
			return body[:len(body)-n] + hiddenAccount + ellipsis
		}
	}
	return text
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

// formsOf are the forms in which a text may hold an account: as it is, within Go's or JSON's quotes, in a URL, with a space in place of what
// does not print.
func formsOf(account string) []string {
	inner := strconv.Quote(account)
	escaped, _ := json.Marshal(account)
	return []string{
		account, inner[1 : len(inner)-1], string(escaped[1 : len(escaped)-1]), url.QueryEscape(account), url.PathEscape(account),
		strings.TrimSpace(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, account)),
	}
}
