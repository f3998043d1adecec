package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// The formats of log-format.
const (
	formatAuto = "auto"
	formatText = "text"
	formatJSON = "json"
)

// logLevel reads the least level that is logged.
func (c *checker) logLevel(text string) slog.Level {
	var level slog.Level
	if word := c.oneOf("log-level", text, "debug", "info", "warn", "error"); word != "" {
		_ = level.UnmarshalText([]byte(word)) // one of the words that it knows
	}
	return level
}

// newLogger returns a logger that writes to w: coloured lines for people, JSON for everything else.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	onTerminal := isTerminal(w)
	if format == formatText || format == formatAuto && onTerminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !onTerminal || os.Getenv("NO_COLOR") != "",
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// isTerminal says whether somebody may be looking at what is written to w, or typing what is read
// from it.
func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
