package deadletter

import "slices"

// maxGaps is how many parts of the topic that can't be read are told one by one.
const maxGaps = 100

// Gap is a part of a partition that can't be read: the offsets First to Last, both included.
type Gap struct {
	Partition   int
	First, Last int64
	// Err says why a batch can't be read. It is nil where a transaction is open: committed reads end there, and
	// what lies behind can be read once the transaction has ended.
	Err error
}

// Offsets is how many there are in the gap: of records at most so many.
func (g Gap) Offsets() int64 { return g.Last - g.First + 1 }

// Unread is what could not be read of the topic. What is in it is not among the open letters, and may be
// among them although it is settled behind.
type Unread struct {
	// Gaps are the first hundred parts, More is how many there are beside them.
	Gaps []Gap
	More int
}

// and adds what others have found. Either may be nil.
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

// note adds a gap to what could not be read, and says so.
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
