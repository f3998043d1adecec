package notable_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"convdel/internal/notable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newLog returns a logger whose lines from a level on go to a buffer, and whose notable ones to a book.
func newLog(level slog.Level, shown notable.Shown) (log *slog.Logger, book *notable.Book, written *bytes.Buffer) {
	written = new(bytes.Buffer)
	book = notable.NewBook(shown)
	return slog.New(notable.New(slog.NewTextHandler(written, &slog.HandlerOptions{Level: level}), book)), book, written
}

func texts(b *notable.Book) (all []string) {
	for _, l := range b.Lines() {
		words := []string{l.Level.String(), l.Message}
		for _, a := range l.Attrs {
			words = append(words, a.Name+"="+a.Value)
		}
		all = append(all, strings.Join(words, " "))
	}
	return all
}

// TestNotableLines: lines from WARN on are kept, and marked ones; with their attributes, those in groups too. The log itself is as it was.
func TestNotableLines(t *testing.T) {
	t.Parallel()
	log, book, written := newLog(slog.LevelInfo, notable.Shown{})
	with := log.With(slog.Int("generation", 3)).WithGroup("of")
	with.Info("usual")
	with.Debug("quiet")
	with.Warn("odd", slog.Group("settings", slog.String("brokers", "a:1"), slog.Duration("timeout", time.Second)), slog.Attr{})
	with.InfoContext(notable.Mark(t.Context()), "resumed", slog.Time("since", time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))))
	want := []string{
		"WARN odd generation=3 of.settings.brokers=a:1 of.settings.timeout=1s", "INFO resumed generation=3 of.since=2026-01-02T02:04:05Z",
	}
	if got := texts(book); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", got)
	}
	if n := strings.Count(written.String(), "\n"); n != 3 || strings.Contains(written.String(), "quiet") {
		t.Errorf("the log: %s", written.String())
	}
}

// TestNotableLinesBelowTheLogsLevel: what the log leaves out is kept all the same, and left out of the log still.
func TestNotableLinesBelowTheLogsLevel(t *testing.T) {
	t.Parallel()
	log, book, written := newLog(slog.LevelError, notable.Shown{})
	log.Warn("odd")
	log.InfoContext(notable.Mark(t.Context()), "resumed")
	log.Info("usual")
	if len(book.Lines()) != 2 || written.Len() != 0 {
		t.Errorf("%q, log %q", texts(book), written.String())
	}
}

// TestNotableLinesAreShownAsTold: attributes are what is given for them, and all texts are cleaned.
func TestNotableLinesAreShownAsTold(t *testing.T) {
	t.Parallel()
	log, book, _ := newLog(slog.LevelInfo, notable.Shown{
		Attr: func(a slog.Attr) slog.Attr {
			if err, ok := a.Value.Any().(error); ok {
				return slog.String(a.Key, "["+err.Error()+"]")
			}
			return a
		}, Clean: func(text string) string { return strings.ReplaceAll(text, "key", "***") },
	})
	log.Error("a key", slog.Any("error", errors.New("no key")), slog.String("text", "key"), slog.Any("other", struct{ A string }{"key"}))
	if got := texts(book)[0]; got != "ERROR a *** error=[no ***] text=*** other={***}" {
		t.Error(got)
	}
}

// TestNotableLinesAreBounded: in number, each in its size, and all in theirs. The newest stay.
func TestNotableLinesAreBounded(t *testing.T) {
	t.Parallel()
	log, book, _ := newLog(slog.LevelInfo, notable.Shown{})
	for i := range 2 * notable.MaxLines {
		warn(log, fmt.Sprint("line ", i))
	}
	if got := book.Lines(); len(got) != notable.MaxLines || got[0].Message != "line 50" || got[49].Message != "line 99" {
		t.Errorf("%d lines, %+v", len(got), got[0])
	}
	long := strings.Repeat("v", 10_000)
	for range notable.MaxLines {
		warn(log, strings.Repeat("é", 10_000), slog.String(strings.Repeat("n", 10_000), long), slog.String("b", long), slog.String("c", long), slog.String("d", long))
	}
	total := 0
	for _, l := range book.Lines() {
		size := len(l.Message)
		for _, a := range l.Attrs {
			size += len(a.Name) + len(a.Value)
		}
		if size > 4<<10 || !strings.HasSuffix(l.Message, "é…") {
			t.Errorf("a line of %d bytes", size)
		}
		total += size
	}
	if total > notable.MaxBytes || len(book.Lines()) < 10 {
		t.Errorf("%d bytes in %d lines", total, len(book.Lines()))
	}
}

// warn logs a message that is made for a test.
func warn(log *slog.Logger, message string, attrs ...slog.Attr) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, message, 0)
	r.AddAttrs(attrs...)
	_ = log.Handler().Handle(context.Background(), r)
}

// TestNotableLinesOfMany goroutines are kept while others read.
func TestNotableLinesOfMany(t *testing.T) {
	t.Parallel()
	log, book, _ := newLog(slog.LevelError, notable.Shown{})
	var logging sync.WaitGroup
	for range 8 {
		logging.Go(func() {
			for range 200 {
				log.LogAttrs(context.Background(), slog.LevelWarn, "line", slog.Int("n", 1))
				book.Lines()
			}
		})
	}
	logging.Wait()
	if n := len(book.Lines()); n != notable.MaxLines {
		t.Errorf("%d lines", n)
	}
}
