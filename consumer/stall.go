package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// stallAfter is the time after which a replica says that it stands still: it has something to do, and nothing has moved.
const stallAfter = time.Minute

// errUnanswered is why dead letters or outcomes are not written, where no write has failed.
var errUnanswered = errors.New("their broker has not answered")

// Stall says that a replica has had something to do for a minute, is not paused, and has done nothing.
type Stall struct {
	// Since is when something last moved: a record read, a call answered, an event ended.
	Since time.Time
	// Why names the cause as far as it is known, free of secrets.
	Why string
}

// standstill is the evidence of a stall.
type standstill struct {
	since time.Time
	// todo is the number of offsets that are unfinished or unread.
	todo int64
	// retrying is the number of conversations that wait for the end of their backoff, which is no stall.
	retrying int
	// deadLetters is the number of dead letters that are not written, deadLettersWhy the error of the last failed write; nil if
	// none has failed.
	deadLetters    int
	deadLettersWhy error
	// outcomes and outcomesWhy are the same of outcomes.
	outcomes    int
	outcomesWhy error
	// unread has a text for each partition whose fetches fail: "PARTITION at OFFSET: why".
	unread []string
}

// ruling returns the stall that the evidence makes at a time; nil if it makes none.
func (e standstill) ruling(now time.Time) *Stall {
	if e.todo == 0 && len(e.unread) == 0 || e.retrying > 0 || now.Sub(e.since) < stallAfter {
		return nil
	}
	var causes []string
	if len(e.unread) > 0 {
		causes = append(causes, "partitions that can't be read: "+strings.Join(e.unread, "; "))
	}
	if e.deadLetters > 0 {
		causes = append(causes, fmt.Sprintf("%d dead letters are not written to their topic: %v", e.deadLetters, cmp.Or(e.deadLettersWhy, errUnanswered)))
	}
	if e.outcomes > 0 {
		causes = append(causes, fmt.Sprintf("%d outcomes are not written to their topic: %v", e.outcomes, cmp.Or(e.outcomesWhy, errUnanswered)))
	}
	if len(causes) == 0 {
		causes = append(causes, "the cause is not known")
	}
	return &Stall{Since: e.since, Why: fmt.Sprintf("nothing moves, and the group is %d offsets behind: %s", e.todo, strings.Join(causes, "; "))}
}

// stallWatch gathers the evidence of a stall.
type stallWatch struct {
	queue       *queue
	deadLetters *deadLetters
	outcomes    *outcomes
	owned       *assignment
	// movedAt is when something last moved (Unix nanoseconds).
	movedAt atomic.Int64
}

func newStallWatch(q *queue, d *deadLetters, o *outcomes, owned *assignment) *stallWatch {
	w := &stallWatch{queue: q, deadLetters: d, outcomes: o, owned: owned}
	w.moved()
	return w
}

// moved notes that something has moved: a record read, a call answered, an event ended.
func (w *stallWatch) moved() { w.movedAt.Store(time.Now().UnixNano()) }

// refused returns why brokers do not let this replica do its work; empty if they do.
func (w *stallWatch) refused() string {
	for _, p := range w.owned.all() {
		if why := p.failing.Load(); why != nil {
			if text := refusedText(fmt.Sprintf("partition %d can't be read", p.id), *why); text != "" {
				return text
			}
		}
	}
	text := ""
	if n, why := w.deadLetters.unacknowledged(); n > 0 {
		text = refusedText("dead letters can't be written", why)
	}
	if n, why := w.outcomes.unacknowledged(); n > 0 {
		text = cmp.Or(text, refusedText("outcomes can't be written", why))
	}
	return text
}

// standstill returns the evidence at this moment.
func (w *stallWatch) standstill() standstill {
	e := standstill{since: time.Unix(0, w.movedAt.Load())}
	e.deadLetters, e.deadLettersWhy = w.deadLetters.unacknowledged()
	e.outcomes, e.outcomesWhy = w.outcomes.unacknowledged()
	e.retrying = w.queue.retrying()
	for _, p := range w.owned.all() {
		e.todo += p.todo()
		if why := p.failing.Load(); why != nil && !errors.Is(*why, errRestart) {
			e.unread = append(e.unread, fmt.Sprintf("%d at offset %d: %v", p.id, p.position(), *why))
		}
	}
	return e
}
