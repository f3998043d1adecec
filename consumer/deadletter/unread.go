package deadletter

import "slices"

// maxGaps bounds the number of gaps that an [Unread] names.
const maxGaps = 100

// Gap is a part of a partition that can't be read: the offsets First to Last, both included.
type Gap struct {
	Partition   int
	First, Last int64
	// Err says why a batch can't be read. It is nil if committed reads end at an open transaction. The gap can be read once
	// the transaction has ended.
	Err error
}

// Offsets is the number of offsets in the gap. It holds at most so many records.
func (g Gap) Offsets() int64 { return g.Last - g.First + 1 }

// Unread says which parts of the topic could not be read. Letters there are not among the open ones. A letter whose
// tombstone is there looks open.
type Unread struct {
	// Gaps are the first hundred parts, More is the number of the others.
	Gaps []Gap
	More int
}

// and returns the union of both. Either may be nil.
func (u *Unread) and(other *Unread) *Unread {
	if other == nil {
		return u
	}
	for _, g := range other.Gaps {
		u = u.add(g)
	}
	u.More += other.More
	return u
}

func (u *Unread) add(g Gap) *Unread {
	switch {
	case u == nil:
		return &Unread{Gaps: []Gap{g}}
	case u.has(g):
	case len(u.Gaps) < maxGaps:
		u.Gaps = append(u.Gaps, g)
	default:
		u.More++
	}
	return u
}

func (u *Unread) has(g Gap) bool {
	return u != nil && slices.ContainsFunc(u.Gaps, func(known Gap) bool { return known.Partition == g.Partition && known.First == g.First })
}

// note adds a gap to u, and calls Notice.
func (t *Table) note(u **Unread, g Gap) {
	if (*u).has(g) {
		return
	}
	*u = (*u).add(g)
	if t.Notice == nil {
		return
	}
	t.noticing.Lock()
	defer t.noticing.Unlock()
	t.Notice(g)
}
