package consumer

import (
	"errors"
	"time"

	"convdel/consumer/internal/recordlog"
)

const (
	// fetchAim is how many bytes of records a single fetch should bring, of the fetchBudget that all partitions share.
	fetchAim = 512 << 10
	// A broker takes the wish for at most so many bytes as compressed ones, and returns at least one
	// batch. The wish is adapted to what comes out of it, between these.
	askLeast, askMost = 16 << 10, 1 << 20
	// trickle is what a fetch brings where there is no backlog, leastRoom the least share of the budget: a batch as producers
	// make them by default, and what it takes to decompress it.
	trickle   = 4 << 10
	leastRoom = 256 << 10
	// besideRoom is what an answer and its decoding take beside the records that come of it, about.
	besideRoom = 128 << 10
)

// fetchSize is how much a partition asks for at a time, and how much memory that takes.
type fetchSize struct {
	// ask is the wish, expect the memory that the next fetch takes, as far as the last one tells.
	ask    int32
	expect int64
	// refusedBytes is what the last fetch would have needed, where that was more than it had; else 0. floor is the most of
	// that so far, within what a single fetch may take of the budget: what decompressing takes with this topic's codec.
	refusedBytes, floor int64
}

func newFetchSize() fetchSize { return fetchSize{ask: askLeast, expect: fetchAim} }

// brought adapts the size to what a fetch has brought.
func (f *fetchSize) brought(size int64) {
	switch {
	case size > fetchAim:
		f.ask = max(askLeast, f.ask/2)
	case size > 0 && size < fetchAim/2:
		f.ask = min(askMost, f.ask*2)
	}
	f.expect = size
	if size > trickle {
		f.expect = size + besideRoom
		if size < fetchAim/2 {
			f.expect += size // it asks for twice as much
		}
	}
	if size < f.refusedBytes/4 {
		f.refusedBytes = 0
	}
}

// refused notes that a fetch needs more room than it had, and says whether err means that.
func (f *fetchSize) refused(err error) bool {
	var need *recordlog.NeedRoomError
	if !errors.As(err, &need) {
		return false
	}
	f.refusedBytes = need.Bytes
	if need.Bytes <= fetchBudget/2 {
		f.floor = max(f.floor, need.Bytes)
	}
	return true
}

// backlog says whether there is more to be had at once. If not, the broker is to hold the fetch
// until there is something.
func (f *fetchSize) backlog() bool { return f.expect > trickle || f.refusedBytes > 0 }

func (f *fetchSize) hold() time.Duration {
	if f.backlog() {
		return 0
	}
	return fetchWait
}

// need is the memory that the next fetch is to have, 0 for one that may wait long for little.
func (f *fetchSize) need() int64 {
	switch {
	case f.refusedBytes > 0:
		return f.refusedBytes
	case f.backlog():
		return max(f.least(), min(f.expect, fetchBudget/2)) // one partition alone must not keep all others waiting
	default:
		return 0
	}
}

// least is the memory that it takes to make something of an answer, however small.
func (f *fetchSize) least() int64 { return max(leastRoom, f.floor) }
