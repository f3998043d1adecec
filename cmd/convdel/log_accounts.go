package main

import (
	"context"
	"log/slog"
	"regexp"

	"convdel/consumer"
)

// withoutAccounts is a handler that hides the accounts in errors, and what libraries quote. No other attribute holds an account.
type withoutAccounts struct{ slog.Handler }

// libraryText is the attribute that has the words of a library.
const libraryText = "text"

// quotedText finds what Go's %q has written. The last quote may be cut off.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*("|$)`)

// Handle writes a line without accounts.
func (h withoutAccounts) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		line.AddAttrs(hideAccounts(a))
		return true
	})
	return h.Handler.Handle(ctx, line)
}

// WithAttrs adds attributes to all lines.
func (h withoutAccounts) WithAttrs(attrs []slog.Attr) slog.Handler {
	hidden := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		hidden[i] = hideAccounts(a)
	}
	return withoutAccounts{h.Handler.WithAttrs(hidden)}
}

// WithGroup begins a group of attributes.
func (h withoutAccounts) WithGroup(name string) slog.Handler {
	return withoutAccounts{h.Handler.WithGroup(name)}
}

func hideAccounts(a slog.Attr) slog.Attr {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		members := make([]slog.Attr, 0, len(value.Group()))
		for _, member := range value.Group() {
			members = append(members, hideAccounts(member))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(members...)}
	}
	if err, ok := value.Any().(error); ok {
		return slog.String(a.Key, consumer.WithoutAccounts(err))
	}
	if value.Kind() == slog.KindString && a.Key == libraryText {
		return slog.String(a.Key, quotedText.ReplaceAllString(value.String(), `"…"`))
	}
	return a
}
