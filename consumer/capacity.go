package consumer

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/recordlog"
)

// reserveEvents is how many events a partition reserves at a time. Where the capacity is used up, each event that ends
// would otherwise wake a partition for a single record.
const reserveEvents = 64

// capacity bounds the memory that records take, from the fetch that brings them to the end of their events. The partitions
// of a session share it. It has four parts:
//
//   - fetched: bytes of records that have been fetched and are not in flight yet.
//   - events: the number of events in flight.
//   - bytes: the bytes of their records.
//   - large: bytes for reading a batch that is beyond half of fetched.
//
// Several parts may be held at once. To keep such holders from waiting for each other in a circle, they wait in the order of
// this list: nothing waits for a part while it holds a later one. In detail:
//
//   - A fetch that holds a share of fetched waits for events, then for bytes.
//   - A fetch that holds large waits for nothing. Where events or bytes are used up, it gives large back, reserves
//     events and bytes, and then waits for large again.
//   - An event in flight holds one of events and its bytes. A dead letter that waits gives its bytes back. To be written, it
//     waits for bytes again, then for large if its record is read again and needs that much. It never waits for fetched. An
//     event whose outcome is not written yet gives its bytes back, too, and waits for no part.
//
// Each part is a lock of its own. No other lock is held while something waits for a part.
type capacity struct {
	maxEvents, maxBytes, maxLarge int64

	fetched, events, bytes, large *semaphore.Weighted
	// admitted is the number of events in flight.
	admitted atomic.Int64
}

// newCapacity returns the capacity that a configuration allows.
func newCapacity(cfg Config) *capacity {
	c := &capacity{
		maxEvents: int64(cfg.MaxInFlight), maxBytes: cfg.MaxInFlightBytes,
		maxLarge: recordlog.Bounds{Batch: cfg.MaxBatchBytes, Record: cfg.MaxRecordBytes}.Room(askMost),
	}
	c.fetched = semaphore.NewWeighted(fetchBudget)
	c.events = semaphore.NewWeighted(c.maxEvents)
	c.bytes = semaphore.NewWeighted(c.maxBytes)
	c.large = semaphore.NewWeighted(c.maxLarge)
	return c
}

// reservation is what a partition holds of events and bytes for records that are not in flight yet. One goroutine uses it.
type reservation struct{ events, bytes int64 }

// noCapacityError says that a record of size bytes can't be in flight at once.
type noCapacityError struct{ size int64 }

func (*noCapacityError) Error() string { return "capacity for events in flight is used up" }

// admit brings a record of size bytes in flight, on what r has reserved, and reserves more where that is not enough. Where that
// takes waiting, it waits if waits is true, and returns a [*noCapacityError] otherwise.
func (c *capacity) admit(ctx context.Context, r *reservation, size int64, waits bool) error {
	if err := c.reserve(ctx, r, size, waits); err != nil {
		return err
	}
	r.events--
	r.bytes -= c.weight(size)
	c.admitted.Add(1)
	return nil
}

// reserve makes r large enough for a record of size bytes. It waits for that, or not, as admit does.
func (c *capacity) reserve(ctx context.Context, r *reservation, size int64, waits bool) error {
	take := func(part *semaphore.Weighted, n int64) error {
		switch {
		case waits:
			return acquire(ctx, part, n)
		case part.TryAcquire(n):
			return nil
		}
		return &noCapacityError{size: size}
	}
	if r.events == 0 {
		if err := take(c.events, c.reserveEvents()); err != nil {
			return err
		}
		r.events = c.reserveEvents()
	}
	if more := c.weight(size) - r.bytes; more > 0 {
		if err := take(c.bytes, more); err != nil {
			return err
		}
		r.bytes += more
	}
	return nil
}

// reserveEvents leaves events for other partitions where there are few.
func (c *capacity) reserveEvents() int64 { return max(1, min(reserveEvents, c.maxEvents/8)) }

// cancel gives back what is left of a reservation.
func (c *capacity) cancel(r *reservation) {
	c.events.Release(r.events)
	c.bytes.Release(r.bytes)
	*r = reservation{}
}

// release gives back what an event in flight holds, size bytes among it.
func (c *capacity) release(size int64) {
	c.bytes.Release(c.weight(size))
	c.events.Release(1)
	c.admitted.Add(-1)
}

// acquireBytes waits for the bytes that an event in flight has given back.
func (c *capacity) acquireBytes(ctx context.Context, size int64) error {
	return acquire(ctx, c.bytes, c.weight(size))
}

// releaseBytes gives bytes of an event back that stays in flight. The event has held size, and goes on holding left.
func (c *capacity) releaseBytes(size, left int64) { c.bytes.Release(c.weight(size) - c.weight(left)) }

// weight lets a record beyond all bytes in flight in, alone.
func (c *capacity) weight(size int64) int64 { return min(size, c.maxBytes) }

// full says whether no further event has room.
func (c *capacity) full() bool {
	if !c.events.TryAcquire(1) {
		return true
	}
	c.events.Release(1)
	if !c.bytes.TryAcquire(1) {
		return true
	}
	c.bytes.Release(1)
	return false
}
