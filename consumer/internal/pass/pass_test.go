package pass

import (
	"errors"
	"testing"

	"convdel/consumer/internal/recordlog"
)

// TestSteppingOverABatch: records that were read stay read, and reading always goes on behind the batch.
func TestSteppingOverABatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, first, last, wantFirst, wantLast int64 }{
		{from: 5, first: 5, last: 9, wantFirst: 5, wantLast: 9},
		{from: 7, first: 5, last: 9, wantFirst: 7, wantLast: 9},
		{from: 5, first: 7, last: 9, wantFirst: 7, wantLast: 9},
		{from: 12, first: 5, last: 9, wantFirst: 12, wantLast: 12}, // even if a batch claims to end earlier
	} {
		bad := &recordlog.BatchError{Base: c.first, First: c.first, Last: c.last, Err: errors.New("checksum")}
		next, gap := stepOver(3, c.from, bad)
		if gap.Partition != 3 || gap.First != c.wantFirst || gap.Last != c.wantLast || next != c.wantLast+1 || !errors.Is(gap.Err, bad) {
			t.Errorf("%+v: next %d, gap %+v", c, next, gap)
		}
	}
}

// TestGapsAreBounded: thousands of bad batches do not fill the memory.
func TestGapsAreBounded(t *testing.T) {
	t.Parallel()
	var u, other *Unread
	for n := range int64(500) {
		u = u.With(Gap{First: n, Last: n})
		u = u.With(Gap{First: n % maxGaps, Last: n % maxGaps}) // known
		other = other.With(Gap{Partition: 1, First: n, Last: n})
	}
	if u = u.And(other).And(nil); len(u.Gaps) != maxGaps || u.More != 900 {
		t.Errorf("%d gaps and %d more", len(u.Gaps), u.More)
	}
}
