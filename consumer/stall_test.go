package consumer

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestStandstill: a stall is a minute without movement, with something to do and nobody who waits on purpose.
func TestStandstill(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	for _, test := range []struct {
		name     string
		evidence standstill
		why      string // in part; empty: no stall
	}{
		{"just moved", standstill{since: before(59 * time.Second), todo: 5}, ""},
		{"nothing to do", standstill{since: before(time.Hour)}, ""},
		{"an event waits for its retry", standstill{since: before(time.Hour), todo: 5, retrying: 1}, ""},
		{"nothing known", standstill{since: before(time.Minute), todo: 5}, "5 offsets behind: the cause is not known"},
		{
			"partitions",
			standstill{since: before(time.Minute), todo: 5, unread: []string{"3 at offset 17: no leader", "4 at offset 2: no leader"}},
			"can't be read: 3 at offset 17: no leader; 4 at offset 2: no leader",
		},
		{
			"a partition of which nothing is known",
			standstill{since: before(time.Minute), unread: []string{"3 at offset 0: no leader"}},
			"3 at offset 0: no leader",
		},
		{"letters", standstill{since: before(time.Minute), todo: 5, deadLetters: 2, deadLettersWhy: errors.New("refused")}, "2 dead letters are not written to their topic: refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := test.evidence.ruling(now)
			if (got == nil) != (test.why == "") {
				t.Fatalf("ruling %+v, want %q", got, test.why)
			}
			if got != nil && (!strings.Contains(got.Why, test.why) || !got.Since.Equal(test.evidence.since)) {
				t.Errorf("ruling %+v, want %q", got, test.why)
			}
		})
	}
}
