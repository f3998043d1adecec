package consumer

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"
)

func testCapacity(events int, bytes int64) *capacity {
	return newCapacity(Config{MaxInFlight: events, MaxInFlightBytes: bytes, MaxBatchBytes: 64 << 20, MaxRecordBytes: 8 << 20})
}

// TestCapacityIsHeldOnce draws admissions, ends, bytes given back and fetched anew, against two sums: what is in flight never goes
// beyond the bounds, only a record that would is refused, and in the end nothing is held.
func TestCapacityIsHeldOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events, bytes := rapid.IntRange(1, 300).Draw(t, "events"), rapid.Int64Range(1, 1000).Draw(t, "bytes")
		c := testCapacity(events, bytes)
		var reserved [3]reservation
		var inFlight []int64 // sizes, of those that have their bytes
		var waiting []int64  // sizes, of those that have given them back
		heldEvents := func() (n int64) {
			for _, r := range reserved {
				n += r.events
			}
			return n + int64(len(inFlight)+len(waiting))
		}
		heldBytes := func() (n int64) {
			for _, r := range reserved {
				n += r.bytes
			}
			for _, size := range inFlight {
				n += min(size, bytes)
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				r, size := &reserved[rapid.IntRange(0, 2).Draw(t, "partition")], rapid.Int64Range(0, 1500).Draw(t, "size")
				more := min(size, bytes) - r.bytes
				room := (r.events > 0 || heldEvents()+c.reserveEvents() <= int64(events)) && (more <= 0 || heldBytes()+more <= bytes)
				err := c.admit(context.Background(), r, size, false)
				var full *noCapacityError
				if errors.As(err, &full) == room || full != nil && full.size != size {
					t.Fatalf("a record of %d bytes: %v; %d events and %d bytes are held", size, err, heldEvents(), heldBytes())
				}
				if err == nil {
					inFlight = append(inFlight, size)
				}
			},
			"cancel": func(t *rapid.T) { c.cancel(&reserved[rapid.IntRange(0, 2).Draw(t, "partition")]) },
			"end": func(t *rapid.T) {
				if len(inFlight) == 0 {
					t.Skip("nothing is in flight")
				}
				c.release(inFlight[0])
				inFlight = inFlight[1:]
			},
			"give bytes back": func(t *rapid.T) {
				if len(inFlight) == 0 {
					t.Skip("nothing is in flight")
				}
				c.releaseBytes(inFlight[0], 0)
				waiting, inFlight = append(waiting, inFlight[0]), inFlight[1:]
			},
			"take bytes back": func(t *rapid.T) {
				if len(waiting) == 0 || heldBytes()+min(waiting[0], bytes) > bytes {
					t.Skip("it would wait")
				}
				if err := c.acquireBytes(context.Background(), waiting[0]); err != nil {
					t.Fatal(err)
				}
				inFlight, waiting = append(inFlight, waiting[0]), waiting[1:]
			},
			"": func(t *rapid.T) {
				if n := c.admitted.Load(); int(n) != len(inFlight)+len(waiting) {
					t.Fatalf("%v admitted, of %d in flight", n, len(inFlight)+len(waiting))
				}
				if heldEvents() > int64(events) || heldBytes() > bytes {
					t.Fatalf("%d events of %d, %d bytes of %d", heldEvents(), events, heldBytes(), bytes)
				}
			},
		})
		for i := range reserved {
			c.cancel(&reserved[i])
		}
		for _, size := range inFlight {
			c.release(size)
		}
		for range waiting {
			c.release(0)
		}
		if !c.events.TryAcquire(int64(events)) || !c.bytes.TryAcquire(bytes) {
			t.Fatal("something is held in the end")
		}
	})
}

// TestCapacityOrderOfWaiting: a fetch that holds its share, and waits for bytes, keeps nothing that a dead letter needs to be
// written and so to give bytes back; nor does one that holds the room for large batches.
func TestCapacityOrderOfWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := testCapacity(8, 100)
		var letter, reserved reservation
		if err := c.admit(ctx, &letter, 100, true); err != nil {
			t.Fatal(err)
		}
		var shares []*room
		for range 2 {
			share, err := c.roomToFetch(ctx, fetchBudget/2)
			if err != nil {
				t.Fatal(err)
			}
			shares = append(shares, share)
		}
		admitted := make(chan error, 1)
		go func() { admitted <- c.admit(ctx, &reserved, 60, true) }()
		large, err := c.roomToFetch(ctx, fetchBudget/2+1)
		if err != nil || !large.large {
			t.Fatalf("no room for a large batch beside the shares of others: %v", err)
		}
		var full *noCapacityError
		if err := c.admit(ctx, &reservation{}, 60, false); !errors.As(err, &full) {
			t.Fatalf("what holds room for a large batch gets %v", err)
		}
		if room, err := c.roomToReread(ctx, rereadRoom); err != nil || room.isShare() {
			t.Fatalf("a dead letter's record finds no room: %v", err)
		}
		large.giveBack()
		large.giveBack() // once is enough
		room, err := c.roomToReread(ctx, math.MaxInt64)
		if err != nil || room.taken != c.maxLarge {
			t.Fatalf("a dead letter's large record finds no room: %v", err)
		}
		synctest.Wait()
		if len(admitted) > 0 {
			t.Fatal("a record is admitted beyond the bytes in flight")
		}
		c.release(100)
		if err := <-admitted; err != nil {
			t.Fatal(err)
		}
		room.giveBack()
		for _, r := range shares {
			r.giveBack()
		}
		if !c.fetched.TryAcquire(fetchBudget) || !c.large.TryAcquire(c.maxLarge) {
			t.Error("something is held in the end")
		}
	})
}
