package consumer

import (
	"fmt"
	"testing"
	"time"

	"convdel/schema"
)

// TestOutageIsNoticedSoon: at six calls a second, all well before, an outage is noticed once there are enough calls to tell,
// not only when the good ones before it are ten seconds old. Failures of some, or of few conversations, are none.
func TestOutageIsNoticedSoon(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		fails         func(n int) bool
		conversations int
		within        time.Duration // 0: never
	}{
		{"all fail", func(int) bool { return true }, 30, 4500 * time.Millisecond},
		{"nine of ten", func(n int) bool { return n%10 != 0 }, 30, 4500 * time.Millisecond},
		{"two of three", func(n int) bool { return n%3 != 0 }, 30, 0},
		{"all of nine conversations", func(int) bool { return true }, 9, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r recent
			began := time.Unix(1_000_000, 0)
			var noticed time.Duration
			for n := range 360 {
				at := began.Add(time.Duration(n) * time.Second / 6)
				since := at.Sub(began) - 10*time.Second
				failed := since >= 0 && tc.fails(n)
				r.add(schema.Conversation{From: fmt.Sprint("user", n%tc.conversations)}, failed, at)
				if failed && noticed == 0 && r.outage(at) {
					noticed = since
				}
			}
			if (noticed == 0) != (tc.within == 0) || noticed > tc.within {
				t.Errorf("noticed after %s, want %s", noticed, tc.within)
			}
		})
	}
}
