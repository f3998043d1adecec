package desk

import (
	"context"
	"time"
)

// pacer spreads steps: rate of them a second.
type pacer struct {
	rate int
	next time.Time
}

// wait waits until n steps may be made.
func (p *pacer) wait(ctx context.Context, n int) error {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	due := p.next
	p.next = due.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	return waitUntil(ctx, due)
}

func waitUntil(ctx context.Context, due time.Time) error {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
