package schema

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ParseDeadLetter reads the headers that [DeadLetter.Headers] wrote. It ignores the source record's own headers, and dlt-
// headers that it does not know. The error is a [*FieldError] that names the header: one that is missing, that occurs more
// than once, or whose value Headers never writes.
func ParseDeadLetter(headers []Header) (DeadLetter, error) {
	r := readLetter(headers)
	d := DeadLetter{
		Class:        Class(r.text(HeaderClass)),
		Code:         r.code(),
		Error:        oneLine(r.text(HeaderError)),
		Attempts:     int(r.number(HeaderAttempts, math.MaxInt32)),
		FirstAttempt: r.time(HeaderFirstAttempt),
		LastAttempt:  r.time(HeaderLastAttempt),
		Topic:        r.topic(),
		Partition:    int(r.number(HeaderPartition, math.MaxInt32)),
		Offset:       r.number(HeaderOffset, math.MaxInt64),
		Timestamp:    r.time(HeaderTimestamp),
		Group:        oneLine(r.text(HeaderGroup)),
	}
	if !slices.Contains(Classes(), d.Class) {
		r.fail(HeaderClass, "is no class of dead letters: "+quote(string(d.Class)))
	}
	if key, ok := r.values[HeaderKey]; ok {
		d.Key = append([]byte{}, key...) // not nil, even when empty
	}
	if _, ok := r.values[HeaderReplays]; ok {
		d.Replays = r.replays()
	}
	if id, ok := r.values[HeaderReplayOf]; ok {
		d.ReplayOf = string(id)
		if _, _, _, err := ParseID(d.ReplayOf); err != nil {
			r.fail(HeaderReplayOf, "is no ID of a dead letter: "+quote(d.ReplayOf))
		}
	}
	if topic, ok := r.values[HeaderOutcomeTopic]; ok {
		d.OutcomeTopic = string(topic)
		if !legalTopic(d.OutcomeTopic) {
			r.fail(HeaderOutcomeTopic, "is no legal topic: "+quote(d.OutcomeTopic))
		}
	}
	if accounts, ok := r.values[HeaderOutcomeAccounts]; ok {
		d.OutcomeHidesAccounts = true
		if string(accounts) != "false" {
			r.fail(HeaderOutcomeAccounts, "must be false or absent, is "+quote(string(accounts)))
		}
	}
	if null, ok := r.values[HeaderNullValue]; ok {
		d.NullValue = true
		if string(null) != "true" {
			r.fail(HeaderNullValue, "must be true or absent, is "+quote(string(null)))
		}
	}
	d.readOmitted(r)
	if r.err != nil {
		return DeadLetter{}, r.err
	}
	return d, nil
}

// letterReader reads dlt- headers and keeps the first error.
type letterReader struct {
	values map[string][]byte
	err    error
}

func readLetter(headers []Header) *letterReader {
	r := &letterReader{values: make(map[string][]byte, letterHeaders)}
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, HeaderPrefix) {
			continue
		}
		if _, again := r.values[h.Key]; again && r.err == nil {
			r.err = errRepeated(h.Key)
		}
		r.values[h.Key] = h.Value
	}
	return r
}

func (r *letterReader) fail(header, reason string) {
	if r.err == nil {
		r.err = &FieldError{Field: header, Reason: reason}
	}
}

// text returns a header that must exist.
func (r *letterReader) text(header string) string {
	value, ok := r.values[header]
	if !ok {
		r.fail(header, "is missing")
	}
	return string(value)
}

// topic returns the source record's topic.
func (r *letterReader) topic() string {
	topic := r.text(HeaderTopic)
	if !legalTopic(topic) {
		r.fail(HeaderTopic, "is no legal topic: "+quote(topic))
	}
	return topic
}

// number returns a header that must be a number from 0 to most.
func (r *letterReader) number(header string, most int64) int64 {
	s := r.text(header)
	n, ok := parseNumber(s, most)
	if !ok {
		r.fail(header, fmt.Sprintf("must be a number from 0 to %d, is %s", most, quote(s)))
	}
	return n
}

// replays returns the count of replays. Headers never writes it as 0.
func (r *letterReader) replays() int {
	n := r.number(HeaderReplays, math.MaxInt32)
	if n == 0 {
		r.fail(HeaderReplays, "must be at least 1")
	}
	return int(n)
}

// code returns the API's code. It is the only number that may be negative.
func (r *letterReader) code() int {
	s := r.text(HeaderCode)
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s {
		r.fail(HeaderCode, "must be a number, is "+quote(s))
	}
	return n
}

// time returns the time in a header, or the zero time if the header is absent.
func (r *letterReader) time(header string) time.Time {
	value, ok := r.values[header]
	if !ok {
		return time.Time{}
	}
	t, ok := parseTime(value)
	if !ok {
		r.fail(header, "must be an RFC 3339 time, is "+quote(string(value)))
	}
	return t
}

// parseNumber reads a number from 0 to most. It accepts only the form in which numbers are written.
func parseNumber(s string, most int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && n <= most && strconv.FormatInt(n, 10) == s
}

// legalTopic returns true if Kafka allows a topic of that name.
func legalTopic(s string) bool {
	if s == "" || len(s) > 249 || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// quote returns the beginning of s in quotes, for an error.
func quote(s string) string { return fmt.Sprintf("%.60q", s) }
