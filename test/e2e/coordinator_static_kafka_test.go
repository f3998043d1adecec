//go:build kafka

package e2e

import (
	"fmt"
	"testing"

	"convdel/imclient/imtest"
)

// TestCoordinatorRules_KafkaStaticRestart: a static member that comes back without its member ID causes no rebalance, whatever metadata
// it joins with, the leader included, which is not told that it leads. It gets the assignment that it had. The process before is fenced.
func TestCoordinatorRules_KafkaStaticRestart(t *testing.T) {
	t.Parallel()
	for _, leads := range []bool{false, true} {
		for _, metadata := range []string{"", "claims"} {
			t.Run(fmt.Sprintf("Leader=%t,Metadata=%q", leads, metadata), func(t *testing.T) {
				t.Parallel()
				s := newStage(t, 1, imtest.Config{})
				var all []*puppet
				for _, name := range []string{"a", "b", "c"} {
					all = append(all, s.newPuppet(name, name, offers("claims")...))
				}
				leader, others := s.stable(all...)
				old, witness := others[0], others[1]
				if leads {
					old = leader
				}
				fresh := s.newPuppet("fresh", old.instance, offers(metadata)...)
				j := wantJoined(t, "restarted", fresh.joining())
				if fresh.generation != witness.generation || fresh.id == old.id || len(j.members) != 0 || j.leader != leader.id {
					t.Errorf("generation %d, member %s: %s; want generation %d, another ID than %s, and %s as leader",
						fresh.generation, fresh.id, j, witness.generation, old.id, leader.id)
				}
				code, got := fresh.sync(j.protocol)
				if wantCode(t, "sync", code, fine); got != fmt.Sprintf("g%d:%s", witness.generation, old.id) {
					t.Errorf("the assignment is %q, want that of %s", got, old.id)
				}
				wantCode(t, "heartbeat of another", witness.beat(), fine)
				wantCode(t, "heartbeat", fresh.beat(), fine)
				wantCode(t, "commit", fresh.commit(fresh.generation, 1), fine)
				wantCode(t, "heartbeat of the process before", old.beat(), fenced)
				wantCode(t, "commit of the process before", old.commit(old.generation, 2), fenced)
				wantCode(t, "join of the process before", old.join().code, fenced)
				_, code = old.leave()
				wantCode(t, "leave of the process before", code, fenced)

				// Its next join is a rebalance if it leads, or its metadata has changed.
				again := fresh.joining()
				if leads {
					wantHeld(t, "the former leader", again)
					return
				}
				wantJoined(t, "unchanged", again)
				fresh.protocols = offers(metadata + ", others")
				wantHeld(t, "changed", fresh.joining())
			})
		}
	}
}

// TestCoordinatorRules_KafkaStaticRestartInARebalance: between the joins and the leader's sync a static member that comes back begins the
// rebalance anew.
func TestCoordinatorRules_KafkaStaticRestartInARebalance(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	a, b := s.newPuppet("a", "a", offers("a")...), s.newPuppet("b", "b", offers("b")...)
	leader, others := s.stable(a, b)
	old := others[0]
	leaders := leader.joining()
	wantHeld(t, "leader", leaders)
	wantJoined(t, "other", old.joining())
	wantJoined(t, "leader", leaders)
	fresh := s.newPuppet("fresh", old.instance, offers("")...)
	restarted := fresh.joining()
	wantHeld(t, "restarted", restarted)
	wantCode(t, "heartbeat of the leader", leader.beat(), rebalanceInProgress)
	leaders = leader.joining()
	s.synced([]*puppet{leader, fresh}, []<-chan joined{leaders, restarted})
}
