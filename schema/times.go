package schema

import (
	"bytes"
	"time"
)

// ParseTime reads an RFC 3339 time and returns it in UTC. T and Z may be in lower case. The error is a [*FieldError] about
// "time": not of that form, in a year other than 0 to 9999, or a leap second, which Go's time cannot hold.
func ParseTime(text string) (time.Time, error) {
	t, ok := parseTime([]byte(text))
	if !ok {
		return time.Time{}, &FieldError{Field: "time", Reason: "must be an RFC 3339 time, is " + quote(text)}
	}
	return t, nil
}

// parseTime reads an RFC 3339 time and returns it in UTC. It refuses an offset that moves the time out of the years that
// RFC 3339 has.
func parseTime(text []byte) (time.Time, bool) {
	text = upperTime(text)
	var t time.Time
	if err := t.UnmarshalText(text); err != nil || !strictTime(text) {
		return time.Time{}, false
	}
	t = t.UTC()
	return t, expressible(t)
}

// upperTime returns a time's text with T and Z in upper case, since Go's parser knows no others. It changes a copy.
func upperTime(text []byte) []byte {
	const at = len("2006-01-02")
	last := len(text) - 1
	if last <= at || text[at] != 't' && text[last] != 'z' {
		return text
	}
	text = bytes.Clone(text)
	if text[at] == 't' {
		text[at] = 'T'
	}
	if text[last] == 'z' {
		text[last] = 'Z'
	}
	return text
}

// strictTime refuses texts that Go's parser accepts although they are not RFC 3339: an hour of one digit, a comma before
// the fraction, and offsets of 24 hours or 60 minutes.
func strictTime(text []byte) bool {
	if text[len("2006-01-02T15")] != ':' || text[len("2006-01-02T15:04:05")] == ',' {
		return false
	}
	zone := len(text) - len("00:00")
	return text[len(text)-1] == 'Z' || string(text[zone:zone+2]) < "24" && string(text[zone+3:]) < "60"
}

// expressible returns true if RFC 3339 can express t: its years have four digits.
func expressible(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 0 && year <= 9999
}

// formatTime writes a time in RFC 3339, in UTC, with a fraction if it has one. If RFC 3339 cannot express the time, it
// writes the nearest one that it can express.
func formatTime(t time.Time) string { return nearest(t).UTC().Format(time.RFC3339Nano) }

// nearest returns the time closest to t that RFC 3339 can express.
func nearest(t time.Time) time.Time {
	switch year := t.UTC().Year(); {
	case year < 0:
		return time.Date(0, time.January, 1, 0, 0, 0, 0, time.UTC)
	case year > 9999:
		return time.Date(9999, time.December, 31, 23, 59, 59, 999999999, time.UTC)
	}
	return t
}
