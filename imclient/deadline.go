package imclient

import (
	"context"
	"reflect"
	"time"
)

// deadlines bound calls in time. They use the context of an ended call again. A new context and timer for each call would take
// 5 % of the processor time of unlimited calls.
type deadlines struct {
	timeout time.Duration
	// free holds contexts that bound no call at the moment.
	free chan *deadline
}

// deadline is a context that ends with the timeout or with its parent. The timeout's cause is [context.DeadlineExceeded].
type deadline struct {
	context.Context //nolint:containedctx // it is one

	parent context.Context
	end    context.CancelCauseFunc
	timer  *time.Timer
}

// newDeadlines returns deadlines that keep at most so many contexts between calls.
func newDeadlines(timeout time.Duration, most int) *deadlines {
	return &deadlines{timeout: timeout, free: make(chan *deadline, most)}
}

// begin returns the context of a call that begins.
func (d *deadlines) begin(parent context.Context) *deadline {
	select {
	case kept := <-d.free:
		if kept.parent == parent {
			kept.timer.Reset(d.timeout)
			return kept
		}
		kept.end(nil)
	default:
	}
	ctx, end := context.WithCancelCause(parent)
	timer := time.AfterFunc(d.timeout, func() { end(context.DeadlineExceeded) })
	return &deadline{Context: ctx, parent: parent, end: end, timer: timer}
}

// done ends the context of a call, or keeps it for the next call. idle says that nothing uses the context any more. begin compares
// parents, and only pointers are safe to compare.
func (d *deadlines) done(used *deadline, idle bool) {
	if used.timer.Stop() && idle && reflect.TypeOf(used.parent).Kind() == reflect.Pointer {
		select {
		case d.free <- used:
			return
		default:
		}
	}
	used.end(nil)
}
