package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLogFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		json   bool
	}{{formatAuto, true}, {formatJSON, true}, {formatText, false}} {
		var out bytes.Buffer // not a terminal
		log, _ := newLogger(&out, slog.LevelWarn, c.format, nil)
		log.Info("too quiet")
		log.Warn("hello", slog.Int("partition", 3))
		line := out.String()
		if strings.Count(line, "\n") != 1 || strings.Contains(line, "\x1b") {
			t.Errorf("%s: %q, want one line without colours", c.format, line)
		}
		var parsed struct {
			Level, Msg string
			Partition  int
		}
		err := json.Unmarshal(out.Bytes(), &parsed)
		if c.json && (err != nil || parsed.Level != "WARN" || parsed.Msg != "hello" || parsed.Partition != 3) {
			t.Errorf("%s: %q: %v", c.format, line, err)
		}
		if !c.json && (err == nil || !strings.Contains(line, "WRN hello partition=3")) {
			t.Errorf("%s: %q", c.format, line)
		}
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	} {
		var c checker
		if got := c.logLevel(text); got != want || c.err() != nil {
			t.Errorf("%s: %v, %v", text, got, c.err())
		}
	}
	for _, text := range []string{"", "INFO", "info+2", "trace"} {
		var c checker
		if c.logLevel(text); c.err() == nil {
			t.Errorf("%q is allowed", text)
		}
	}
}

// TestLogTimesAreInUTC: a line's time has a date and is in UTC, and so are times in attributes, wherever the process runs.
func TestLogTimesAreInUTC(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 1, 30, 0, 123e6, time.FixedZone("CST", 8*3600))
	for format, want := range map[string][]string{
		formatText: {"2026-11-24T17:30:00.123Z INF hello", "due=2026-11-24T17:30:00.123Z"},
		formatJSON: {`"time":"2026-11-24T17:30:00.123Z"`, `"due":"2026-11-24T17:30:00.123Z"`},
	} {
		var out bytes.Buffer
		log, _ := newLogger(&out, slog.LevelInfo, format, nil)
		r := slog.NewRecord(at, slog.LevelInfo, "hello", 0)
		r.AddAttrs(slog.Group("pause", slog.Time("due", at)))
		if err := log.Handler().Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: %q lacks %s", format, out.String(), text)
			}
		}
	}
}
