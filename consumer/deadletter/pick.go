package deadletter

import (
	"context"
	"slices"

	"convdel/consumer/internal/recordlog"
)

// cursor reads the open letters of one partition, in the order of the log.
type cursor struct {
	t         *Table
	partition int
	wanted    []wanted // ascending by offset
	ready     []*Letter
}

type wanted struct {
	offset int64
	key    letterKey
}

// pick calls do with the open letters, or those of the given IDs, by the time of their writing.
func (t *Table) pick(ctx context.Context, ix *index, ids []string, do func(*Letter) error) error {
	cursors := t.cursors(ix, ids)
	for {
		var next *cursor
		for _, c := range cursors {
			if err := c.fill(ctx, ix); err != nil {
				return err
			}
			if len(c.ready) > 0 && (next == nil || c.ready[0].Written.Before(next.ready[0].Written)) {
				next = c
			}
		}
		if next == nil {
			return ctx.Err()
		}
		l := next.ready[0]
		next.ready = next.ready[1:]
		if err := do(l); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (t *Table) cursors(ix *index, ids []string) []*cursor {
	cursors := make([]*cursor, t.partitions)
	for p := range cursors {
		cursors[p] = &cursor{t: t, partition: p}
	}
	add := func(key letterKey, at place) {
		c := cursors[at.partition]
		c.wanted = append(c.wanted, wanted{offset: at.offset, key: key})
	}
	if len(ids) > 0 {
		for _, id := range ids {
			key := ix.key(id)
			if at, open := ix.open[key]; open {
				add(key, at)
			}
		}
	} else {
		for key, at := range ix.open {
			add(key, at)
		}
	}
	for _, c := range cursors {
		slices.SortFunc(c.wanted, func(a, b wanted) int { return int(a.offset - b.offset) })
		c.wanted = slices.CompactFunc(c.wanted, func(a, b wanted) bool { return a.offset == b.offset })
	}
	return cursors
}

// fill reads on until a letter is ready or none is left. Letters that have been replaced or settled
// since the pass may be gone.
func (c *cursor) fill(ctx context.Context, ix *index) error {
	for len(c.ready) == 0 && len(c.wanted) > 0 {
		next, err := c.t.read(ctx, recordlog.Request{Partition: c.partition, Offset: c.wanted[0].offset, MaxBytes: pickBytes, Epoch: recordlog.NoEpoch},
			func(r *recordlog.Record) error { return c.take(ix, r) })
		if err != nil {
			return err
		}
		for len(c.wanted) > 0 && c.wanted[0].offset < next {
			c.wanted = c.wanted[1:]
		}
		if next >= ix.ends[c.partition] {
			c.wanted = nil
		}
	}
	return nil
}

func (c *cursor) take(ix *index, r *recordlog.Record) error {
	for len(c.wanted) > 0 && c.wanted[0].offset < r.Offset {
		c.wanted = c.wanted[1:]
	}
	if len(c.wanted) == 0 || c.wanted[0].offset != r.Offset {
		return nil
	}
	key := c.wanted[0].key
	l, err := readLetter(r)
	if l != nil {
		l.places, l.supersedes = ix.places(key), ix.chain(key)
		c.ready = append(c.ready, l)
	}
	return err
}
