package consumer

import (
	"errors"
	"time"

	"convdel/consumer/internal/recordlog"
)

const (
	// fetchAim is the size in bytes of the records that a single fetch should bring, of the fetchBudget that all partitions share.
	fetchAim = 512 << 10
	// A fetch asks for a number of bytes between these two. Brokers count compressed bytes, and return at least one batch, so the
	// number is adapted to the size of the records that come out.
	askLeast, askMost = 16 << 10, 1 << 20
	// trickle is the most that a fetch brings if there is no backlog.
	trickle = 4 << 10
	// leastRoom is the least share of the budget: room for a batch of a producer's default size, and for decompressing it.
	leastRoom = 256 << 10
	// besideRoom is about the room that an answer and its decoding take besides the records.
	besideRoom = 128 << 10
)

// fetchSize is how much the fetches of a partition ask for, and how much memory they take.
type fetchSize struct {
	// ask is the number of bytes to ask for.
	ask int32
	// expect is the memory that the next fetch takes, as far as the last fetch tells.
	expect int64
	// refusedBytes is the memory that the last fetch needed, if that was more than it had; else 0.
	refusedBytes int64
	// floor is the highest refusedBytes so far that a single fetch may take of the budget. It follows from the memory that
	// decompressing takes with the topic's codec.
	floor int64
}

func newFetchSize() fetchSize { return fetchSize{ask: askLeast, expect: fetchAim} }

// brought adapts the size to the bytes of records that a fetch has brought.
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
			f.expect += size // the next fetch asks for twice as much
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

// backlog says whether the log has more records already. If not, the broker is to hold the fetch until it has one.
func (f *fetchSize) backlog() bool { return f.expect > trickle || f.refusedBytes > 0 }

func (f *fetchSize) hold() time.Duration {
	if f.backlog() {
		return 0
	}
	return fetchWait
}

// need is the memory that the next fetch is to have; 0 if it may wait long, and little is expected of it.
func (f *fetchSize) need() int64 {
	switch {
	case f.refusedBytes > 0:
		return f.refusedBytes
	case f.backlog():
		return max(f.least(), min(f.expect, fetchBudget/2)) // one partition must not take the budget of all others
	default:
		return 0
	}
}

// least is the memory that decoding the smallest answer takes.
func (f *fetchSize) least() int64 { return max(leastRoom, f.floor) }
