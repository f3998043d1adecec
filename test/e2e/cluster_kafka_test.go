//go:build kafka

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/imclient/imtest"
)

// TestKafka_BrokerKilled kills the node that coordinates the group and leads partitions of both topics, while three
// replicas work and events arrive. Work goes on, nothing is lost, and the quota holds, also when the node comes back. It
// takes longer if the node's controller was the active one, so the test tries both.
//
//nolint:paralleltest // the others would lose the node as well
func TestKafka_BrokerKilled(t *testing.T) {
	for name, active := range map[string]bool{"Controller": true, "NotController": false} {
		t.Run(name, func(t *testing.T) { killBroker(t, active) })
	}
}

func killBroker(t *testing.T, activeController bool) {
	t.Helper()
	s := newClusterStage(t, 6, vendor())
	victim := s.chooseGroup(activeController)
	backlog := events("backlog", 0, 1500)
	s.produce(values(t, backlog)...)
	traffic := s.flow("user", 20*time.Millisecond)
	bad := events("code-50001", 0, 300) // they become dead letters meanwhile
	s.produce(values(t, bad)...)
	replicas := []*process{s.service(), s.service(), s.service()}
	s.awaitMembers(3)
	members := s.members()
	s.awaitCalls(300)
	if s.led(s.topic, victim) == 0 || s.led(s.dlt, victim) == 0 {
		t.Fatalf("node %d coordinates the group and leads no partition of both topics", victim)
	}

	killed := time.Now()
	revive := s.killNode(victim)
	s.await(time.Minute, "another coordinator and other leaders", func() bool {
		found := s.admin.FindGroupCoordinators(t.Context(), s.group)
		return found.Error() == nil && found[s.group].NodeID != victim && s.leads(s.topic, 6) && s.leads(s.dlt, 6)
	})
	moved := time.Since(killed)
	after := events("after", 0, 60) // ten in each partition, also in those that the dead node led
	s.produce(values(t, after)...)
	s.await(time.Minute, "events of all partitions deleted", func() bool { return len(s.deleted("after")) == len(after) })
	t.Logf("node %d killed: coordinator and leaders elsewhere after %s; no call for up to %s; all partitions at work after %s",
		victim, moved.Round(100*time.Millisecond), s.longestPause(killed).Round(100*time.Millisecond), time.Since(killed).Round(100*time.Millisecond))
	// If the members joined as new ones, the group would wait 12 s for the old ones to time out.
	if now := s.members(); !slices.Equal(now, members) {
		t.Errorf("the new coordinator has members %v, the old one had %v", now, members)
	}
	back := time.Now()
	revive()
	s.awaitCalls(100)
	t.Logf("node %d back: no call for up to %s", victim, s.longestPause(back).Round(100*time.Millisecond))
	sent := s.end(traffic)
	s.await(2*time.Minute, "every offset committed", s.drained)
	for _, p := range replicas {
		p.stop()
	}
	again := s.wantDeleted(backlog, after, sent)
	t.Logf("%d of %d events done again", again, len(backlog)+len(after)+len(sent))
	if again != 0 { // the last commit also waits for the new coordinator
		t.Errorf("%d events done twice", again)
	}
	wantKinds(t, letterKinds(s.deadLetters()), map[string]int{"permanent 50001": len(bad)})
	s.wantQuota()
}

// TestKafka_DeadLettersNotReplicated makes the dead-letter topic require three in-sync replicas and takes one away. Good
// events go on. No offset of an event that needs a dead letter is committed. The dead letters are written when the node is
// back. The outcome topic of a second service is treated likewise, see unrecorded.
//
//nolint:paralleltest // the others would lose the node as well
func TestKafka_DeadLettersNotReplicated(t *testing.T) {
	s := newClusterStage(t, 3, imtest.Config{})
	s.configure(s.dlt, "min.insync.replicas", "3")
	p := s.service("--drain-timeout", "3s")
	s.produce(values(t, events("before", 0, 60))...)
	s.await(time.Minute, "every offset committed", s.drained)
	coordinator := s.coordinator(s.group)
	ends := newUnrecorded(t, coordinator)
	revive := s.killNode(coordinator%3 + 1) // not the coordinator, which another test kills
	s.await(time.Minute, "a replica missing", func() bool { return !s.inSync() && s.leads(s.topic, 3) && s.leads(s.dlt, 3) })

	ends.whileRefused()
	first := s.committed()
	bad := events("code-50001", 0, 30)
	s.produce(values(t, bad)...)
	good := events("good", 0, 300)
	s.produce(values(t, good)...)
	all := append(events("before", 0, 60), good...)
	s.await(time.Minute, "all good events deleted", func() bool { return len(s.deletes()) >= len(all) })
	s.await(time.Minute, "letters that can't be written", func() bool { return len(p.lines("dead letters not written, will retry")) >= 3 })
	for partition, at := range s.committed() {
		if at != first[partition] {
			t.Errorf("partition %d: %d committed, although the event at %d needs a dead letter that is not written", partition, at, first[partition])
		}
	}
	p.stop() // in the middle: finished events are not repeated, waiting ones are not lost
	for partition, at := range s.committed() {
		if at != first[partition] {
			t.Errorf("partition %d: %d committed by the stop, although the event at %d has no dead letter", partition, at, first[partition])
		}
	}
	p = s.service()
	s.await(time.Minute, "letters that can't be written", func() bool { return len(p.lines("dead letters not written, will retry")) >= 3 })
	back := time.Now()
	revive()
	s.await(time.Minute, "every offset committed", s.drained)
	t.Logf("all letters written %s after the start of the node", time.Since(back).Round(100*time.Millisecond))
	p.stop()
	letters := s.deadLetters()
	wantKinds(t, letterKinds(letters), map[string]int{"permanent 50001": len(bad)})
	if len(letters) != len(bad) {
		t.Errorf("%d letters in the table, want %d", len(letters), len(bad))
	}
	if again := s.wantDeleted(all); again != 0 {
		t.Errorf("%d events done twice", again)
	}
	ends.onceTaken()
}

// TestKafka_RetentionCutsTheLog lets the brokers' own retention remove records that a paused service has not read. The
// service reports that and goes on with the rest.
func TestKafka_RetentionCutsTheLog(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, setting, value string }{
		{"ByTime", "retention.ms", "100"},
		{"BySize", "retention.bytes", "1048576"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2, imtest.Config{})
			s.configure(s.topic, "segment.bytes", "1048576") // the lowest value that Kafka allows
			paused := s.sim.Script(imtest.Fault{Code: 60012})
			old := events("old", 0, 6000)
			s.producePadded(old)
			p := s.service("--max-in-flight", "20", "--calls-per-second", "0")
			s.await(30*time.Second, "a pause", func() bool { return strings.Contains(p.stderr.String(), "calls paused") })
			s.configure(s.topic, test.setting, test.value)
			starts := s.awaitCut()
			s.configure(s.topic, test.setting, "-1")
			fresh := events("fresh", 0, 200)
			s.produce(values(t, fresh)...)
			paused.Remove()
			s.await(time.Minute, "every offset committed", s.drained)
			p.stop()
			s.wantCut(p, old, max(starts[0], starts[1]))
			deletes := s.deletes()
			for _, e := range fresh {
				if deletes[e.From] != 1 {
					t.Errorf("%s done %d times", e.From, deletes[e.From])
				}
			}
		})
	}
}

// awaitCut waits until retention has moved the start of both partitions beyond the records that a paused service has read,
// and moves it no further. It returns both starts.
func (s *stage) awaitCut() []int64 {
	s.tb.Helper()
	var starts, before []int64
	s.await(time.Minute, "records removed by retention", func() bool {
		offsets, err := s.admin.ListStartOffsets(s.tb.Context(), s.topic)
		if err != nil || offsets.Error() != nil {
			return false
		}
		before, starts = starts, nil
		for partition := range int32(2) {
			o, _ := offsets.Lookup(s.topic, partition)
			starts = append(starts, o.Offset)
		}
		return starts[0] > 500 && starts[1] > 500 && slices.Equal(starts, before)
	})
	return starts
}
