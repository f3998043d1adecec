package consumer

import (
	"testing"
	"time"
)

// TestAnOnlyAttemptHasOneTime: the breaker opens while an event's call is under way, and the calls before are forgotten. The call that ends the
// event is its only attempt then.
func TestAnOnlyAttemptHasOneTime(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0)
	for _, verdict := range []Verdict{Permanent, Deleted} {
		ev := &event{first: began.Add(-time.Minute)}
		ev.answered(Answer{Verdict: verdict}, began)
		if ev.attempts.Counted != 1 || !ev.first.Equal(began) || !ev.last.Equal(began) {
			t.Errorf("%v: %d attempts from %s to %s", verdict, ev.attempts.Counted, ev.first, ev.last)
		}
	}
	ev := &event{first: began.Add(-time.Minute)}
	ev.attempts.Counted = 1
	if ev.answered(Answer{Verdict: Permanent}, began); !ev.first.Equal(began.Add(-time.Minute)) {
		t.Errorf("the first of two attempts is at %s", ev.first)
	}
}
