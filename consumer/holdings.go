package consumer

import (
	"slices"
	"sync"
	"time"
)

// holdings are the partitions that the group has given to this replica, and which of them it is to give up. The membership changes them,
// and a session follows them.
type holdings struct {
	// gaveUp is told of partitions that nothing is done for any more.
	gaveUp func(ids []int)

	mu sync.Mutex
	// held has a partition for each key; true says that it is to be given up.
	held map[int]bool
	// begin is when what was gained last may be opened; zero for at once.
	begin time.Time
	// joined says that this replica is a member of a generation of the group. term counts how often all was lost.
	joined bool
	term   int
	// lost is why the last term has ended; nil before that.
	lost error
	// changed is closed and replaced at each change.
	changed chan struct{}
}

// heldNow is what a session has to follow at one moment.
type heldNow struct {
	// keep are the partitions to work on, leave those to give up, ascending.
	keep, leave []int
	// begin is when those to work on may be opened.
	begin   time.Time
	joined  bool
	term    int
	lost    error
	changed <-chan struct{}
}

func newHoldings(gaveUp func(ids []int)) *holdings {
	return &holdings{gaveUp: gaveUp, held: make(map[int]bool), changed: make(chan struct{})}
}

// now returns the holdings at this moment.
func (h *holdings) now() heldNow {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := heldNow{begin: h.begin, joined: h.joined, term: h.term, lost: h.lost, changed: h.changed}
	for id, leaves := range h.held {
		if leaves {
			n.leave = append(n.leave, id)
		} else {
			n.keep = append(n.keep, id)
		}
	}
	slices.Sort(n.keep)
	slices.Sort(n.leave)
	return n
}

// join notes that this replica is a member of a generation.
func (h *holdings) join() {
	h.change(func() { h.joined = true })
}

// gain takes partitions in, which may be opened at a time.
func (h *holdings) gain(ids []int, begin time.Time) {
	h.change(func() {
		for _, id := range ids {
			h.held[id] = false
		}
		if begin.After(h.begin) {
			h.begin = begin
		}
	})
}

// leave notes that partitions are to be given up.
func (h *holdings) leave(ids []int) {
	h.change(func() {
		for _, id := range ids {
			h.held[id] = true
		}
	})
}

// left notes that nothing is done for partitions any more, in a term. It tells the membership.
func (h *holdings) left(term int, ids ...int) {
	h.mu.Lock()
	current := h.term == term && h.joined
	if current {
		for _, id := range ids {
			delete(h.held, id)
		}
	}
	h.mu.Unlock()
	if current {
		h.gaveUp(ids)
	}
}

// lose notes that all partitions are lost.
func (h *holdings) lose(why error) {
	h.change(func() {
		h.joined, h.lost = false, why
		h.term++
		clear(h.held)
	})
}

func (h *holdings) change(how func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	how()
	close(h.changed)
	h.changed = make(chan struct{})
}
