package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"

	"convdel/internal/status"
)

// Anybody who may publish chooses what records hold. So no text of a record reaches a terminal that the terminal could take
// for a command: colours, cursor moves, titles, text that runs backwards.

// visible returns a text unchanged if all of it prints. Otherwise it escapes the rest as Go does.
func visible(text string) string {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		quoted := strconv.Quote(text)
		return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	}
	return text
}

// appendLine appends v as one line of JSON. Unlike encoding/json it escapes everything that does not print. The line means
// the same.
func appendLine(line []byte, v any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return line, err
	}
	for rest := bytes.TrimSuffix(text.Bytes(), []byte("\n")); len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == '\n' || unicode.IsPrint(r):
			line = append(line, rest[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			line = fmt.Appendf(line, `\u%04x\u%04x`, high, low)
		default:
			line = fmt.Appendf(line, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	return append(line, '\n'), nil
}

const (
	// maxShownText and maxShownBytes are how much of a value is shown, as text and as hexadecimal.
	maxShownText  = 4 << 10
	maxShownBytes = 1 << 10
)

// dumpText shows text that [isText] has accepted, with each line indented.
func dumpText(data []byte, indent string) string {
	shown := data[:min(len(data), maxShownText)]
	for !utf8.Valid(shown) {
		shown = shown[:len(shown)-1]
	}
	return indented(string(shown), indent, len(data)-len(shown))
}

// dumpHex shows any bytes in hexadecimal, with text beside it.
func dumpHex(data []byte, indent string) string {
	shown := data[:min(len(data), maxShownBytes)]
	return indented(strings.TrimSuffix(hex.Dump(shown), "\n"), indent, len(data)-len(shown))
}

func indented(text, indent string, left int) string {
	text = indent + strings.ReplaceAll(text, "\n", "\n"+indent) + "\n"
	if left > 0 {
		text += fmt.Sprintf("%s… and %s more; export has all of it\n", indent, countOf(left, "byte", "bytes"))
	}
	return text
}

// isText returns true if bytes are text that may go to a terminal. Line ends are allowed.
func isText(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) })
}

// columns returns the terminal's width; 0 if there is no terminal, so that lines may have any length.
func (con *console) columns() int {
	if file, ok := con.stdout.(descriptor); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil {
			return width
		}
	}
	text, _ := con.env("COLUMNS")
	width, _ := strconv.Atoi(text)
	return max(0, width)
}

// cells returns how many columns a text takes on a terminal.
func cells(text string) int {
	n := 0
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

func runeCells(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul),
		r >= 0x3000 && r <= 0x303f, r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	return 1
}

// fit cuts a text to so many columns.
func fit(text string, columns int) string {
	if cells(text) <= columns {
		return text
	}
	used := 1 // for the …
	for i, r := range text {
		if used += runeCells(r); used > columns {
			return text[:i] + "…"
		}
	}
	return text
}

// pad appends spaces to a text until it takes so many columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-cells(text)))
}

// roughly writes a length of time in its two largest units: 3d4h, 2h5m, 40s.
func roughly(d time.Duration) string { return status.Roughly(d) }

// ago returns how long before now a time is.
func ago(t, now time.Time) string {
	if t.After(now.Add(time.Second)) {
		return "in " + roughly(t.Sub(now))
	}
	return roughly(max(0, now.Sub(t))) + " ago"
}

// stamp writes a time in the format of all of convdel's output.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
