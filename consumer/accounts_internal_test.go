package consumer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

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
