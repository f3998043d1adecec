package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"convdel/imclient"
	"convdel/internal/notable"
	"convdel/internal/repeats"
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

// newLogger returns a logger that writes to w: coloured lines on a terminal, otherwise JSON. Times are in UTC. Lines that repeat too
// often are counted; end writes the last counts. A book, if not nil, keeps notable lines.
func newLogger(w io.Writer, level slog.Level, format string, book *notable.Book) (log *slog.Logger, end func()) {
	onTerminal := isTerminal(w)
	var lines slog.Handler
	if format == formatText || format == formatAuto && onTerminal {
		lines = tint.NewTextHandler(w, &tint.Options{
			Level: level, TimeFormat: "2006-01-02T15:04:05.000Z07:00", ReplaceAttr: inUTC, NoColor: !coloured(w, os.LookupEnv),
		})
	} else {
		lines = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: inUTC})
	}
	if book != nil {
		lines = notable.New(lines, book)
	}
	h := repeats.New(lines)
	return slog.New(h), h.Close
}

// newBook returns a book for the log's notable lines, which the status page shows.
func newBook(accounts bool) *notable.Book {
	shown := notable.Shown{Clean: imclient.Scrub}
	if !accounts {
		shown.Attr = hideAccounts
	}
	return notable.NewBook(shown)
}

// inUTC puts times into UTC: a line's own one and those of attributes.
func inUTC(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindTime {
		a.Value = slog.TimeValue(a.Value.Time().UTC())
	}
	return a
}

// descriptor is an open file of the process.
type descriptor interface{ Fd() uintptr }

// isTerminal returns true if w is a terminal, an output's or an input's.
func isTerminal(w any) bool {
	file, ok := w.(descriptor)
	return ok && term.IsTerminal(int(file.Fd()))
}
