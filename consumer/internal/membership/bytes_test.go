package membership

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestEarlierVersionsRead: kafka-go's ConsumerGroup, which earlier versions use, reads what this version tells and assigns, and
// this version reads what it tells and assigns.
func TestEarlierVersionsRead(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	told, gave := make(chan []byte, 1), make(chan []kmsg.SyncGroupRequestGroupAssignment, 1)
	cluster.ControlKey(int16(kmsg.JoinGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		join := r.(*kmsg.JoinGroupRequest)
		told <- join.Protocols[0].Metadata
		res := join.ResponseKind().(*kmsg.JoinGroupResponse)
		name := Range
		res.Generation, res.Protocol, res.LeaderID, res.MemberID = 3, &name, "old", "old"
		// A member of this version is in the same group.
		ours := protocols("t", claims{3, []int{1}}, true)[1].Metadata
		res.Members = []kmsg.JoinGroupResponseMember{{MemberID: "old", ProtocolMetadata: join.Protocols[0].Metadata}, {MemberID: "new", ProtocolMetadata: ours}}
		return res, nil, true
	})
	cluster.ControlKey(int16(kmsg.SyncGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
		sync := r.(*kmsg.SyncGroupRequest)
		gave <- sync.GroupAssignment
		res := sync.ResponseKind().(*kmsg.SyncGroupResponse)
		res.MemberAssignment = assignmentBytes("t", share{[]int{0, 3}, basis{known: true, number: 4}})
		return res, nil, true
	})
	generation := joinAsEarlier(t, cluster.ListenAddrs())
	if c, ok := readSubscription("t", <-told); !ok || len(c.partitions) > 0 {
		t.Errorf("kafka-go's subscription: %v, %t", c, ok)
	}
	var all []int
	for _, a := range <-gave {
		s, err := readAssignment("t", a.MemberAssignment)
		if err != nil || len(s.partitions) != 2 || s.basis.known {
			t.Errorf("kafka-go gives %s %v, %v", a.MemberID, s, err)
		}
		all = append(all, s.partitions...)
	}
	if all = ascending(all); !slices.Equal(all, []int{0, 1, 2, 3}) {
		t.Errorf("kafka-go gives %v", all)
	}
	var got []int
	for _, a := range generation.Assignments["t"] {
		got = append(got, a.ID)
	}
	if !slices.Equal(got, []int{0, 3}) {
		t.Errorf("kafka-go works on %v", got)
	}
}

func joinAsEarlier(t *testing.T, brokers []string) *kafka.Generation {
	t.Helper()
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: "g", Brokers: brokers, Topics: []string{"t"}, GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	generation, err := group.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
	return generation
}

// TestRangeIsEarlier: where this version leads members of an earlier one, it assigns as kafka-go does.
func TestRangeIsEarlier(t *testing.T) {
	t.Parallel()
	for n := range 20 {
		for k := 1; k < 6; k++ {
			var members []JoinedMember
			var theirs []kafka.GroupMember
			for i := range k {
				id := string(rune('a' + k - i))
				members = append(members, JoinedMember{MemberID: id, Metadata: subscriptionBytes("t", 0, claims{})})
				theirs = append(theirs, kafka.GroupMember{ID: id, Topics: []string{"t"}})
			}
			var partitions []kafka.Partition
			for p := range n {
				partitions = append(partitions, kafka.Partition{Topic: "t", ID: p})
			}
			want := kafka.RangeGroupBalancer{}.AssignGroups(theirs, partitions)
			for _, a := range assignments("t", Range, members, n) {
				s, err := readAssignment("t", a.Bytes)
				if err != nil || !slices.Equal(s.partitions, want[a.MemberID]["t"]) {
					t.Fatalf("%d partitions, %d members: %s gets %v instead of %v, %v", n, k, a.MemberID, s.partitions, want[a.MemberID]["t"], err)
				}
			}
		}
	}
}

// TestRoundTrip: what is written is read.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, partitions := range [][]int{nil, {0}, {1, 5, 7}} {
		if c, ok := readSubscription("t", protocols("t", claims{9, partitions}, false)[0].Metadata); !ok || c.generation != 9 || !slices.Equal(c.partitions, partitions) {
			t.Errorf("%v claims: %v, %t", partitions, c, ok)
		}
		for _, b := range []basis{{}, {known: true, number: 12}, {known: true, number: 3, withheld: true}} {
			s, err := readAssignment("t", assignmentBytes("t", share{partitions, b}))
			if err != nil || !slices.Equal(s.partitions, partitions) || s.basis != b {
				t.Errorf("%v, %v: %v, %v", partitions, b, s, err)
			}
		}
	}
	if c, ok := readSubscription("other", subscriptionBytes("t", withClaims, claims{1, []int{1}})); ok {
		t.Errorf("a member of another topic claims %v", c)
	}
	for _, bytes := range [][]byte{nil, {0}, {0, 2}, make([]byte, mostBytes+1)} {
		if c, ok := readSubscription("", bytes); ok {
			t.Errorf("%d bytes are a subscription: %v", len(bytes), c)
		}
	}
	if _, err := readAssignment("t", make([]byte, mostBytes+1)); err == nil {
		t.Error("a huge assignment is read")
	}
}

// TestLargestAssignments: a leader that gives as many partitions as its bytes can name, and takes them away again, takes no time that grows
// with their square.
func TestLargestAssignments(t *testing.T) {
	t.Parallel()
	var half, all []int
	for p := range mostBytes/4 - 100 {
		if all = append(all, p); p%2 == 0 {
			half = append(half, p)
		}
	}
	m := New(Config{Topic: "t", Session: session, Rebalance: rebalance, Heartbeat: beatEvery}, start)
	for generation, given := range [][]int{all, half, all} {
		if generation > 0 {
			m.rejoin(start)
			m.settle(start)
		}
		m.Answered(start, Answer{Number: m.join.number, MemberID: "m", LeaderID: "l", Protocol: Cooperative, Generation: int32(generation)})
		m.Answered(start, Answer{Number: m.sync.number, Assignment: assignmentBytes("t", share{partitions: given})})
		m.GivenUp(start, all)
		if got := m.State().Held; !slices.Equal(got, given) {
			t.Fatalf("generation %d: %d partitions are held, %d were given", generation, len(got), len(given))
		}
	}
}

// FuzzSubscription: no bytes of a stranger bring down a leader, and whatever they claim, each partition is given once, or withheld.
func FuzzSubscription(f *testing.F) {
	f.Add([]byte{}, uint8(3))
	f.Add(subscriptionBytes("t", withClaims, claims{3, []int{0, 1, 70000}}), uint8(4))
	f.Add(subscriptionBytes("t", 0, claims{}), uint8(0))
	f.Add([]byte{0, 1, 0, 0, 0, 1, 0, 1, 't', 0xff, 0xff, 0xff, 0xff}, uint8(9))
	f.Add([]byte{0, 2, 0x7f, 0xff, 0xff, 0xff, 0, 1, 't'}, uint8(9))
	f.Fuzz(func(t *testing.T, bytes []byte, n uint8) {
		members := []JoinedMember{{"a", "", bytes}, {"b", "", subscriptionBytes("t", withClaims, claims{5, []int{0, 2}})}}
		for _, protocol := range []string{Cooperative, Range} {
			given := map[int]bool{}
			for _, a := range assignments("t", protocol, members, int(n)) {
				s, err := readAssignment("t", a.Bytes)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range s.partitions {
					if given[p] || n > 0 && p >= int(n) {
						t.Fatalf("%d is given twice, or is none", p)
					}
					given[p] = true
				}
			}
		}
	})
}

// FuzzAssignment: no bytes of a leader bring down a member, and what is read is in order.
func FuzzAssignment(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff})
	f.Add(assignmentBytes("t", share{[]int{1, 2}, basis{known: true, number: 4, withheld: true}}))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		s, err := readAssignment("t", bytes)
		if err != nil {
			return
		}
		if !slices.IsSorted(s.partitions) || len(slices.Compact(slices.Clone(s.partitions))) != len(s.partitions) {
			t.Fatalf("%v", s.partitions)
		}
		again, err := readAssignment("t", assignmentBytes("t", s))
		if err != nil || !slices.Equal(again.partitions, s.partitions) || again.basis != s.basis {
			t.Fatalf("%v, %v after %v", again, err, s)
		}
	})
}
