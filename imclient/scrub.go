package imclient

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	mask = "***"
	// maxScrubbed is how much of a text is searched. The rest is cut off.
	maxScrubbed = 4 << 10
	// minFragment is the shortest piece of a secret that is masked. Shorter pieces are useless to an attacker and occur by
	// chance.
	minFragment = 12
)

var (
	// namedSecret finds a signature by its name in a URL, a header or JSON, which may be escaped.
	namedSecret = regexp.MustCompile(`(?i)(usersig|tls\.sig)(["'\\]*\s*(?:=|:|%3d|%3a)\s*["'\\]*)[^\s&"'<>,;\\]+`)
	// longRun finds text that looks like a signature. The shortest secret worth hiding is an HMAC-SHA256 in base64: 43
	// characters and one of padding. No identifier of the API is so long and made of these characters alone. A request ID
	// in hexadecimal or as a UUID is shorter.
	longRun = regexp.MustCompile(`[A-Za-z0-9+/=*_%-]{43,}`)
)

// Scrub makes a text of unknown origin fit to be shown, at most 256 bytes of it, without control characters. Whatever looks like a UserSig or
// a secret key is masked: it is long, or named so.
func Scrub(text string) string { return scrub(text, "") }

// scrub makes foreign text fit to be shown. The result is valid UTF-8 of at most maxInfo bytes, without control characters
// and without the signature, whole or in pieces, plain or escaped. secret may be empty.
func scrub(text, secret string) string {
	if len(text) > maxScrubbed {
		// What is left of a secret at the cut need not look like one.
		text = strings.TrimRightFunc(text[:maxScrubbed], inSecrets) + mask
	}
	text = strings.Map(printable, strings.ToValidUTF8(text, "?"))
	text = namedSecret.ReplaceAllString(text, "${1}${2}"+mask)
	text = longRun.ReplaceAllString(text, mask)
	for _, form := range formsOf(secret) {
		text = maskFragments(text, form)
	}
	return cut(strings.TrimSpace(text), maxInfo)
}

// formsOf returns a signature and the forms into which a server may have turned it: with base64's usual letters, and
// escaped.
func formsOf(secret string) []string {
	if secret == "" {
		return nil
	}
	usual := strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(secret)
	return []string{secret, usual, url.QueryEscape(secret), url.QueryEscape(usual)}
}

// inSecrets returns true for the characters that secrets are made of, see longRun.
func inSecrets(r rune) bool {
	return r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || strings.ContainsRune("+/=*_%-", r)
}

// printable replaces characters that could forge a log line or control a terminal with a space.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

// maskFragments masks every piece of at least minFragment bytes that text and secret share.
func maskFragments(text, secret string) string {
	if len(secret) < minFragment {
		return strings.ReplaceAll(text, secret, mask)
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		n := sharedPrefix(text[i:], secret)
		if n == 0 {
			b.WriteByte(text[i])
			i++
			continue
		}
		b.WriteString(mask)
		i += n
	}
	return b.String()
}

// sharedPrefix returns the length of the longest prefix of text that occurs in secret, 0 if that is less than minFragment.
func sharedPrefix(text, secret string) int {
	if len(text) < minFragment || !strings.Contains(secret, text[:minFragment]) {
		return 0
	}
	n := minFragment
	for n < len(text) && strings.Contains(secret, text[:n+1]) {
		n++
	}
	return n
}

// cut shortens text to limit bytes without splitting a character.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
