package consumer

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/recordlog"
)

const (
	// What has been fetched and not been admitted yet takes memory beside the events in flight. All
	// partitions together share fetchBudget, and a single fetch should bring fetchAim of it.
	fetchBudget = 4 << 20
	fetchAim    = 512 << 10
	// A broker takes the wish for at most so many bytes as compressed ones, and returns at least one
	// batch. The wish is adapted to what comes out of it, between these.
	askLeast, askMost = 16 << 10, 1 << 20
	// trickle is what a fetch brings where there is no backlog, quietAnswer what its answer may take without a share of the
	// budget, leastRoom the least share: a batch as producers make them by default, and what it takes to decompress it.
	trickle     = 4 << 10
	quietAnswer = 32 << 10
	leastRoom   = 256 << 10
	// reloadRoom is what reading a letter's record again may take without waiting for anybody.
	reloadRoom = 2 << 20
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

// room is memory for reading that has been taken: give it back.
type room struct {
	bytes int64
	from  *semaphore.Weighted
	taken int64
	// large says that it is one for large batches.
	large bool
}

func (r *room) giveBack() {
	if r.from != nil {
		r.from.Release(r.taken)
		r.from = nil
	}
}

// quiet says that no memory was taken: little was expected.
func (r *room) quiet() bool { return r.from == nil }

// takeRoom waits for memory for one fetch: of the budget that all share, or, beyond half of that, of what there is for
// large batches, which holds the largest one that the bounds allow.
//
// Who holds a share of the budget may wait for events in flight to end; so nothing that these need may wait for the budget. Who
// holds room for a large batch waits for nothing else: it gives the room back first.
func (s *session) takeRoom(ctx context.Context, need int64) (*room, error) {
	r := &room{bytes: need}
	switch {
	case need == 0:
		r.bytes = quietAnswer
		return r, nil
	case need <= fetchBudget/2:
		r.from, r.taken = s.fetched, need
	default:
		r.from, r.taken, r.large = s.large, min(need, s.largest()), true
	}
	if err := r.from.Acquire(ctx, r.taken); err != nil {
		return nil, err
	}
	return r, nil
}

// takeReloadRoom is takeRoom for the one lane that reads letters' records again, on which events in flight wait: little is its own.
func (s *session) takeReloadRoom(ctx context.Context, need int64) (*room, error) {
	if need <= reloadRoom {
		return &room{bytes: reloadRoom}, nil
	}
	return s.takeRoom(ctx, need)
}

// largest is what the largest batch that the bounds allow takes to be read.
func (s *session) largest() int64 {
	return recordlog.Bounds{Batch: s.cfg.MaxBatchBytes, Record: s.cfg.MaxRecordBytes}.Room(askMost)
}
