//go:build kafka

package e2e

import (
	"testing"
	"time"

	"convdel/imclient/imtest"
)

// TestCoordinatorRules_KafkaMoves: when the coordinator moves while joins are held, they end, and the next coordinator has the generation
// before: it takes the members' heartbeats and commits, does not know the newcomer, and gives each member a whole session.
//
//nolint:paralleltest // the others would lose the node as well
func TestCoordinatorRules_KafkaMoves(t *testing.T) {
	for _, how := range []string{"stop", "kill"} {
		t.Run(how, func(t *testing.T) { moveCoordinator(t, how) })
	}
}

func moveCoordinator(t *testing.T, how string) {
	t.Helper()
	const session = 4 * time.Second
	s := newClusterStage(t, 1, imtest.Config{})
	victim := s.chooseGroup(false)
	s.await(10*time.Second, "a coordinator that answers", func() bool { return s.state() == "Dead with 0 members" })
	var all []*puppet
	for _, name := range []string{"a", "b", "c"} {
		p := s.newPuppet(name, "", offers(name)...)
		p.session = session
		all = append(all, p)
	}
	leader, others := s.stable(all...)
	m, silent, newcomer := others[0], others[1], s.newPuppet("d", "", offers("d")...)
	newcomers := newcomer.joining()
	wantHeld(t, "newcomer", newcomers)
	own := m.joining()
	wantHeld(t, "member", own)
	for range 8 { // so that a session that goes on is over soon
		wantCode(t, "heartbeat of the leader", leader.beat(), rebalanceInProgress)
		pause(t.Context(), session/16)
	}
	ended := time.Now()
	at := func() time.Duration { return time.Since(ended).Round(10 * time.Millisecond) }
	start := s.endNode(how, victim)
	t.Logf("the held join: %s", <-own)
	t.Logf("the newcomer's: %s", <-newcomers)
	next := victim
	s.await(30*time.Second, "another coordinator", func() bool {
		if found := s.admin.FindGroupCoordinators(t.Context(), s.group); found.Error() == nil {
			next = found[s.group].NodeID
		}
		return next != victim
	})
	t.Logf("node %d coordinates after %s", next, at())
	for _, p := range []*puppet{leader, m, silent, newcomer} {
		p.node = next
	}
	s.await(30*time.Second, "a commit", func() bool { return m.commit(m.generation, 1) == fine })
	loaded := time.Now()
	t.Logf("it takes a commit of the generation before after %s", at())
	wantCode(t, "heartbeat", m.beat(), fine)
	wantCode(t, "heartbeat of the newcomer", newcomer.beat(), unknownMember)
	alive := func() int16 { leader.beat(); return m.beat() }
	s.await(2*session, "a rebalance, since the silent member is expired", func() bool { return alive() == rebalanceInProgress })
	since := loaded
	if how == "stop" {
		since = ended // node.sh returns seconds after the coordinator has moved
	}
	lasted := time.Since(since)
	t.Logf("the silent member is expired %s after the move", lasted.Round(10*time.Millisecond))
	if lasted < session*3/4 {
		t.Errorf("expired after %s, want %s: a session is not begun anew", lasted, session)
	}
	s.synced([]*puppet{leader, m}, []<-chan joined{leader.joining(), m.joining()})
	start()
	s.awaitInSync()
}
