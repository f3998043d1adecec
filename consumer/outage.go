package consumer

import (
	"time"

	"convdel/schema"
)

const (
	// An outage is outageShare of at least outageCalls calls for at least outageConversations
	// conversations, within the last outageWindow or, to be quick about it where there is much
	// traffic, within its last fifth.
	outageWindow        = 10 * time.Second
	outageCalls         = 20
	outageConversations = 10
	outageShare         = 0.8
)

// recent is the calls of the outage window, by tenths of it.
type recent [10]tally

// tally counts the calls of a tenth of the outage window.
type tally struct {
	slot          int64
	calls, failed int
	conversations map[schema.Conversation]struct{}
}

// add counts a call.
func (r *recent) add(c schema.Conversation, failed bool, now time.Time) {
	slot := now.UnixNano() / int64(outageWindow/time.Duration(len(r)))
	t := &r[slot%int64(len(r))]
	if t.slot != slot {
		*t = tally{slot: slot, conversations: make(map[schema.Conversation]struct{}, outageConversations)}
	}
	t.calls++
	if failed {
		t.failed++
	}
	if len(t.conversations) < outageConversations {
		t.conversations[c] = struct{}{}
	}
}

// outage says whether the calls of the window, or of its last fifth, make one.
func (r *recent) outage(now time.Time) bool {
	return r.makeOutage(now, len(r)) || r.makeOutage(now, len(r)/5)
}

// makeOutage says whether the calls of the last so many tenths of the window make an outage.
func (r *recent) makeOutage(now time.Time, tenths int) bool {
	newest := now.UnixNano() / int64(outageWindow/time.Duration(len(r)))
	calls, failed := 0, 0
	conversations := make(map[schema.Conversation]struct{}, outageConversations)
	for _, t := range r {
		if t.slot <= newest-int64(tenths) {
			continue
		}
		calls += t.calls
		failed += t.failed
		for c := range t.conversations {
			conversations[c] = struct{}{}
		}
	}
	return calls >= outageCalls && len(conversations) >= outageConversations && float64(failed) >= outageShare*float64(calls)
}
