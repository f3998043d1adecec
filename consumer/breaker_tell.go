package consumer

import (
	"context"
	"log/slog"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/internal/notable"
)

// guarded is what a breaker guards: the calls that delete, or the accounts' lists of conversations.
type guarded struct {
	// attempts are those of an event that the breaker counts.
	attempts func(*event) *breaker.Attempts
	// named is how a pause is named.
	named func(breaker.Reason) PauseReason
	// tell says in the log what has become of a pause.
	tell func(log *slog.Logger, what told, attrs []slog.Attr)
}

// told is what the log says of a pause.
type told int

const (
	pauseBegins told = iota
	pauseChanges
	pauseLasts
	pauseEnds
)

func guardedCalls() guarded {
	return guarded{
		attempts: func(ev *event) *breaker.Attempts { return &ev.attempts },
		named:    func(r breaker.Reason) PauseReason { return PauseReason(r) },
		tell: func(log *slog.Logger, what told, attrs []slog.Attr) {
			switch ctx := context.Background(); what {
			case pauseBegins:
				log.LogAttrs(ctx, slog.LevelError, "calls paused: the fault is not the events' own; probing until it is over", attrs...)
			case pauseChanges:
				log.LogAttrs(ctx, slog.LevelError, "calls stay paused, for another reason", attrs...)
			case pauseLasts:
				log.LogAttrs(ctx, slog.LevelError, "calls are still paused", attrs...)
			case pauseEnds:
				log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "calls resumed", attrs...)
			}
		},
	}
}

func guardedLists() guarded {
	return guarded{
		attempts: func(ev *event) *breaker.Attempts { return &ev.listing },
		named:    func(breaker.Reason) PauseReason { return PauseLists },
		tell: func(log *slog.Logger, what told, attrs []slog.Attr) {
			switch ctx := context.Background(); what {
			case pauseBegins:
				log.LogAttrs(ctx, slog.LevelError, "lists of conversations paused: events that need one wait; probing until it is over", attrs...)
			case pauseChanges:
				log.LogAttrs(ctx, slog.LevelError, "lists of conversations stay paused, for another reason", attrs...)
			case pauseLasts:
				log.LogAttrs(ctx, slog.LevelError, "lists of conversations are still paused: events that need one wait", attrs...)
			case pauseEnds:
				log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "lists of conversations resumed", attrs...)
			}
		},
	}
}

// tellLocked says in log and metrics how the breaker has changed.
func (g *breakerGuard) tellLocked(change breaker.Change, before breaker.Pause) {
	now, _ := g.breaker.Open()
	at := time.Now()
	switch change {
	case breaker.Unchanged:
	case breaker.Opened:
		g.metrics.pauses.begin(g.named(now.Reason), now.Since)
		g.tell(g.log, pauseBegins, []slog.Attr{slog.String("reason", string(now.Reason)), errorAttr(g.lastError)})
	case breaker.OtherReason:
		g.metrics.pauses.change(g.named(before.Reason), g.named(now.Reason), at)
		g.tell(g.log, pauseChanges, []slog.Attr{
			slog.String("reason", string(now.Reason)), slog.String("before", string(before.Reason)), errorAttr(g.lastError),
		})
	case breaker.Closed:
		g.metrics.pauses.end(g.named(before.Reason), at)
		g.closed()
		g.tell(g.log, pauseEnds, []slog.Attr{
			slog.String("reason", string(before.Reason)),
			slog.Duration("paused_for", at.Sub(before.Since).Round(time.Millisecond)), slog.Int("failed_probes", before.Probes),
		})
	}
}

// errorAttr has the log show an error; an empty text for none.
func errorAttr(err error) slog.Attr {
	if err == nil {
		return slog.String("error", "")
	}
	return slog.Any("error", err)
}
