package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// remindEvery is how often a condition that lasts is logged.
const remindEvery = time.Minute

// remind logs once a minute that calls are paused, and why, until the returned function is called.
func (g *breakerGuard) remind(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var reminding sync.WaitGroup
	reminding.Go(func() {
		var since, next time.Time
		for ctx.Err() == nil {
			p, changed := g.look()
			switch now := time.Now(); {
			case p == nil:
				next = time.Time{}
			case next.IsZero() || !p.Since.Equal(since):
				since, next = p.Since, p.Since.Add(remindEvery)
			case !now.Before(next):
				g.logPaused(p)
				next = next.Add(remindEvery)
			}
			_ = wait(ctx, next, changed) // the loop looks at ctx
		}
	})
	return func() {
		cancel()
		reminding.Wait()
	}
}

// look returns why no calls are made, nil if they are, and a channel that is closed when that may have changed.
func (g *breakerGuard) look() (p *Pause, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pausedLocked(), g.changed
}

func (g *breakerGuard) logPaused(p *Pause) {
	attrs := []slog.Attr{slog.String("reason", string(p.Reason)), slog.Time("since", p.Since), errorAttr(p.Err)}
	if !p.NextProbe.IsZero() {
		attrs = append(attrs, slog.Time("next_probe", p.NextProbe))
	}
	g.tell(g.log, pauseLasts, attrs)
}
