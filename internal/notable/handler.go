package notable

import (
	"context"
	"log/slog"
	"slices"
)

// Handler has a book keep notable lines, and hands all lines to another handler. Make it with [New].
type Handler struct {
	next slog.Handler
	book *Book
	// attrs are those of all lines, group is put before the names of further ones.
	attrs []Attr
	group string
}

// New returns a handler in front of another one.
func New(next slog.Handler, b *Book) *Handler { return &Handler{next: next, book: b} }

// Enabled returns true for notable lines, too, where the other handler does not take them.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return notable(ctx, level) || h.next.Enabled(ctx, level)
}

func notable(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || isMarked(ctx)
}

// WithAttrs returns a handler whose lines all have the attributes.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.next = h.next.WithAttrs(attrs)
	with.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		with.attrs = h.book.flatten(with.attrs, h.group, h.book.shown.Attr(a))
	}
	return &with
}

// WithGroup returns a handler whose further attributes are in a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.next, with.group = h.next.WithGroup(name), h.group+name+"."
	return &with
}

// Handle keeps a line if it is notable, and hands it on if the other handler takes it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if notable(ctx, r.Level) {
		h.keep(r)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h *Handler) keep(r slog.Record) {
	line := Line{Time: r.Time.UTC(), Level: r.Level, Message: cut(h.book.shown.Clean(r.Message), maxLine/4), Attrs: slices.Clip(h.attrs)}
	r.Attrs(func(a slog.Attr) bool {
		line.Attrs = h.book.flatten(line.Attrs, h.group, h.book.shown.Attr(a))
		return true
	})
	room := maxLine - len(line.Message)
	for i := range line.Attrs {
		a := &line.Attrs[i]
		a.Name = cut(a.Name, maxLine/8)
		if a.Value = cut(a.Value, maxLine/4); len(a.Name)+len(a.Value) > room {
			line.Attrs = line.Attrs[:i]
			break
		}
		room -= len(a.Name) + len(a.Value)
	}
	h.book.add(line)
}

// flatten appends an attribute, or those of a group.
func (b *Book) flatten(to []Attr, prefix string, a slog.Attr) []Attr {
	value := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return to
	}
	if value.Kind() != slog.KindGroup {
		return append(to, Attr{Name: prefix + a.Key, Value: b.text(value)})
	}
	if a.Key != "" {
		prefix += a.Key + "."
	}
	for _, inner := range value.Group() {
		to = b.flatten(to, prefix, inner)
	}
	return to
}
