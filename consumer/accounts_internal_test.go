package consumer

import (
	"errors"
	"fmt"
	"html"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"convdel/schema"
)

// TestWithoutAccounts: whatever form an error's text gives an account, it is hidden; what only looks like a part of it stays.
func TestWithoutAccounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		accounts   []string
		text, want string
	}{
		{[]string{"alice"}, "im api: code 50004: alice has left", "im api: code 50004: [account] has left"},
		{[]string{"alice"}, "C2Calice, ALICE: alice", "C2C[account], [account]: [account]"},
		{[]string{"user1", "user10"}, "user10 and user1", "[account] and [account]"},
		{[]string{"user10", "user1"}, "user1 and user10", "[account] and [account]"},
		{[]string{"a"}, "im api: account a is away", "im api: account [account] is away"},
		{[]string{"10"}, "code 10001: 10 is no account", "code 10001: [account] is no account"},
		{[]string{`<script>`}, "no <script> here", "no [account] here"},
		{[]string{`o"brien`}, `no "o\"brien" here, nor o"brien`, `no "[account]" here, nor [account]`},
		{[]string{`a&b=<c>`}, `{"a\u0026b=\u003cc\u003e"} and a%26b%3D%3Cc%3E and a&b=%3Cc%3E`, `{"[account]"} and [account] and [account]`},
		{[]string{"al\nice"}, "al ice and al\\nice", "[account] and [account]"},
		{[]string{"名前"}, "名前さん", "[account]さん"},
		{[]string{"a-very-long-account"}, "cut off at a-very-lo…", "cut off at [account]…"},
		{[]string{"a-very-long-account"}, "cut off at a…", "cut off at a…"},
		{[]string{"a-very-long-account"}, "no a-very-lo… (retry after 3s): no a-very… either", "no [account]… (retry after 3s): no [account]… either"},
		{[]string{`a<b>'"&c/d`}, `a&lt;b&gt;&#39;&quot;&amp;c/d a&#60;b&#x3E;&apos;&#34;&amp;c&#x2f;d a\u003cb\u003E'\"\u0026c\/d`, "[account] [account] [account]"},
		{[]string{`o"b\rien`}, `o\"b\\rien o\\\"b\\\\rien o%22b%5crien`, "[account] [account] [account]"},
		{[]string{"al ice"}, "al+ice al%20ice al ice", "[account] [account] [account]"},
		{[]string{"%41%41", "名前さん"}, "%41%41 %2541%2541 %E5%90%8D%e5%89%8dさん", "[account] [account] [account]"},
		{[]string{"alice<bob>"}, "cut at alice&lt… and at alice\\u00…", "cut at [account]… and at [account]…"},
		{[]string{"account", "bobby"}, "bobby", "[account]"},
		{[]string{"ten%"}, "100% and ten%: 5% \\ & and a&b;", "100% and [account]: 5% \\ & and a&b;"},
		{[]string{""}, "nobody", "nobody"},
	} {
		err := fmt.Errorf("outer: %w", errors.Join(errors.New("first"), naming(errors.New(c.text), c.accounts...)))
		if got := WithoutAccounts(err); got != "outer: first\n"+c.want {
			t.Errorf("%q in %q: %q, want %q", c.accounts, c.text, got, c.want)
		}
		if got := WithoutAccounts(errors.New(c.text), c.accounts...); got != c.want {
			t.Errorf("given: %q in %q: %q, want %q", c.accounts, c.text, got, c.want)
		}
	}
	if WithoutAccounts(nil) != "" || naming(nil, "a") != nil {
		t.Error("no error has a text")
	}
}

// TestNoEventsAccountsAreHidden: of a record that is no event, nobody knows the accounts. What its error quotes is hidden.
func TestNoEventsAccountsAreHidden(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`{"From_Account":"alice","Type":1,"To_Account":"alice","From_Account":"alice"}`, `{"From_Account":"alice","Type":"alice","To_Account":"bob"}`,
		`{"From_Account":"alice\u0000\"alice","Type":1,"To_Account":"bob"}`, `{"From_Account":1,"Type":1,"To_Account":"alice"}`,
		`{"specversion":"1.0","type":"alice","source":"alice","id":"alice","data":{"From_Account":"alice"}}`, `alice`, `{"alice":`,
	} {
		_, err := schema.Decode([]byte(value), nil)
		if err == nil {
			continue
		}
		if got := WithoutAccounts(err); strings.Contains(got, "alice") || got == "" {
			t.Errorf("%s: %s", value, got)
		}
	}
}

// TestSpellings: each character of an account in another spelling, in any mixture, is the account still; and no text is read beyond its end.
func TestSpellings(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	spell := []func(r rune) string{
		func(r rune) string { return string(r) },
		func(r rune) string { return string(unicode.ToUpper(r)) },
		func(r rune) string { return fmt.Sprintf(`\u%04x`, r) },
		func(r rune) string { return fmt.Sprintf(`%%%02X`, r) },
		func(r rune) string { return fmt.Sprintf(`&#%d;`, r) },
		func(r rune) string { return html.EscapeString(string(r)) },
	}
	for range 2000 {
		var name, spelled strings.Builder
		for range 1 + random.IntN(32) {
			r := rune(' ' + 1 + random.IntN('~'-' '))
			name.WriteRune(r)
			spelled.WriteString(spell[random.IntN(len(spell))](r))
		}
		account, text := name.String(), spelled.String()
		if got := hideAccounts("at "+text, []string{account}); got != "at "+hiddenAccount {
			t.Fatalf("%q in %q: %q", account, text, got)
		}
		_ = hideAccounts("at "+text[:random.IntN(len(text))]+"…", []string{account, text})
	}
}
