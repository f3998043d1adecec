package repeats

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Handler hands log lines to another handler, except those that repeat too often. Lines below level INFO all pass: an operator who asks
// for them wants them. Make it with [New].
type Handler struct {
	next slog.Handler
	book *book
}

// book is what a handler and all handlers derived from it count together.
type book struct {
	root slog.Handler

	mu      sync.Mutex
	counter counter
	closed  bool
}

// New returns a handler in front of another one.
func New(next slog.Handler) *Handler {
	return &Handler{next: next, book: &book{root: next, counter: counter{kinds: make(map[kind]*tally)}}}
}

// Enabled returns true if the other handler takes lines of a level.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler that counts together with this one. Lines are equal whatever these attributes are.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{next: h.next.WithAttrs(attrs), book: h.book}
}

// WithGroup does the same for a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{next: h.next.WithGroup(name), book: h.book}
}

// Handle writes a line, or counts it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelInfo {
		return h.next.Handle(ctx, r)
	}
	write, before := h.book.line(kindOf(&r)) //nolint:contextcheck // a summary belongs to many lines
	if before.more > 0 {
		h.book.tell(before) //nolint:contextcheck // likewise
	}
	if !write {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// Close writes what has been counted so far. Lines after it are written as before, and no longer counted.
func (h *Handler) Close() { h.book.flush(true) }

// line counts a line, and has the summary written when it is due.
func (b *book) line(k kind, failure slog.Value) (write bool, before summary) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return true, summary{}
	}
	now := time.Now()
	r := b.counter.line(k, failure, now)
	if !r.due.IsZero() {
		time.AfterFunc(r.due.Sub(now), func() { b.flush(false) })
	}
	return r.write, r.before
}

// flush writes the summaries that are due, or all of them at the end.
func (b *book) flush(end bool) {
	b.mu.Lock()
	list := b.counter.due(time.Now(), end)
	b.closed = b.closed || end
	b.mu.Unlock()
	for _, s := range list {
		b.tell(s)
	}
}

// tell writes a summary, at the level of its lines.
func (b *book) tell(s summary) {
	r := slog.NewRecord(time.Now(), s.kind.level, "more lines like this within a minute", 0)
	r.AddAttrs(slog.String("like", s.kind.message))
	for _, a := range []slog.Attr{slog.String("class", s.kind.class), slog.String("reason", s.kind.reason)} {
		if a.Value.String() != "" {
			r.AddAttrs(a)
		}
	}
	if s.kind.failure != "" {
		r.AddAttrs(slog.Attr{Key: "error", Value: s.failure})
	}
	r.AddAttrs(slog.Int("more", s.more))
	_ = b.root.Handle(context.Background(), r) // there is nobody else to tell
}

// kindOf returns the kind of a line, and the value of which its failure is the text.
func kindOf(r *slog.Record) (k kind, failure slog.Value) {
	k = kind{level: r.Level, message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "class":
			k.class = a.Value.Resolve().String()
		case "reason":
			k.reason = a.Value.Resolve().String()
		case "error":
			if r.Level >= slog.LevelError {
				failure = a.Value.Resolve()
				k.failure = failure.String()
			}
		}
		return true
	})
	return k, failure
}
