package consumer

import (
	"errors"
	"strings"
	"testing"

	"convdel/consumer/internal/offsets"
)

// TestForeign: a group is another service's where it deletes through another app or has another dead-letter topic, unless that app is
// the one adopted.
func TestForeign(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		app, adopt, stampApp, stampLetters string
		want                               bool
	}{
		{"1", "", "1", "l", false},
		{"1", "", "2", "l", true},
		{"1", "", "1", "m", true},
		{"1", "2", "2", "m", false},
		{"1", "1", "1", "m", false},
		{"1", "3", "2", "l", true},
		{"1", "", "", "", false},
		{"1", "", "1", "", false},
		{"", "", "2", "m", false},
		{"1", "2", "1", "m", true},
	} {
		c := &Config{App: test.app, Adopt: test.adopt, DeadLetterTopic: "l"}
		s := offsets.Unstamped()
		s.App, s.DeadLetterTopic = test.stampApp, test.stampLetters
		if got := c.foreign(s); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
}

// TestConfigWords: what goes into a commit's metadata has no spaces.
func TestConfigWords(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"a b", "a\n", strings.Repeat("x", 65), "ü"} {
		err := Config{App: word, Adopt: word}.validate()
		for _, field := range []string{"App", "Adopt"} {
			if !hasField(err, field) {
				t.Errorf("%q is taken as %s", word, field)
			}
		}
	}
}

func hasField(err error, field string) bool {
	joined, _ := err.(interface{ Unwrap() []error })
	for _, one := range joined.Unwrap() {
		if wrong, ok := errors.AsType[*ConfigError](one); ok && wrong.Field == field {
			return true
		}
	}
	return false
}
