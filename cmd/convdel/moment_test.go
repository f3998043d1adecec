package main

import (
	"strings"
	"testing"
	"time"

	"convdel/consumer"
)

func TestStartSetting(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for text, want := range map[string]consumer.Start{
		"recent": {}, "earliest": consumer.StartEarliest(), "latest": consumer.StartLatest(),
		"2026-01-31T03:00:00Z":      consumer.StartAt(time.Date(2026, 1, 31, 3, 0, 0, 0, time.UTC)),
		"2026-01-31T05:00:00+02:00": consumer.StartAt(time.Date(2026, 1, 31, 3, 0, 0, 0, time.UTC)),
		"2026-01-31":                consumer.StartAt(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)),
		"36h":                       consumer.StartAt(now.Add(-36 * time.Hour)), "2d": consumer.StartAt(now.Add(-48 * time.Hour)),
		"1w": consumer.StartAt(now.Add(-168 * time.Hour)), "1w2d3h": consumer.StartAt(now.Add(-219 * time.Hour)),
	} {
		var c checker
		if got := c.start("start", text, now); c.err() != nil || got.String() != want.String() {
			t.Errorf("%q: %s, %v; want %s", text, got, c.err(), want)
		}
	}
	for _, text := range []string{
		"", "Recent", "now", "-1h", "2026-02-04", "2026-13-01", "1h2w", "w", "1w-1d", "99999w", "9999999999999999999d", "1960-01-01", "100y",
	} {
		var c checker
		c.start("start", text, now)
		if err := c.err(); err == nil || !strings.HasPrefix(err.Error(), "--start (CONVDEL_START) is ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
