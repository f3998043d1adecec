package deadletter

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"convdel/consumer/internal/recordlog"
)

// readyBytes is how many bytes of letters a cursor holds before it stops reading. It always holds at least one letter.
const readyBytes = 1 << 20

// cursor reads the open letters of one partition, in the order of the log.
type cursor struct {
	t         *Table
	partition int
	wanted    []wanted // ascending by offset
	ready     []*Letter
	held      int64 // bytes in ready
}

type wanted struct {
	offset int64
	key    letterKey
}

// pick calls do with the open letters, or with those of the given IDs, in the order in which they were written.
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
		l := next.takeOne()
		l.positions, l.supersedes = ix.positions(l.key), ix.chain(l.key)
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
	if len(ids) > 0 {
		for _, id := range ids {
			key := ix.key(id)
			if at, open := ix.open[key]; open {
				cursors[at.partition].want(at.offset, key)
			}
		}
	} else {
		for key, at := range ix.open {
			cursors[at.partition].want(at.offset, key)
		}
	}
	for _, c := range cursors {
		c.sort()
	}
	return cursors
}

func (c *cursor) want(offset int64, key letterKey) {
	c.wanted = append(c.wanted, wanted{offset: offset, key: key})
}

func (c *cursor) sort() {
	slices.SortFunc(c.wanted, func(a, b wanted) int { return cmp.Compare(a.offset, b.offset) })
	c.wanted = slices.CompactFunc(c.wanted, func(a, b wanted) bool { return a.offset == b.offset })
}

// takeOne returns the next letter, takeAll returns all letters that are ready.
func (c *cursor) takeOne() *Letter {
	l := c.ready[0]
	c.ready[0], c.ready = nil, c.ready[1:]
	if len(c.ready) == 0 {
		c.held = 0
	}
	return l
}

func (c *cursor) takeAll() []*Letter {
	all := c.ready
	c.ready, c.held = nil, 0
	return all
}

// errHeld says that a cursor holds enough letters for now.
var errHeld = errors.New("enough letters are held")

// fill reads until a letter is ready or none is left. A letter that was replaced or settled since the pass may be missing.
func (c *cursor) fill(ctx context.Context, ix *index) error {
	for idle := 0; len(c.ready) == 0 && len(c.wanted) > 0; {
		r := recordlog.Request{Partition: c.partition, Offset: c.wanted[0].offset, MaxBytes: pickBytes, Epoch: recordlog.NoEpoch}
		next, gap, err := c.t.in.Read(ctx, r, c.add)
		if gap != nil {
			c.t.note(&ix.unread, *gap)
		}
		if errors.Is(err, errHeld) {
			return nil
		}
		if err != nil {
			return err
		}
		c.skip(next)
		if next >= ix.ends[c.partition] {
			c.wanted = nil
		}
		if next > r.Offset {
			idle = 0
		} else if idle++; len(c.wanted) > 0 {
			if err := c.t.in.Idle(ctx, r, idle); err != nil {
				return err
			}
		}
	}
	return nil
}

// skip drops the wanted letters below an offset.
func (c *cursor) skip(offset int64) {
	for len(c.wanted) > 0 && c.wanted[0].offset < offset {
		c.wanted = c.wanted[1:]
	}
}

func (c *cursor) add(r *recordlog.Record) error {
	c.skip(r.Offset)
	if len(c.wanted) == 0 || c.wanted[0].offset != r.Offset {
		return nil
	}
	key := c.wanted[0].key
	c.wanted = c.wanted[1:]
	l := readLetter(r)
	if l == nil {
		return nil
	}
	l.key = key
	c.ready = append(c.ready, l)
	if c.held += r.Size; c.held >= readyBytes {
		return errHeld
	}
	return nil
}
