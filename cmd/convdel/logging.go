package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// These are the formats of log-format.
const (
	formatAuto = "auto"
	formatText = "text"
	formatJSON = "json"
)

// logLevel reads the lowest level that is logged.
func (c *checker) logLevel(text string) slog.Level {
	var level slog.Level
	if word := c.oneOf("log-level", text, "debug", "info", "warn", "error"); word != "" {
		_ = level.UnmarshalText([]byte(word)) // it knows each of the allowed words
	}
	return level
}

// newLogger returns a logger that writes to w: coloured lines on a terminal, otherwise JSON.
func newLogger(w io.Writer, level slog.Level, format string) *slog.Logger {
	onTerminal := isTerminal(w)
	if format == formatText || format == formatAuto && onTerminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "15:04:05.000", NoColor: !onTerminal || os.Getenv("NO_COLOR") != "",
		}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// descriptor is an open file of the process.
type descriptor interface{ Fd() uintptr }

// isTerminal returns true if w is a terminal, an output's or an input's.
func isTerminal(w any) bool {
	file, ok := w.(descriptor)
	return ok && term.IsTerminal(int(file.Fd()))
}
