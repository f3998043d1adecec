package consumer

import (
	"time"

	"convdel/schema"
)

const (
	// An outage is outageShare of at least outageCalls calls for at least outageConversations
	// conversations, within the last outageWindow or, to be quick about it where there is much
	// traffic, within less.
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

// outage says whether the calls of the window, or of so many of its last tenths, make one.
func (r *recent) outage(now time.Time) bool {
	newest := now.UnixNano() / int64(outageWindow/time.Duration(len(r)))
	calls, failed := 0, 0
	conversations := make(map[schema.Conversation]struct{}, outageConversations)
	for age := range int64(len(r)) {
		t := &r[(newest-age)%int64(len(r))]
		if t.slot != newest-age {
			continue
		}
		calls += t.calls
		failed += t.failed
		for c := range t.conversations {
			conversations[c] = struct{}{}
		}
		if calls >= outageCalls && len(conversations) >= outageConversations && float64(failed) >= outageShare*float64(calls) {
			return true
		}
	}
	return false
}
