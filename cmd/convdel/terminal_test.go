package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`plain "text" é 漢字`: `plain "text" é 漢字`,
		"a\x1b[31mb":        `a\x1b[31mb`,
		"a\u009bb\u202e":    `a\u009bb\u202e`,
		"\xff":              `\xff`,
		"say \"\n\"":        `say "\n"`,
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		columns int
		want    string
	}{
		{"four", 4, "four"},
		{"fives", 4, "fiv…"},
		{"漢字漢字", 8, "漢字漢字"},
		{"漢字漢字", 7, "漢字漢…"},
		{"漢字漢字", 6, "漢字…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"x", 1, "x"},
		{"xy", 1, "…"},
	} {
		if got := fit(c.text, c.columns); got != c.want || cells(got) > c.columns {
			t.Errorf("fit(%q, %d) = %q", c.text, c.columns, got)
		}
	}
}

func TestRoughly(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m1s", 3*time.Hour + 5*time.Minute: "3h5m",
		50 * time.Hour: "2d2h", -90 * time.Second: "-1m30s",
	} {
		if got := roughly(d); got != want {
			t.Errorf("roughly(%v) = %s, want %s", d, got, want)
		}
	}
	now := time.Now()
	if got := ago(now.Add(time.Hour), now); got != "in 1h0m" {
		t.Errorf("a time to come: %s", got)
	}
}

// FuzzAppendLine: a line keeps its meaning, and nothing in it is a command to a terminal.
func FuzzAppendLine(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b\u009b\u202e\U000e0001\x7f\u00a0\u2028<&>\"\\")
	f.Fuzz(func(t *testing.T, text string) {
		line, err := appendLine(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal(line, &back); err != nil || back != strings.ToValidUTF8(text, "\ufffd") && utf8.ValidString(text) {
			t.Errorf("%q came back as %q, %v", text, back, err)
		}
		if shown := strings.TrimSuffix(string(line), "\n"); visible(shown) != shown {
			t.Errorf("%q is shown raw in %q", text, line)
		}
	})
}
