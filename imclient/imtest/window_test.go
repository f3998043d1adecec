package imtest

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindow compares the ring with a list that is searched. Bursts make the ring grow and wrap.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w, limited window
		var all, let []int64
		within := func(times []int64, now int64) int {
			n := 0
			for _, at := range times {
				if now-at <= int64(time.Second) {
					n++
				}
			}
			return n
		}
		limit := rapid.IntRange(1, 300).Draw(t, "limit")
		now := int64(0)
		for range rapid.IntRange(1, 20).Draw(t, "bursts") {
			now += rapid.Int64Range(0, int64(1200*time.Millisecond)).Draw(t, "pause")
			gap := rapid.Int64Range(0, int64(20*time.Millisecond)).Draw(t, "gap")
			for range rapid.IntRange(1, 150).Draw(t, "calls") {
				now += gap
				all = append(all, now)
				if got, want := w.add(now), within(all, now); got != want {
					t.Fatalf("%d arrivals in the second up to %d, want %d", got, now, want)
				}
				want := within(let, now) < limit
				if got := limited.addUpTo(now, limit); got != want {
					t.Fatalf("limit %d at %d: %v, want %v", limit, now, got, want)
				}
				if want {
					let = append(let, now)
				}
			}
		}
	})
}
