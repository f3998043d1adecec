package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"convdel/consumer"
	"convdel/schema"
)

// All durations and times of the command line are read here, so that each flag takes the same forms.

// durationForms and timeForms end the sentence about a wrong value.
const (
	durationForms = "such as 500ms, 30s, 1d12h or 2w"
	timeForms     = "RFC 3339 such as 2026-01-31T03:00:00Z, a date such as 2026-01-31, or how long ago, such as 90m, 2d or 1w"
)

var errDuration = errors.New("not a duration")

// parseDuration reads a duration: weeks, days and the units of Go, in this order, such as 1w2d12h, 1.5d or 500ms. A day has
// 24 hours. A duration has no sign.
func parseDuration(text string) (time.Duration, error) {
	if text == "" || strings.ContainsAny(text, "+-") {
		return 0, errDuration
	}
	total, rest := time.Duration(0), text
	for _, unit := range []struct {
		name  string
		hours int64
	}{{"w", 7 * 24}, {"d", 24}} {
		number, behind, found := strings.Cut(rest, unit.name)
		if !found {
			continue
		}
		// The number alone, as hours: Go's parser knows fractions and overflows.
		n, err := time.ParseDuration(number + "h")
		if err != nil || strings.Trim(number, "0123456789.") != "" || int64(n) > int64(math.MaxInt64-total)/unit.hours {
			return 0, errDuration
		}
		total, rest = total+time.Duration(int64(n)*unit.hours), behind
	}
	if rest == "" {
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d > math.MaxInt64-total {
		return 0, errDuration
	}
	return total + d, nil
}

// parseTime reads a time: RFC 3339, a date (its beginning in UTC), or an age.
func parseTime(text string, now time.Time) (time.Time, bool) {
	if at, err := schema.ParseTime(text); err == nil {
		return at, true
	}
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, true
	}
	age, err := parseDuration(text)
	return now.Add(-age), err == nil
}

// moment reads a time; the zero time if the flag is not given.
func (c *checker) moment(flag string, given *string, now time.Time) time.Time {
	if given == nil {
		return time.Time{}
	}
	at, ok := parseTime(*given, now)
	if !ok {
		c.wrong(flag, *given, "a time: "+timeForms)
		return time.Time{}
	}
	return at
}

// age reads the largest age of an event; 0 is any age.
func (c *checker) age(flag, text string) time.Duration {
	d, err := parseDuration(text)
	if err != nil {
		c.wrong(flag, text, "a duration "+durationForms+", or 0 for any age")
	}
	return d
}

// These are the values of start that are not times.
const (
	startRecent   = "recent"
	startEarliest = "earliest"
	startLatest   = "latest"
)

// start reads the setting for a group without offsets.
func (c *checker) start(flag, text string, now time.Time) consumer.Start {
	c.note(flag, text)
	switch text {
	case startRecent:
		return consumer.Start{}
	case startEarliest:
		return consumer.StartEarliest()
	case startLatest:
		return consumer.StartLatest()
	}
	at, ok := parseTime(text, now)
	if !ok || !at.Before(now) || at.Before(time.Unix(0, 0)) {
		c.wrong(flag, text, "recent, earliest, latest, or a time that is past: "+timeForms)
		return consumer.Start{}
	}
	return consumer.StartAt(at)
}

// adopt reads the SDKAppID whose group is taken over; empty if there is none.
func (c *checker) adopt(flag, text string) string {
	if text == "" {
		c.note(flag, text)
		return ""
	}
	n := c.number(flag, text, 1, 1<<32-1, ", the SDKAppID whose group is taken over")
	return strconv.FormatInt(n, 10)
}
