package consumer

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	// fetchBudget is what fetched records may take that are not in flight yet, all partitions together, in bytes.
	fetchBudget = 4 << 20
	// quietAnswer is what an answer may take without a share of the budget, where little is expected.
	quietAnswer = 32 << 10
	// rereadRoom is what reading a dead letter's record again may take without waiting.
	rereadRoom = 2 << 20
)

// room is memory for reading. It holds a share of a part of the capacity until it is given back.
type room struct {
	// bytes is how much may be read into it.
	bytes int64
	// from is the part of the capacity, nil for a room that holds no share; taken is the share.
	from  *semaphore.Weighted
	taken int64
	// large says that the part is the one for large batches: nothing may be waited for then.
	large bool
}

func (r *room) giveBack() {
	if r.from != nil {
		r.from.Release(r.taken)
		r.from = nil
	}
}

// isShare says whether the room holds a share of the capacity.
func (r *room) isShare() bool { return r.from != nil }

// roomToFetch waits for memory for one fetch that needs so many bytes; 0 is a fetch of which little is expected, which waits for
// nothing.
func (c *capacity) roomToFetch(ctx context.Context, need int64) (*room, error) {
	r := &room{bytes: need}
	switch {
	case need == 0:
		r.bytes = quietAnswer
		return r, nil
	case need <= fetchBudget/2:
		r.from, r.taken = c.fetched, need
	default:
		r.from, r.taken, r.large = c.large, min(need, c.maxLarge), true
	}
	if err := acquire(ctx, r.from, r.taken); err != nil {
		return nil, err
	}
	return r, nil
}

// roomToReread waits for memory in which to read the record of one dead letter again. Little memory is always there, since
// events in flight must not wait for fetches. One goroutine at a time calls it.
func (c *capacity) roomToReread(ctx context.Context, need int64) (*room, error) {
	if need <= rereadRoom {
		return &room{bytes: rereadRoom}, nil
	}
	return c.roomToFetch(ctx, need)
}
