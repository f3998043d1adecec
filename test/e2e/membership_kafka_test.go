//go:build kafka

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/schema"
)

// killRepeats is how many deletes a kill may repeat: the dead replica's calls under way, and its work since its last commit. It is the bound
// of TestEndToEnd_Kill9OfThree.
const killRepeats = 60

// twinRepeats is how many deletes the older one of two replicas with one instance ID may repeat: those of a kill, and its work until it hears
// of the other one by its next heartbeat, half a second at half of the quota.
const twinRepeats = killRepeats + apiQuota/4

// newMembershipStage is a stage of three real nodes, with an API that lets every call through, so that calls beyond the quota are counted.
func newMembershipStage(t *testing.T, partitions int32) *stage {
	t.Helper()
	setting(t, "TEST_BROKERS")
	return newStage(t, partitions, imtest.Config{Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)})
}

// publishEach publishes so many events in each partition, of the accounts pPARTITION-N, and returns them. The service takes the oldest
// event first, so all partitions have events of the same times.
func (s *stage) publishEach(each int) []schema.Event {
	s.tb.Helper()
	var all []schema.Event
	var records []*kgo.Record
	first := time.Now().Add(-time.Duration(each) * time.Millisecond)
	for partition := range s.partitions {
		list := events(fmt.Sprint("p", partition), 0, each)
		for n, v := range values(s.tb, list) {
			at := first.Add(time.Duration(n) * time.Millisecond)
			records = append(records, &kgo.Record{Topic: s.topic, Partition: partition, Value: v, Timestamp: at})
		}
		all = append(all, list...)
	}
	if err := s.client.ProduceSync(s.tb.Context(), records...).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
	return all
}

// callsBetween are the arrivals from one time to another.
func (s *stage) callsBetween(from, to time.Time) (calls []imtest.Arrival) {
	for _, a := range s.sim.Arrivals() {
		if !a.At.Before(from) && a.At.Before(to) {
			calls = append(calls, a)
		}
	}
	return calls
}

// gap is the longest time without a call from one time to another, and when it began.
func gap(calls []imtest.Arrival, from, to time.Time) (longest time.Duration, began time.Time) {
	last := from
	for i := range len(calls) + 1 {
		at := to
		if i < len(calls) {
			at = calls[i].At
		}
		if at.Sub(last) > longest {
			longest, began = at.Sub(last), last
		}
		last = at
	}
	return longest, began
}

// byPartition sorts the calls for events of publishEach.
func byPartition(calls []imtest.Arrival) map[string][]imtest.Arrival {
	sorted := make(map[string][]imtest.Arrival)
	for _, a := range calls {
		if partition, _, ok := strings.Cut(a.From, "-"); ok {
			sorted[partition] = append(sorted[partition], a)
		}
	}
	return sorted
}

// resumed returns how long after a time the last of all partitions is called for the first time. Calls that were sent before, and
// arrive within the grace, don't count.
func (s *stage) resumed(from time.Time, grace time.Duration) (slowest time.Duration, all bool) {
	called := byPartition(s.callsBetween(from.Add(grace), time.Now()))
	for _, calls := range called {
		slowest = max(slowest, calls[0].At.Sub(from))
	}
	return slowest, len(called) == int(s.partitions)
}

// awaitResumed waits until all partitions are called again after a time, and returns how long the slowest one took.
func (s *stage) awaitResumed(from time.Time) (took time.Duration) {
	s.tb.Helper()
	s.await(time.Minute, "calls for all partitions", func() (all bool) {
		took, all = s.resumed(from, 100*time.Millisecond)
		return all
	})
	return took
}

// balance waits until everything is committed, stops the replicas, and compares the deletes with the events. repeats is how many may be
// repeated.
func (s *stage) balance(all []schema.Event, repeats int, replicas ...*process) {
	s.tb.Helper()
	s.await(2*time.Minute, "every offset committed", s.drained)
	for _, p := range replicas {
		p.stop()
	}
	again := s.wantDeleted(all)
	s.tb.Logf("%d of %d events done again", again, len(all))
	if again > repeats {
		s.tb.Errorf("%d events done twice, want at most %d", again, repeats)
	}
	s.wantQuota()
}

// TestMembership_KafkaJoinStopKill: in 45 s one replica joins, one is stopped, and one with an instance ID is killed and comes back at once.
// The others go on meanwhile.
func TestMembership_KafkaJoinStopKill(t *testing.T) {
	t.Parallel()
	const lasts, partitions = 45 * time.Second, 6
	s := newMembershipStage(t, partitions)
	all := s.publishEach(11_000 / partitions)
	named := []string{"--instance-id", "c"}
	a, b, c := s.service(), s.service(), s.service(named...)
	s.awaitMembers(3)
	s.awaitResumed(time.Now())
	s.awaitCalls(2 * apiQuota)
	began := time.Now()
	at := func(d time.Duration) { time.Sleep(time.Until(began.Add(d))) }
	at(6 * time.Second)
	d := s.service()
	at(18 * time.Second)
	b.stop()
	at(30 * time.Second)
	c.kill()
	c = s.service(named...)
	at(lasts)

	calls := s.callsBetween(began, began.Add(lasts))
	used := float64(len(calls)) / (apiQuota * lasts.Seconds())
	pause, since := gap(calls, began, began.Add(lasts))
	for name, part := range byPartition(calls) {
		longest, from := gap(part, began, began.Add(lasts))
		t.Logf("%s: no call for up to %s, from %.1f s on", name, longest.Round(10*time.Millisecond), from.Sub(began).Seconds())
	}
	t.Logf("%.1f %% of the quota used; no call at all for up to %s, from %.1f s on", 100*used, pause.Round(10*time.Millisecond), since.Sub(began).Seconds())
	if used < 0.9 {
		t.Errorf("%.1f %% of the quota used, want at least 90 %%", 100*used)
	}
	if pause > 3*time.Second {
		t.Errorf("no call for %s, want at most 3 s", pause)
	}
	s.balance(all, killRepeats, a, c, d)
}

// TestMembership_KafkaDeadReplica: a dead replica's partitions are called again within its session and 2 s. If it has an instance ID and
// comes back, within 2 s of its start, and no other partition waits.
func TestMembership_KafkaDeadReplica(t *testing.T) {
	t.Parallel()
	const session = 6 * time.Second
	t.Run("Gone", func(t *testing.T) {
		t.Parallel()
		s := newMembershipStage(t, 4)
		all := s.publishEach(900)
		flags := []string{"--session-timeout", session.String()}
		a, b := s.service(flags...), s.service(flags...)
		s.awaitMembers(2)
		s.awaitResumed(time.Now())
		s.awaitCalls(apiQuota)
		b.kill()
		took := s.awaitResumed(time.Now())
		t.Logf("all partitions are called again %s after the kill, with a session of %s", took.Round(10*time.Millisecond), session)
		if took > session+2*time.Second {
			t.Errorf("%s, want at most %s", took, session+2*time.Second)
		}
		s.balance(all, killRepeats, a)
	})
	t.Run("Back", func(t *testing.T) {
		t.Parallel()
		s := newMembershipStage(t, 4)
		all := s.publishEach(900)
		a, b := s.service("--instance-id", "a"), s.service("--instance-id", "b")
		s.awaitMembers(2)
		s.awaitResumed(time.Now())
		s.awaitCalls(apiQuota)
		b.kill()
		killed := time.Now()
		pause(t.Context(), time.Second) // as long as a machine takes to notice
		b = s.service("--instance-id", "b")
		restarted := time.Now()
		took := s.awaitResumed(restarted)
		busy := 0
		for _, calls := range byPartition(s.callsBetween(killed, restarted.Add(took))) {
			if longest, _ := gap(calls, killed, restarted.Add(took)); longest < time.Second {
				busy++
			}
		}
		t.Logf("all partitions are called again %s after the start; %d partitions of 4 never waited", took.Round(10*time.Millisecond), busy)
		if took > 2*time.Second {
			t.Errorf("%s, want at most 2 s", took)
		}
		if busy < 2 {
			t.Errorf("%d partitions never waited, want the 2 of the other replica", busy)
		}
		s.balance(all, killRepeats, a, b)
	})
}

// TestMembership_KafkaRollingRestart: three replicas with instance IDs are stopped and started one after the other. There is no second without
// a call, and nothing is done twice.
func TestMembership_KafkaRollingRestart(t *testing.T) {
	t.Parallel()
	s := newMembershipStage(t, 6)
	all := s.publishEach(700)
	var replicas []*process
	for n := range 3 {
		replicas = append(replicas, s.service("--instance-id", fmt.Sprint("convdel-", n)))
	}
	s.awaitMembers(3)
	s.awaitResumed(time.Now())
	s.awaitCalls(apiQuota)
	began := time.Now()
	for n, p := range replicas {
		p.stop()
		started := time.Now()
		replicas[n] = s.service("--instance-id", fmt.Sprint("convdel-", n))
		t.Logf("%d: all partitions are called again %s after the start", n, s.awaitResumed(started).Round(10*time.Millisecond))
	}
	ended := time.Now()
	calls := s.callsBetween(began, ended)
	longest, since := gap(calls, began, ended)
	t.Logf("%.1f %% of the quota used in %s; no call for up to %s, from %.1f s on", 100*float64(len(calls))/(apiQuota*ended.Sub(began).Seconds()),
		ended.Sub(began).Round(100*time.Millisecond), longest.Round(10*time.Millisecond), since.Sub(began).Seconds())
	if longest >= time.Second {
		t.Errorf("no call for %s, want less than a second", longest)
	}
	s.balance(all, 0, replicas...)
}

// TestMembership_KafkaSameInstance: of two replicas with one instance ID the older one ends, says why, and the younger one works.
func TestMembership_KafkaSameInstance(t *testing.T) {
	t.Parallel()
	s := newMembershipStage(t, 4)
	all := s.publishEach(600)
	const name = "convdel-twin"
	other := s.service("--instance-id", "convdel-other")
	older := s.service("--instance-id", name)
	s.awaitMembers(2)
	s.awaitResumed(time.Now())
	s.awaitCalls(apiQuota)
	younger := s.service("--instance-id", name)
	started := time.Now()
	select {
	case <-older.done:
		t.Logf("the older one has ended after %s", time.Since(started).Round(10*time.Millisecond))
		if status := older.cmd.ProcessState.ExitCode(); status != 1 {
			t.Errorf("exit status %d, want 1", status)
		}
		said := linesWith(older.stderr.String(), name)
		if last := linesWith(said, "instance"); !strings.Contains(last, "ERROR") {
			t.Errorf("no error names the instance ID:\n%s", said)
		}
	case <-time.After(15 * time.Second):
		t.Error("after 15 s the older one still works")
		older.stop()
	}
	took := s.awaitResumed(started)
	t.Logf("all partitions are called again after %s", took.Round(10*time.Millisecond))
	s.balance(all, twinRepeats, other, younger)
}
