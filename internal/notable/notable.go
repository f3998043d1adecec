// Package notable keeps the last notable lines of a log in memory, for a status page: those from WARN on, and those that are marked.
//
//	book := notable.NewBook(notable.Shown{Attr: shown, Clean: clean})
//	log := slog.New(notable.New(lines, book))
//	log.InfoContext(notable.Mark(ctx), "calls resumed")
//	book.Lines()
package notable

import (
	"context"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// MaxLines bounds the number of lines that a book keeps. The oldest go first.
	MaxLines = 50
	// MaxBytes bounds their size.
	MaxBytes = 64 << 10
	// maxLine bounds the bytes of a line. What is beyond is left out.
	maxLine = 4 << 10
	// lineBytes is what a line takes beside its texts.
	lineBytes = 128
)

// Line is a line of the log.
type Line struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   []Attr
}

// Attr is an attribute of a line. Those in groups have names such as settings.brokers.
type Attr struct{ Name, Value string }

// Shown says how lines are shown.
type Shown struct {
	// Attr returns an attribute as it is shown, that of a group with all its members. Default: as it is.
	Attr func(slog.Attr) slog.Attr
	// Clean makes a value's text fit to be shown. Default: as it is.
	Clean func(string) string
}

// Book keeps lines. It is safe for concurrent use.
type Book struct {
	shown Shown

	mu    sync.Mutex
	lines []Line
	bytes int
}

// NewBook returns an empty book.
func NewBook(s Shown) *Book {
	if s.Attr == nil {
		s.Attr = func(a slog.Attr) slog.Attr { return a }
	}
	if s.Clean == nil {
		s.Clean = func(text string) string { return text }
	}
	return &Book{shown: s}
}

// Lines returns the lines, the oldest first.
func (b *Book) Lines() []Line {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Line(nil), b.lines...)
}

func (b *Book) add(l Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, l)
	b.bytes += l.size()
	drop := 0
	for len(b.lines)-drop > MaxLines || b.bytes > MaxBytes {
		b.bytes -= b.lines[drop].size()
		drop++
	}
	if drop > 0 {
		b.lines = append([]Line(nil), b.lines[drop:]...)
	}
}

func (l *Line) size() int {
	n := lineBytes + len(l.Message)
	for _, a := range l.Attrs {
		n += len(a.Name) + len(a.Value)
	}
	return n
}

// text is what is shown of a value.
func (b *Book) text(v slog.Value) string {
	v = v.Resolve()
	text := v.String()
	if v.Kind() == slog.KindTime {
		text = v.Time().UTC().Format(time.RFC3339)
	} else if err, ok := v.Any().(error); ok {
		text = err.Error()
	}
	return b.shown.Clean(text)
}

// cut bounds a text without splitting a character.
func cut(text string, limit int) string {
	const ellipsis = "…"
	if len(text) <= limit {
		return text
	}
	end := max(0, limit-len(ellipsis))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// marked is the key of the mark in a context.
type marked struct{}

// Mark makes lines that are logged with the context notable, whatever their level.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, marked{}, true) }

func isMarked(ctx context.Context) bool { return ctx != nil && ctx.Value(marked{}) != nil }
