package main

import (
	"strconv"
	"strings"
	"time"

	"convdel/consumer"
)

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
		c.wrong(flag, text, "recent, earliest, latest, or a time that is past: 2026-01-31T03:00:00Z, 2026-01-31, or an age such as 36h, 2d or 1w")
		return consumer.Start{}
	}
	return consumer.StartAt(at)
}

// parseTime reads a time: RFC 3339, a date (its beginning in UTC), or an age.
func parseTime(text string, now time.Time) (time.Time, bool) {
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	age, err := parseAge(text)
	return now.Add(-age), err == nil && age >= 0
}

// parseAge reads a duration that may begin with weeks and days, such as 1w, 3d or 1w2d12h.
func parseAge(text string) (time.Duration, error) {
	weeks, rest, found := strings.Cut(text, "w")
	if !found {
		return parseDays(text)
	}
	const most = 5_000 // a duration holds little more
	n, err := strconv.Atoi(weeks)
	if err != nil || n < 0 || n > most {
		return 0, errDays
	}
	age := time.Duration(n) * 7 * 24 * time.Hour
	if rest == "" {
		return age, nil
	}
	more, err := parseDays(rest)
	if err != nil || more < 0 {
		return 0, errDays
	}
	return age + more, nil
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
