//go:build kafka

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// These tests check, without the service, the rules of the group's coordinator on which the membership of package consumer relies: what
// it answers, and for how long it waits. docs/design.md says what follows from them.

// Codes of answers.
const (
	fine                = int16(0)
	illegalGeneration   = int16(22)
	inconsistent        = int16(23)
	unknownMember       = int16(25)
	invalidSession      = int16(26)
	rebalanceInProgress = int16(27)
	fenced              = int16(82)
)

// held is how long a join goes unanswered that is taken to be held.
const held = 300 * time.Millisecond

// offers are both protocols, with the same metadata.
func offers(metadata string) []kmsg.JoinGroupRequestProtocol {
	return []kmsg.JoinGroupRequestProtocol{offer("convdel", metadata), offer("range", metadata)}
}

func wantCode(tb testing.TB, what string, got, want int16) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: code %d, want %d", what, got, want)
	}
}

// wantHeld checks that a join is not answered for now.
func wantHeld(tb testing.TB, what string, answer <-chan joined) {
	tb.Helper()
	select {
	case j := <-answer:
		tb.Fatalf("%s: the join is answered: %s", what, j)
	case <-time.After(held):
	}
}

// wantJoined checks that a join is answered in time with a generation, and returns the answer.
func wantJoined(tb testing.TB, what string, answer <-chan joined) joined {
	tb.Helper()
	select {
	case j := <-answer:
		if j.code != 0 || j.err != nil {
			tb.Fatalf("%s: %s", what, j)
		}
		return j
	case <-time.After(5 * time.Second):
		tb.Fatalf("%s: the join is not answered", what)
	}
	return joined{}
}

// eachKind runs a test with members that have no instance IDs, and with members that have some.
func eachKind(t *testing.T, test func(t *testing.T, instance func(name string) string)) {
	t.Helper()
	t.Run("Dynamic", func(t *testing.T) {
		t.Parallel()
		test(t, func(string) string { return "" })
	})
	t.Run("Static", func(t *testing.T) {
		t.Parallel()
		test(t, func(name string) string { return name })
	})
}

// TestCoordinatorRules_KafkaWhileARebalanceWaits: while a rebalance waits for members, the coordinator takes heartbeats and commits of the
// generation before, also of a member whose join it holds. Once it has answered the joins, it takes commits of neither generation until the
// leader has given out the assignment.
func TestCoordinatorRules_KafkaWhileARebalanceWaits(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, instance func(string) string) {
		t.Helper()
		s := newStage(t, 1, imtest.Config{})
		a, b := s.newPuppet("a", instance("a"), offers("a")...), s.newPuppet("b", instance("b"), offers("b")...)
		leader, others := s.stable(a, b)
		m, before := others[0], leader.generation
		newcomer := s.newPuppet("c", instance("c"), offers("c")...)
		newcomers := newcomer.joining()
		wantHeld(t, "newcomer", newcomers)
		wantCode(t, "heartbeat before the own join", m.beat(), rebalanceInProgress)
		wantCode(t, "commit before the own join", m.commit(before, 1), fine)
		wantCode(t, "commit in the next generation before its time", m.commit(before+1, 1), illegalGeneration)
		own := m.joining()
		wantHeld(t, "member", own)
		wantCode(t, "heartbeat while the own join is held", m.beat(), rebalanceInProgress)
		wantCode(t, "commit while the own join is held", m.commit(before, 2), fine)

		leaders := leader.joining()
		answer := wantJoined(t, "leader", leaders)
		wantJoined(t, "member", own)
		wantJoined(t, "newcomer", newcomers)
		wantCode(t, "heartbeat before the leader's sync", m.beat(), fine)
		wantCode(t, "commit in the generation before, before the leader's sync", m.commit(before, 3), illegalGeneration)
		wantCode(t, "commit before the leader's sync", m.commit(m.generation, 3), rebalanceInProgress)
		code, _ := leader.sync(answer.protocol, answer.members...)
		wantCode(t, "leader's sync", code, fine)
		wantCode(t, "commit after the leader's sync and before the own", m.commit(m.generation, 4), fine)
		wantCode(t, "commit in the generation before", m.commit(before, 5), illegalGeneration)
		m.generation = before
		wantCode(t, "heartbeat in the generation before", m.beat(), illegalGeneration)
		if at := s.committed()[0]; at != 4 {
			t.Errorf("committed: %d, want 4", at)
		}
	})
}

// TestCoordinatorRules_KafkaWhoIsRemoved: a member whose join is held is not expired, however silent. A member that has not joined is
// expired after its session if it is silent, and removed after the rebalance timeout if it is not. With an instance ID it then stays, and its
// heartbeat says that it has missed a generation.
func TestCoordinatorRules_KafkaWhoIsRemoved(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, instance func(string) string) {
		t.Helper()
		const session, rebalance = 3 * time.Second, 9 * time.Second
		s := newStage(t, 1, imtest.Config{})
		var all []*puppet
		for _, name := range []string{"a", "b", "c"} {
			p := s.newPuppet(name, instance(name), offers(name)...)
			p.session, p.rebalance = session, rebalance
			all = append(all, p)
		}
		leader, others := s.stable(all...)
		beating, silent, before := others[0], others[1], leader.generation
		began := time.Now()
		own := leader.joining() // a leader's join is a rebalance
		wantHeld(t, "leader", own)
		for time.Since(began) < rebalance-time.Second {
			wantCode(t, "heartbeat of a member that has not joined", beating.beat(), rebalanceInProgress)
			pause(t.Context(), held)
		}
		wantCode(t, "heartbeat of a silent member that has not joined", silent.beat(), unknownMember)
		wantCode(t, "commit of a member whose join is held, after a silence longer than its session", leader.commit(before, 1), fine)
		answer := wantJoined(t, "leader", own)
		t.Logf("the rebalance has waited for %s, its timeout is %s", time.Since(began).Round(10*time.Millisecond), rebalance)
		kept := slices.Contains(answer.members, beating.id)
		if static := instance("a") != ""; kept != static {
			t.Errorf("the member that did not join is in the generation: %t, want %t", kept, static)
		}
		if !kept {
			wantCode(t, "heartbeat of the member that did not join", beating.beat(), unknownMember)
			return
		}
		wantCode(t, "heartbeat of the member that did not join", beating.beat(), illegalGeneration)
		wantCode(t, "commit of the member that did not join", beating.commit(before, 2), illegalGeneration)
		code, _ := leader.sync(answer.protocol, answer.members...)
		wantCode(t, "leader's sync", code, fine)
		j := wantJoined(t, "the member that did not join", beating.joining())
		code, got := beating.sync(j.protocol)
		if wantCode(t, "its sync", code, fine); got != fmt.Sprintf("g%d:%s", leader.generation, beating.id) {
			t.Errorf("its assignment is %q", got)
		}
	})
}

// TestCoordinatorRules_KafkaProtocols: the group uses the first protocol that all members offer. Who offers none of those is refused and
// disturbs nobody.
func TestCoordinatorRules_KafkaProtocols(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	a, b := s.newPuppet("a", "", offers("a")...), s.newPuppet("b", "", offers("b")...)
	s.stable(a, b)
	if got := s.protocol(); got != "convdel" {
		t.Fatalf("protocol %q", got)
	}
	ours, former := s.newPuppet("ours", "", offer("convdel", "")), s.newPuppet("former", "", offer("range", ""))
	waiting := former.joining()
	wantHeld(t, "a former version among members that offer both", waiting)
	answers := []<-chan joined{a.joining(), b.joining(), waiting}
	s.synced([]*puppet{a, b, former}, answers)
	if got := s.protocol(); got != "range" {
		t.Errorf("with a former version: protocol %q", got)
	}
	wantCode(t, "ours alone in a group of range", ours.join().code, inconsistent)
	a.protocols = ours.protocols
	wantCode(t, "a member of a group of range that offers ours alone", a.join().code, inconsistent)
	wantCode(t, "heartbeat of another", b.beat(), fine)

	a.protocols = offers("a")
	former.leave()
	wantCode(t, "heartbeat after the former version has left", b.beat(), rebalanceInProgress)
	s.synced([]*puppet{a, b}, []<-chan joined{a.joining(), b.joining()})
	a.protocols = ours.protocols
	again := a.joining()
	wantHeld(t, "a member that offers ours alone from now on", again)
	s.synced([]*puppet{a, b}, []<-chan joined{again, b.joining()})
	if got := s.protocol(); got != "convdel" {
		t.Errorf("without the former version: protocol %q", got)
	}
	former.id = ""
	wantCode(t, "a former version in a group in which one offers ours alone", former.join().code, inconsistent)
	wantCode(t, "heartbeat of another", b.beat(), fine)
}

// TestCoordinatorRules_KafkaHeldJoin: a member can leave while its join is held. A second join of a member takes the place of its first one,
// which is never answered.
func TestCoordinatorRules_KafkaHeldJoin(t *testing.T) {
	t.Parallel()
	eachKind(t, func(t *testing.T, instance func(string) string) {
		t.Helper()
		s := newStage(t, 1, imtest.Config{})
		a, b := s.newPuppet("a", instance("a"), offers("a")...), s.newPuppet("b", instance("b"), offers("b")...)
		leader, others := s.stable(a, b)
		m := others[0]
		newcomer := s.newPuppet("c", instance("c"), offers("c")...)
		newcomers := newcomer.joining()
		wantHeld(t, "newcomer", newcomers)
		first := m.joining()
		wantHeld(t, "first join", first)
		twin := s.newPuppet("twin", m.instance, offers(m.name)...)
		twin.id, twin.generation = m.id, m.generation
		second := twin.joining()
		wantHeld(t, "second join", second)
		code, member := twin.leave()
		wantCode(t, "leave", code, fine)
		wantCode(t, "leave, the member", member, fine)
		select {
		case j := <-second:
			wantCode(t, "the held join of a member that has left", j.code, unknownMember)
		case <-time.After(5 * time.Second):
			t.Error("the held join of a member that has left is not answered")
		}
		wantHeld(t, "first join", first)
		wantCode(t, "commit after the leave", m.commit(m.generation, 1), unknownMember)
		s.synced([]*puppet{leader, newcomer}, []<-chan joined{leader.joining(), newcomers})
	})
}

// TestCoordinatorRules_KafkaNobodySyncs: members that do not ask for their assignments within the rebalance timeout are removed, heartbeats or
// not.
func TestCoordinatorRules_KafkaNobodySyncs(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	a := s.newPuppet("a", "", offers("a")...)
	a.rebalance = 3 * time.Second
	wantJoined(t, "join", a.joining())
	began := time.Now()
	s.await(10*time.Second, "an end", func() bool { return a.beat() == unknownMember })
	if took := time.Since(began); took < a.rebalance-held {
		t.Errorf("removed after %s, and the rebalance timeout is %s", took, a.rebalance)
	}
}

// TestCoordinatorRules_KafkaSessionBounds: a session shorter or longer than the broker allows is refused.
func TestCoordinatorRules_KafkaSessionBounds(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	a := s.newPuppet("a", "", offers("a")...)
	for session, want := range map[time.Duration]int16{
		900 * time.Millisecond: invalidSession, 1801 * time.Second: invalidSession, 6 * time.Second: fine, 45 * time.Second: fine,
	} {
		a.session = session
		wantCode(t, fmt.Sprint("a session of ", session), a.join().code, want)
	}
}
