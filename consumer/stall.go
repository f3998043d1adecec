package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
)

// stallAfter is how long nothing may move, with something to do, before a replica says that it stands still.
const stallAfter = time.Minute

// errUnanswered is why dead letters are not written, where no write has failed.
var errUnanswered = errors.New("their broker has not answered")

// Stall says that a replica has had something to do for a while, is not paused, and has done nothing.
type Stall struct {
	// Since is when something last moved: a record read, a call answered, an event ended.
	Since time.Time
	// Why names what is known of the cause, free of secrets.
	Why string
}

// standstill is the evidence of a stall.
type standstill struct {
	since time.Time
	// todo is how many offsets are unfinished or unread, retrying how many conversations wait for the end of their backoff,
	// which is no stall.
	todo     int64
	retrying int
	// deadLetters is how many dead letters are not written, deadLettersWhy what the last failed write failed with; nil if none has.
	deadLetters    int
	deadLettersWhy error
	// unread are the partitions that can't be read, with something to do or not known to have none, each as "PARTITION at OFFSET: why".
	unread []string
}

// ruling says whether that is a stall at a time; nil if not.
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
	if len(causes) == 0 {
		causes = append(causes, "the cause is not known")
	}
	return &Stall{Since: e.since, Why: fmt.Sprintf("nothing moves, and the group is %d offsets behind: %s", e.todo, strings.Join(causes, "; "))}
}

// moved notes that something has moved.
func (s *session) moved() { s.movedAt.Store(time.Now().UnixNano()) }

// standstill is the evidence at this moment.
func (s *session) standstill() standstill {
	e := standstill{since: time.Unix(0, s.movedAt.Load())}
	e.deadLetters, e.deadLettersWhy = s.deadLetters.unacknowledged()
	e.retrying = s.queue.retrying()
	for _, p := range s.owned.partitions {
		e.todo += p.todo()
		if why := p.failing.Load(); why != nil && !errors.Is(*why, errRestart) {
			e.unread = append(e.unread, fmt.Sprintf("%d at offset %d: %v", p.id, p.position(), *why))
		}
	}
	return e
}
