package testkit

import (
	"slices"
	"testing"
	"time"
)

// Await calls ok at once and then once every interval, until it returns true. The interval grows to a hundredth of the time that
// has passed, since an hour of virtual time would have too many short ones. The test fails if that takes longer than limit; what
// names the thing that is awaited.
func Await(tb testing.TB, every, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); !ok(); <-tick.C {
		passed := time.Since(began)
		if passed > limit {
			tb.Fatalf("after %s still not: %s", limit, what)
		}
		tick.Reset(max(every, passed/100))
	}
}

// MostIn returns the greatest number of times within any interval of length d, both ends included. The times may be in
// any order.
func MostIn(d time.Duration, times []time.Time) int {
	times = slices.SortedFunc(slices.Values(times), time.Time.Compare)
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) > d {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}
