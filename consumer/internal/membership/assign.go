package membership

import (
	"cmp"
	"maps"
	"slices"
)

// candidate is a member as the assignment sees it.
type candidate struct {
	memberID, instanceID string
	claims               claims
	// kept are the claims that no other claim outdoes, share is how many partitions the member is to have.
	kept  []int
	share int
	gets  []int
}

// order is the same for all leaders. A static member keeps its place when it comes back with another member ID.
func (c *candidate) order(d *candidate) int {
	return cmp.Or(cmp.Compare(cmp.Or(c.instanceID, c.memberID), cmp.Or(d.instanceID, d.memberID)), cmp.Compare(c.memberID, d.memberID))
}

// assignments returns what each member gets of a topic with n partitions, by the generation's protocol.
func assignments(topic, protocol string, members []JoinedMember, n int) []Assignment {
	candidates := subscribed(topic, members)
	b := basis{known: true, number: n}
	if protocol == Range {
		assignRanges(candidates, n)
	} else {
		b.withheld = assignSticky(candidates, n)
	}
	gets := map[string][]int{}
	for _, c := range candidates {
		gets[c.memberID] = c.gets
	}
	all := make([]Assignment, 0, len(members))
	for _, m := range members {
		all = append(all, Assignment{m.MemberID, assignmentBytes(topic, share{gets[m.MemberID], b})})
	}
	return all
}

// subscribed returns the members that want the topic, in their order.
func subscribed(topic string, members []JoinedMember) []*candidate {
	var candidates []*candidate
	for _, m := range members {
		if c, ok := readSubscription(topic, m.Metadata); ok {
			candidates = append(candidates, &candidate{memberID: m.MemberID, instanceID: m.InstanceID, claims: c})
		}
	}
	slices.SortFunc(candidates, (*candidate).order)
	return candidates
}

// assignRanges is kafka-go's way.
func assignRanges(candidates []*candidate, n int) {
	slices.SortFunc(candidates, func(c, d *candidate) int { return cmp.Compare(c.memberID, d.memberID) })
	for i, c := range candidates {
		for p := i * n / len(candidates); p < (i+1)*n/len(candidates); p++ {
			c.gets = append(c.gets, p)
		}
	}
}

// assignSticky lets members keep what they claim, up to their share, and hands out what nobody claims. What somebody claims who is
// not to keep it is withheld: it is handed out once it has been given up. If n is 0, the number is not known: each claim is kept.
func assignSticky(candidates []*candidate, n int) (withheld bool) {
	if len(candidates) == 0 {
		return false
	}
	owners := resolve(candidates, n)
	for _, p := range slices.Sorted(maps.Keys(owners)) {
		owners[p].kept = append(owners[p].kept, p)
	}
	shares(candidates, n)
	for _, c := range candidates {
		if n == 0 {
			c.share = len(c.kept)
		}
		c.gets = slices.Clone(c.kept[:min(len(c.kept), c.share)])
		withheld = withheld || len(c.gets) < len(c.kept)
	}
	next := 0
	for p := range n {
		if owners[p] != nil {
			continue
		}
		for len(candidates[next].gets) >= candidates[next].share {
			next++
		}
		candidates[next].gets = append(candidates[next].gets, p)
	}
	for _, c := range candidates {
		slices.Sort(c.gets)
	}
	return withheld
}

// resolve returns the owner of each partition that is claimed: the one whose claim is of the latest generation.
func resolve(candidates []*candidate, n int) map[int]*candidate {
	owners := map[int]*candidate{}
	for _, c := range candidates {
		for _, p := range c.claims.partitions {
			if owner := owners[p]; (p < n || n == 0) && (owner == nil || c.claims.generation > owner.claims.generation) {
				owners[p] = c
			}
		}
	}
	return owners
}

// shares sets how many partitions each is to have. Those that hold more get the larger shares, so that few partitions move.
func shares(candidates []*candidate, n int) {
	byHeld := slices.Clone(candidates)
	slices.SortStableFunc(byHeld, func(c, d *candidate) int { return cmp.Compare(len(d.kept), len(c.kept)) })
	for i, c := range byHeld {
		c.share = n / len(candidates)
		if i < n%len(candidates) {
			c.share++
		}
	}
}
