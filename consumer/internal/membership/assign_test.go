package membership

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// group draws members with claims that no two of the same generation share.
func group(t *rapid.T, n int) []JoinedMember {
	k := rapid.IntRange(1, 6).Draw(t, "members")
	claimed := make([][]int, k)
	for p := range n + 2 {
		if owner := rapid.IntRange(-1, k-1).Draw(t, "owner"); owner >= 0 {
			claimed[owner] = append(claimed[owner], p)
		}
	}
	var members []JoinedMember
	for i := range k {
		instance := ""
		if rapid.Bool().Draw(t, "static") {
			instance = fmt.Sprint("pod-", i)
		}
		stale := rapid.SliceOfN(rapid.IntRange(0, n), 0, 2).Draw(t, "stale")
		c, generation := claimed[i], int32(9)
		if len(c) == 0 {
			c, generation = ascending(stale), 8
		}
		members = append(members, JoinedMember{fmt.Sprint("m", rapid.IntRange(0, 9).Draw(t, "id"), i), instance, subscriptionBytes("t", withClaims, claims{generation, c})})
	}
	return members
}

// gives reads an assignment by member.
func gives(t *rapid.T, all []Assignment) (map[string][]int, basis) {
	got, b := map[string][]int{}, basis{}
	for _, a := range all {
		s, err := readAssignment("t", a.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		got[a.MemberID], b = s.partitions, s.basis
	}
	return got, b
}

// TestAssignment: all leaders assign the same; nobody gets what another one claims; two generations bring the balance, and no
// third moves anything; a member gives up no more than it must.
func TestAssignment(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 14).Draw(t, "partitions")
		members := group(t, n)
		first, b := gives(t, assignments("t", Cooperative, members, n))
		claimants := map[int][]string{}
		for _, m := range members {
			c, _ := readSubscription("t", m.Metadata)
			for _, p := range c.partitions {
				claimants[p] = append(claimants[p], m.MemberID)
			}
		}
		shuffled := rapid.Permutation(members).Draw(t, "order")
		if again, _ := gives(t, assignments("t", Cooperative, shuffled, n)); !maps.EqualFunc(first, again, slices.Equal[[]int]) {
			t.Fatalf("%v, in another order %v", first, again)
		}
		given := 0
		for id, ps := range first {
			given += len(ps)
			for _, p := range ps {
				if len(claimants[p]) > 0 && !slices.Contains(claimants[p], id) {
					t.Fatalf("%s gets %d, which %v claim", id, p, claimants[p])
				}
			}
		}
		if n == 0 {
			return
		}
		if b != (basis{true, n, given < n}) {
			t.Fatalf("basis %v, %d of %d given", b, given, n)
		}
		settle(t, members, first, n)
	})
}

// settle plays the next generations: members claim what they have been given.
func settle(t *rapid.T, members []JoinedMember, had map[string][]int, n int) {
	for round := range 2 {
		for i, m := range members {
			members[i].Metadata = subscriptionBytes("t", withClaims, claims{int32(10 + round), had[m.MemberID]})
		}
		has, b := gives(t, assignments("t", Cooperative, members, n))
		all := 0
		for id, ps := range has {
			all += len(ps)
			if len(ps) < n/len(members) || len(ps) > (n+len(members)-1)/len(members) {
				t.Fatalf("%s has %v of %d, with %d members", id, ps, n, len(members))
			}
			for _, p := range had[id] {
				if !slices.Contains(ps, p) {
					t.Fatalf("%s had %v and has %v", id, had[id], ps)
				}
			}
		}
		if all != n || b.withheld {
			t.Fatalf("%v of %d, %v", has, n, b)
		}
		had = has
	}
}

// TestAssignmentKeeps: who holds more keeps the larger share, and the lowest numbers.
func TestAssignmentKeeps(t *testing.T) {
	t.Parallel()
	member := func(id, instance string, generation int32, ps ...int) JoinedMember {
		return JoinedMember{id, instance, subscriptionBytes("t", withClaims, claims{generation, ps})}
	}
	cases := []struct {
		name    string
		n       int
		members []JoinedMember
		want    string
	}{
		{"a second one comes", 5, []JoinedMember{member("a", "", -1), member("b", "", 3, 0, 1, 2, 3, 4)}, "map[a:[] b:[0 1 2]]"},
		{"the second one has what is free", 5, []JoinedMember{member("a", "", 4), member("b", "", 4, 0, 1, 2)}, "map[a:[3 4] b:[0 1 2]]"},
		{"the larger share", 3, []JoinedMember{member("a", "", 3, 0), member("b", "", 3, 1, 2)}, "map[a:[0] b:[1 2]]"},
		{"a later claim", 2, []JoinedMember{member("a", "", 3, 0), member("b", "", 4, 0)}, "map[a:[1] b:[0]]"},
		{"equal claims", 2, []JoinedMember{member("b", "", 4, 0), member("a", "", 4, 0)}, "map[a:[0] b:[1]]"},
		{"instance IDs come before member IDs", 2, []JoinedMember{member("a", "z", -1), member("b", "y", -1)}, "map[a:[1] b:[0]]"},
		{"partitions that are no more", 2, []JoinedMember{member("a", "", 4, 5, 6), member("b", "", 4)}, "map[a:[0] b:[1]]"},
		{"an unknown number", 0, []JoinedMember{member("a", "", 4, 5, 6), member("b", "", 4)}, "map[a:[5 6] b:[]]"},
		{"more members than partitions", 1, []JoinedMember{member("a", "", -1), member("b", "", 4, 0)}, "map[a:[] b:[0]]"},
		{"another topic's member", 2, []JoinedMember{{"a", "", subscriptionBytes("u", withClaims, claims{})}, member("b", "", 4)}, "map[a:[] b:[0 1]]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := map[string][]int{}
			for _, a := range assignments("t", Cooperative, c.members, c.n) {
				s, err := readAssignment("t", a.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				got[a.MemberID] = s.partitions
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("%v instead of %s", got, c.want)
			}
		})
	}
	if all := assignments("t", Cooperative, []JoinedMember{{"a", "", nil}}, 3); len(all) != 1 {
		t.Errorf("%v", all)
	}
}
