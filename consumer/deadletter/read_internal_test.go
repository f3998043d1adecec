package deadletter

import (
	"testing"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

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
