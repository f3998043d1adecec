package deadletter

import (
	"errors"
	"testing"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
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

// TestATooLargeRecordIsNoTombstone: the value was not read, so it is no letter's, but it is not null either.
func TestATooLargeRecordIsNoTombstone(t *testing.T) {
	t.Parallel()
	d := schema.DeadLetter{Class: schema.ClassExhausted, Topic: "t", Offset: 7, Group: "g"}
	ix := &partitionIndex{end: 10, open: make(map[string]int64), replaces: make(map[string]string)}
	for _, r := range []*recordlog.Record{
		{Offset: 0, Key: []byte(d.ID()), Value: []byte("x"), Headers: d.Headers(nil), Use: true},
		{Offset: 1, Key: []byte(d.ID()), Omitted: &recordlog.Omitted{Why: "too large"}, Use: true},
	} {
		if err := ix.add(r); err != nil {
			t.Fatal(err)
		}
		if l := readLetter(r); (l != nil) != (r.Offset == 0) {
			t.Errorf("record %d is read as %+v", r.Offset, l)
		}
	}
	if ix.open[d.ID()] != 0 || len(ix.open) != 1 || ix.foreign != 1 || ix.records != 2 {
		t.Errorf("index %+v", ix)
	}
}

// TestGapsAreBounded: thousands of bad batches do not fill the memory.
func TestGapsAreBounded(t *testing.T) {
	t.Parallel()
	var u, other *Unread
	for n := range int64(500) {
		u = u.add(Gap{First: n, Last: n})
		u = u.add(Gap{First: n % maxGaps, Last: n % maxGaps}) // known
		other = other.add(Gap{Partition: 1, First: n, Last: n})
	}
	if u = u.and(other).and(nil); len(u.Gaps) != maxGaps || u.More != 900 {
		t.Errorf("%d gaps and %d more", len(u.Gaps), u.More)
	}
}
