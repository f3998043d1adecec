package consumer

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/membership"
)

// trouble is why this replica is no working member of the group, for [Status].
type trouble struct {
	text string
	// unreached says that no broker has answered, since is since when.
	unreached bool
	since     time.Time
}

// troubled notes why this replica is no working member of the group.
func (c *Consumer) troubled(what string, err error) {
	t := &trouble{
		text: cmp.Or(refusedText(what, err), fmt.Sprintf("%s: %v", what, err)), unreached: isUnreached(err), since: time.Now(),
	}
	if before := c.trouble.Load(); before != nil && before.unreached && t.unreached {
		t.since = before.since
	}
	c.trouble.Store(t)
}

// doubts notes that this replica makes no calls, since it may no longer be a member of the group: silent if that is for want of answers.
func (c *Consumer) doubts(why error, silent bool) {
	doubt := &trouble{text: why.Error(), unreached: silent, since: time.Now()}
	if before := c.doubt.Load(); before != nil {
		doubt.since = before.since
	} else {
		c.trouble.Store(nil) // it is of an earlier time
	}
	c.doubt.Store(doubt)
}

// doubtEnds notes that this replica is a working member again. It says whether it was in doubt.
func (c *Consumer) doubtEnds() bool {
	if c.doubt.Swap(nil) == nil {
		return false
	}
	s := *c.status.Load()
	s.Since = time.Now()
	c.status.Store(&s)
	return true
}

// isUnreached says whether an error is that no broker was reached, or that none has answered. What brokers answer, refusals among it, is
// another kind.
func isUnreached(err error) bool {
	_, answered := errors.AsType[kafka.Error](err)
	_, unknown := errors.AsType[*partitionsError](err)
	refused, is := errors.AsType[*membership.RefusedError](err)
	answered = answered || is && refused.Answered()
	return !answered && !unknown && cluster.Refusal(err) == nil && !errors.Is(err, errRestart)
}

// unreached returns why the session can't go on, if that is since brokers are not reached; empty otherwise.
func (s *session) unreached() string {
	if why := s.uncommitted.Load(); why != nil && s.over.Load() != nil && isUnreached(*why) {
		return fmt.Sprintf("offsets can't be committed: %v", *why)
	}
	return s.stalls.unreached()
}

// unreached returns why no partition can be opened or read, if that is since brokers are not reached; empty otherwise.
func (w *stallWatch) unreached() string {
	text := ""
	if why := w.owned.unopened.Load(); why != nil {
		if !isUnreached(*why) {
			return ""
		}
		text = fmt.Sprintf("%s: %v", notOpened, *why)
	}
	for _, p := range w.owned.all() {
		why := p.failing.Load()
		if why == nil || !isUnreached(*why) {
			return ""
		}
		text = fmt.Sprintf("partition %d can't be read: %v", p.id, *why)
	}
	return text
}
