package service

import (
	"context"
	"log" //nolint:depguard // net/http and promhttp log with its Logger
	"log/slog"
)

// textLog returns a logger for a library. What the library says is an attribute of the line, not its message: it may name the address of
// a client, and lines that differ in nothing else are equal lines, see package repeats.
func textLog(to *slog.Logger, level slog.Level, message string) *log.Logger {
	return slog.NewLogLogger(textHandler{Handler: to.Handler(), message: message}, level)
}

// textHandler replaces the message of each record.
type textHandler struct {
	slog.Handler

	message string
}

// Handle hands the record on.
func (h textHandler) Handle(ctx context.Context, r slog.Record) error {
	line := slog.NewRecord(r.Time, r.Level, h.message, r.PC)
	line.AddAttrs(slog.String("text", r.Message))
	return h.Handler.Handle(ctx, line)
}
