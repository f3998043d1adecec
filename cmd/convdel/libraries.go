package main

import (
	"context"
	"io"
	"log" //nolint:depguard // this file is where its output is taken over
	"log/slog"
	"strings"
	"sync/atomic"

	"convdel/consumer/redisbudget"
	"convdel/imclient"
)

// libraryLog takes what libraries print on their own and makes it lines of the log. net/http, for example, prints the bytes that a server
// sends unasked, and a server may repeat the signature in them. So each text is scrubbed. It is an [io.Writer] and a [slog.Handler].
type libraryLog struct{ to atomic.Pointer[slog.Logger] }

// takeOverLibraries makes a libraryLog out of all loggers of the process that code can reach without being given one. It is for main
// alone: the loggers are the process's.
func takeOverLibraries(log *slog.Logger) *libraryLog {
	l := new(libraryLog)
	l.redirect(log)
	slog.SetDefault(slog.New(l)) //nolint:forbidigo // this is the one place
	setStandardLog(l)
	redisbudget.LogTo(func(text string) { l.say(context.Background(), text) })
	return l
}

func setStandardLog(w io.Writer) {
	log.SetFlags(0)
	log.SetPrefix("")
	log.SetOutput(w)
}

// redirect sends the lines to another logger. A nil libraryLog does nothing.
func (l *libraryLog) redirect(log *slog.Logger) {
	if l != nil {
		l.to.Store(log)
	}
}

func (l *libraryLog) say(ctx context.Context, text string) {
	l.to.Load().LogAttrs(ctx, slog.LevelWarn, "a library says", slog.String("text", imclient.Scrub(text)))
}

// Write logs a line of package log.
func (l *libraryLog) Write(line []byte) (int, error) {
	l.say(context.Background(), string(line))
	return len(line), nil
}

// Enabled returns true: a library that uses the default logger does so rarely.
func (l *libraryLog) Enabled(context.Context, slog.Level) bool { return true }

// Handle logs a record of the default logger, as one text.
func (l *libraryLog) Handle(ctx context.Context, r slog.Record) error {
	var line strings.Builder
	r.Time = r.Time.UTC()
	err := slog.NewTextHandler(&line, nil).Handle(ctx, r)
	l.say(ctx, line.String())
	return err
}

// WithAttrs drops the attributes, since their only use is to be shown.
func (l *libraryLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup drops the group.
func (l *libraryLog) WithGroup(string) slog.Handler { return l }
