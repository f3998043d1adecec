package consumer

import (
	"context"
	"time"
)

// wait returns at a time (the zero time: never), or when something is received, or with the error of
// a context that ends before. The context's loop rests meanwhile.
func wait(ctx context.Context, at time.Time, woken <-chan struct{}) error {
	var due <-chan time.Time
	if !at.IsZero() {
		left := time.Until(at)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		due = timer.C
	}
	l := loopOf(ctx)
	l.rests()
	defer l.works()
	select {
	case <-due:
	case <-woken:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// pause waits for d, or returns the error of a context that ends before.
func pause(ctx context.Context, d time.Duration) error {
	return wait(ctx, time.Now().Add(d), nil)
}

// wake lets one receiver from a channel of capacity 1 go on: one that waits, or the next one.
func wake(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default:
	}
}
