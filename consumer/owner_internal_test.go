package consumer

import (
	"errors"
	"strings"
	"testing"
	"time"

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

// TestConfigMember: an instance ID is one that Kafka's own client takes, and a session is neither too short nor too long.
func TestConfigMember(t *testing.T) {
	t.Parallel()
	for _, id := range []string{".", "..", "a b", "a/b", "ä", "a\n", strings.Repeat("x", 250)} {
		if !hasField(Config{InstanceID: id}.validate(), "InstanceID") {
			t.Errorf("%q is taken as an instance ID", id)
		}
	}
	for _, id := range []string{"", "convdel-0", "host.example_1", "...", strings.Repeat("x", 249)} {
		if hasField(Config{InstanceID: id}.validate(), "InstanceID") {
			t.Errorf("%q is refused as an instance ID", id)
		}
	}
	for session, wrong := range map[time.Duration]bool{
		-time.Second: true, 5999 * time.Millisecond: true, 6 * time.Second: false, 45 * time.Second: false, 45001 * time.Millisecond: true,
	} {
		if hasField(Config{SessionTimeout: session}.validate(), "SessionTimeout") != wrong {
			t.Errorf("a session of %s: refused %t, want %t", session, !wrong, wrong)
		}
	}
	if cfg, _ := (Config{}).withDefaults(); cfg.SessionTimeout != 12*time.Second || cfg.InstanceID != "" {
		t.Errorf("by default: a session of %s and the instance ID %q", cfg.SessionTimeout, cfg.InstanceID)
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
