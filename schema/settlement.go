package schema

import (
	"strings"
	"time"
)

// Settlement is what a tombstone says: a record without a value, which settles the dead letter with the same key.
type Settlement struct {
	// By names who settled the dead letter. Headers makes it one line, as it does an error.
	By string
	// At is when it was settled.
	At time.Time
	// Reason is why it was discarded, made one line as By is. Empty if it was replayed.
	Reason string
}

// Headers returns the headers of the tombstone. It leaves out what is empty.
func (s Settlement) Headers() []Header {
	var headers []Header
	if s.By != "" {
		headers = append(headers, Header{Key: HeaderBy, Value: []byte(oneLine(s.By))})
	}
	if !s.At.IsZero() {
		headers = append(headers, Header{Key: HeaderSettled, Value: []byte(formatTime(s.At))})
	}
	if s.Reason != "" {
		headers = append(headers, Header{Key: HeaderReason, Value: []byte(oneLine(s.Reason))})
	}
	return headers
}

// ParseSettlement reads the headers of a tombstone. Any record without a value settles a dead letter, whoever has written
// it. So headers that are missing or malformed are empty in the result, and of repeated ones the first counts.
func ParseSettlement(headers []Header) Settlement {
	var s Settlement
	first := func(into *string, value []byte) {
		if *into == "" {
			*into = strings.TrimSpace(oneLine(string(value)))
		}
	}
	for _, h := range headers {
		switch h.Key {
		case HeaderBy:
			first(&s.By, h.Value)
		case HeaderReason:
			first(&s.Reason, h.Value)
		case HeaderSettled:
			if at, ok := parseTime(h.Value); ok && s.At.IsZero() {
				s.At = at
			}
		}
	}
	return s
}
