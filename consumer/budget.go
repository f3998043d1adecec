package consumer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"convdel/consumer/internal/quota"
)

// slowBudget is how long a budget may take to answer. A later answer is a failure.
const slowBudget = 250 * time.Millisecond

// errBarren says why a budget is given up that answers.
var errBarren = errors.New("it gives no departures, though it answers")

// follow keeps leased departures at hand until ctx ends. The function that it returns ends it, too.
func (l *limiter) follow(ctx context.Context, log *slog.Logger) (stop func()) {
	if l.budget == nil || l.off {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() {
		ctx, end := l.loops.begin(ctx, "lease departures")
		defer end()
		for ctx.Err() == nil {
			d := l.demand()
			if d.Ask {
				l.lease(ctx, d.N, log)
			} else if wait(ctx, d.Again, l.poked) != nil {
				return
			}
		}
	})
	return func() {
		cancel()
		following.Wait()
	}
}

func (l *limiter) demand() quota.Demand {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rules.Demand(time.Now(), int(l.ready.Load()), l.waiting)
}

// lease asks the budget for n departures and takes in the answer.
func (l *limiter) lease(ctx context.Context, n int, log *slog.Logger) {
	asking, cancel := context.WithTimeout(ctx, slowBudget)
	asked := time.Now()
	at := loopOf(ctx)
	at.rests()
	departures, again, err := l.budget.Reserve(asking, n)
	at.works()
	cancel()
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	was := l.rules.Mode()
	if now := time.Now(); err != nil {
		l.rules.BudgetFailed(now)
	} else {
		l.rules.BudgetAnswered(asked, now, n, departures, again)
	}
	is := l.rules.Mode()
	if err == nil && is == quota.ByShare {
		err = errBarren
	}
	l.wakeLocked()
	l.mu.Unlock()
	if was != is {
		logMode(ctx, log, is, err)
	}
}

// logMode says once when the budget is lost and when it is back.
func logMode(ctx context.Context, log *slog.Logger, is quota.Mode, err error) {
	switch is {
	case quota.ByShare:
		log.LogAttrs(ctx, slog.LevelWarn, "the shared budget fails: falling back to this replica's share of the quota", slog.Any("error", err))
	case quota.ByBoth:
		log.LogAttrs(ctx, slog.LevelInfo, "the shared budget answers again: keeping to the share as well for a moment",
			slog.Duration("for", quota.Cautious))
	case quota.ByBudget:
		log.LogAttrs(ctx, slog.LevelInfo, "the shared budget decides again")
	}
}

// fallsBack says whether the share counts, although there is a budget.
func (l *limiter) fallsBack() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.budget != nil && l.rules.Mode() != quota.ByBudget
}

// poke makes the follower look again.
func (l *limiter) poke() {
	select {
	case l.poked <- struct{}{}:
	default:
	}
}
