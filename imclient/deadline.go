package imclient

import (
	"context"
	"reflect"
	"time"
)

// deadlines bound calls in time. A context that has bounded a call bounds another one later: to make one with a timer for each
// call takes 5 % of the processor time of calls that nothing limits.
type deadlines struct {
	timeout time.Duration
	// free are those that bound no call.
	free chan *deadline
}

// deadline is a context that ends with the timeout, for the cause [context.DeadlineExceeded], or with its parent.
type deadline struct {
	context.Context //nolint:containedctx // it is one

	parent context.Context
	end    context.CancelCauseFunc
	timer  *time.Timer
}

// newDeadlines returns deadlines of which at most so many are kept between calls.
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

// done ends the context of a call, or keeps it for the next one: idle says that nothing uses it any more. Only parents that are
// pointers are safe to compare.
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
