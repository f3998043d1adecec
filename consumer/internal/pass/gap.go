package pass

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

// Unread says which parts of a topic could not be read. What their records say is missing. nil means that all could be read.
type Unread struct {
	// Gaps are the first hundred parts, More is the number of the others.
	Gaps []Gap
	More int
}

// Kinds says whether parts of a topic lie behind an open transaction, and whether others can't be read at all.
func (u *Unread) Kinds() (hidden, damaged bool) {
	if u == nil {
		return false, false
	}
	damaged = u.More > 0
	for _, g := range u.Gaps {
		hidden, damaged = hidden || g.Err == nil, damaged || g.Err != nil
	}
	return hidden, damaged
}

// And returns the union of both. Either may be nil.
func (u *Unread) And(other *Unread) *Unread {
	if other == nil {
		return u
	}
	for _, g := range other.Gaps {
		u = u.With(g)
	}
	u.More += other.More
	return u
}

// Clone returns a copy. u may be nil.
func (u *Unread) Clone() *Unread {
	if u == nil {
		return nil
	}
	return &Unread{Gaps: slices.Clone(u.Gaps), More: u.More}
}

// With adds a gap. u may be nil.
func (u *Unread) With(g Gap) *Unread {
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

// Note adds a gap to u. If it is new there, it calls notice, unless that is nil, one call at a time.
func (t *Topic) Note(u **Unread, g Gap, notice func(Gap)) {
	if (*u).has(g) {
		return
	}
	*u = (*u).With(g)
	if notice == nil {
		return
	}
	t.noticing.Lock()
	defer t.noticing.Unlock()
	notice(g)
}
