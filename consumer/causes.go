package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// causeOver is how long a cause of retries must not have occurred to be told again.
	causeOver = time.Minute
	// maxCauses bounds the causes that are remembered. Beyond it, each is told, and equal lines are counted as all others.
	maxCauses = 256
)

// cause is why calls fail: a code of the API, or, without one, the reason.
type cause struct {
	code   int
	reason string
}

// causes tells the first retry of each cause. One line says what goes wrong; metrics count how often.
type causes struct {
	mu sync.Mutex
	// last is when each has occurred.
	last map[cause]time.Time
}

// first says whether a cause occurs for the first time, or again after it was over.
func (c *causes) first(of cause, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, known := c.last[of]
	if !known && len(c.last) >= maxCauses {
		for other, at := range c.last {
			if now.Sub(at) > causeOver {
				delete(c.last, other)
			}
		}
		if len(c.last) >= maxCauses {
			return true
		}
	}
	if c.last == nil {
		c.last = make(map[cause]time.Time)
	}
	c.last[of] = now
	return !known || now.Sub(before) > causeOver
}

// tell tells of an event that waits for its next call because of an answer, if that is the first of its cause.
func (c *causes) tell(log *slog.Logger, topic string, ev *event, a Answer, due time.Time) {
	if !c.first(cause{a.Code, a.Reason}, time.Now()) {
		return
	}
	attrs := ev.told(topic, slog.Int("attempt", ev.calls), slog.Int("code", a.Code))
	if a.Reason != "" {
		attrs = append(attrs, slog.String("reason", a.Reason))
	}
	log.LogAttrs(context.Background(), slog.LevelWarn, "a call has failed, the first one for its cause: the event waits for another attempt",
		append(attrs, slog.Time("due", due), slog.Any("error", a.Err))...)
}
