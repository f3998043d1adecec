package membership

import (
	"maps"
	"slices"
	"time"
)

// holding is what a member has in hand.
type holding struct {
	// held are the partitions that the member works on or gives up; true says that it gives them up.
	held map[int]bool
	// assigned are the member's in the last assignment, ascending, which was of the generation.
	assigned   []int
	generation int32
	// claimed are what the last join has claimed. released says that the present generation gives some of it to nobody, so that
	// there must be another one once it is not held any more.
	claimed  []int
	released bool
}

func (h *holding) giving(p int) bool     { return h.held[p] }
func (h *holding) isAssigned(p int) bool { _, is := slices.BinarySearch(h.assigned, p); return is }
func (h *holding) all() []int            { return slices.Sorted(maps.Keys(h.held)) }

// kept returns what is held and not being given up.
func (h *holding) kept() []int {
	return slices.DeleteFunc(h.all(), h.giving)
}

// settled says that nothing is held but what is assigned.
func (h *holding) settled() bool {
	for p := range h.held {
		if !h.isAssigned(p) {
			return false
		}
	}
	return true
}

// claim returns what a join claims, and notes it.
func (h *holding) claim() claims {
	h.claimed = h.all()
	return claims{h.generation, h.claimed}
}

// assign takes an assignment. It returns what is to be given up and what is new.
func (h *holding) assign(generation int32, partitions []int) (gone, gained []int) {
	h.generation, h.assigned = generation, partitions
	h.released = slices.ContainsFunc(h.claimed, func(p int) bool { return !h.isAssigned(p) })
	for _, p := range partitions {
		if _, ok := h.held[p]; !ok {
			gained = append(gained, p)
		}
	}
	return slices.DeleteFunc(h.kept(), h.isAssigned), gained
}

// gain begins the work on partitions that nobody holds, at a time or, if that is zero, at once.
func (m *Member) gain(partitions []int, begin time.Time) {
	if len(partitions) == 0 {
		return
	}
	if m.holding.held == nil {
		m.holding.held = map[int]bool{}
	}
	for _, p := range partitions {
		m.holding.held[p] = false
	}
	m.order(Gain{ascending(partitions), begin})
}

// giveUp ends the work on partitions that are held.
func (m *Member) giveUp(partitions []int) {
	if len(partitions) == 0 {
		return
	}
	for _, p := range partitions {
		m.holding.held[p] = true
	}
	m.order(GiveUp{partitions})
}

// lose ends the work on everything, at once.
func (m *Member) lose(why error) {
	if len(m.holding.held) > 0 || m.contact.paused != nil {
		m.order(Lose{why})
	}
	// What the last join has claimed stays noted: its generation may still come.
	m.holding = holding{generation: m.holding.generation, claimed: m.holding.claimed}
	m.contact = contact{}
}
