package main

import (
	"slices"
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

func TestDurationForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"3d": 72 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "0d": 0, "90m": 90 * time.Minute, "1.5d": 36 * time.Hour,
		"1w": 168 * time.Hour, "1w2d": 216 * time.Hour, "1w2d3h4m5s6ms": 219*time.Hour + 4*time.Minute + 5*time.Second + 6*time.Millisecond,
		"0.5w": 84 * time.Hour, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "2h2h": 4 * time.Hour, ".5d": 12 * time.Hour,
		"7µs": 7 * time.Microsecond, "106751d": 106751 * 24 * time.Hour, "15250w": 15250 * 168 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("parseDuration(%s) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "d", "w", ".d", "-1d", "+1d", "-1h", "+1h", "1d-2h", "1d+2h", "1dd", "1d1d", "1w1w", "99999999d", "106752d", "15251w", "106751d24h", "3 d", " 3d",
		"3d ", "3d\n", "1h2d", "1h2w", "1d2w", "1d12", "12", "NaN", "NaNd", "Infd", "1e3d", "0x3d", "1_0d", "3D", "1W", "1.5.2d", "1,5d", "٣d", "1 d 2h", "1mo",
		"99999999999999999999h", "2562047h2562047h",
	} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v", text, got)
		}
	}
}

// TestEveryFlagTakesEveryTime: the flags of all commands read durations and times alike.
func TestEveryFlagTakesEveryTime(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"run", "--call-timeout=@"},
		{"run", "--retry-initial=@"},
		{"run", "--retry-max=@"},
		{"run", "--max-event-age=@"},
		{"run", "--drain-timeout=@"},
		{"imsim", "--latency-min=@"},
		{"imsim", "--latency-max=@"},
		{"imsim", "--stats-every=@"},
		{"deadletters", "replay", "--max-age=@"},
	} {
		flag, _, _ := strings.Cut(args[len(args)-1], "=")
		for text, wrong := range map[string]bool{
			"0.0001d": false, "0.00001w": false, "8640ms": false, "8s": false, "-1s": true, "1d\n": true, "NaN": true, "99999999w": true, "d": true, "8": true, "": true,
		} {
			line := slices.Clone(args)
			line[len(line)-1] = strings.ReplaceAll(line[len(line)-1], "@", text)
			run := invoke(t, nil, "", line...) // it ends for want of brokers or of a key
			if got := strings.Contains(run.stderr, flag+" ") || strings.Contains(run.stderr, flag+"="); run.status != exitUsage || got != wrong {
				t.Errorf("%q: status %d, stderr %q", line, run.status, run.stderr)
			}
			if wrong && !strings.Contains(run.stderr, "such as 500ms, 30s, 1d12h or 2w") {
				t.Errorf("%q: %q does not say what is allowed", line, run.stderr)
			}
		}
	}
	for _, args := range [][]string{
		{"run", "--start=@"},
		{"deadletters", "list", "--since=@"},
		{"deadletters", "list", "--until=@"},
		{"deadletters", "export", "--since=@"},
		{"deadletters", "replay", "--since=@"},
		{"deadletters", "discard", "--reason=x", "--until=@"},
	} {
		flag, _, _ := strings.Cut(args[len(args)-1], "=")
		for text, wrong := range map[string]bool{
			"2026-01-31T03:00:00Z": false, "2026-01-31t03:00:00z": false, "2026-01-31t03:00:00.5+02:00": false, "2026-01-31": false, "90m": false,
			"1w2d": false, "1.5d": false, "2026-01-31T3:00:00Z": true, "2026-01-31 03:00:00Z": true, "2026-01-31T03:00:00": true, "2026-02-30": true,
			"2026-01-31T03:00:00+24:00": true, "yesterday": true, "-1d": true, "": true, "2026-1-31": true, " 90m": true,
		} {
			line := slices.Clone(args)
			line[len(line)-1] = strings.ReplaceAll(line[len(line)-1], "@", text)
			run := invoke(t, nil, "", line...)
			if got := strings.Contains(run.stderr, flag+" "); run.status != exitUsage || got != wrong {
				t.Errorf("%q: status %d, stderr %q", line, run.status, run.stderr)
			}
			if wrong && !strings.Contains(run.stderr, timeForms) {
				t.Errorf("%q: %q does not say what is allowed", line, run.stderr)
			}
		}
	}
}
