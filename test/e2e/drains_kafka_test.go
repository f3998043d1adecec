//go:build kafka

package e2e

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/imclient/imtest"
)

// These tests check the drain of package consumer's members on the broker under test. docs/proof-kafka.md has the measurements.

const (
	inFlight = 62
	inTopic  = 100
	// shortSession is the shortest that the service allows.
	shortSession = 6 * time.Second
)

// longDrain is a member that gives up a partition while inFlight events of it are under way.
type longDrain struct {
	lasts time.Duration
	// ranged says that a former version is in the group, so that its protocol is range, and a rebalance waits for drains.
	ranged bool
	// rebalance is for how long the coordinator waits for joins; 0: for as long as the members ask for.
	rebalance time.Duration
	// muted says that the coordinator gets no heartbeat and no commit of the member that drains, until its calls are cut off.
	muted bool
	// stubborn says that the API executes calls although the member has cut them off.
	stubborn bool
	// during, if not nil, happens two seconds after the beginning of the drain.
	during func(l longDrain, s *stage, d *deeds, draining *hosted)
}

func (l longDrain) configure(c *consumer.Config) {
	c.SessionTimeout, c.DrainTimeout, c.MaxCalls = shortSession, 30*time.Second, inFlight
}

func (l longDrain) host(s *stage, d *deeds) *hosted {
	h := s.host(d, l.configure)
	h.wire.set(l.edit)
	return h
}

// edit has the coordinator wait for joins only as long as the test asks for.
func (l longDrain) edit(r kmsg.Request) bool {
	if join, is := r.(*kmsg.JoinGroupRequest); is && l.rebalance > 0 {
		join.RebalanceTimeoutMillis = int32(l.rebalance.Milliseconds())
	}
	return true
}

// begin makes the group, and has the first member give up the partition in which all events are.
func (l longDrain) begin(s *stage, d *deeds) (draining *hosted) {
	s.tb.Helper()
	partition, trigger := 1, func() { l.host(s, d) }
	if l.ranged {
		former := s.member(12*time.Second, cmp.Or(l.rebalance, 30*time.Second), func(ctx context.Context, _ *kafka.Generation) { <-ctx.Done() })
		s.awaitMembers(1)
		draining = l.host(s, d)
		s.awaitMembers(2)
		draining.awaitPartitions(1)
		l.host(s, d).awaitPartitions(1)
		s.awaitMembers(3)
		draining.awaitPartitions(1)
		partition, trigger = int(s.assigned(draining.memberID())[0]), former.leave
	} else {
		draining = l.host(s, d)
		draining.awaitPartitions(2)
	}
	s.publishNumbered(partition, inTopic)
	s.await(30*time.Second, "all calls under way", func() bool { return d.calls() == inFlight })
	trigger()
	pause(s.tb.Context(), time.Second) // until the member has noticed
	if l.muted {
		draining.wire.set(func(r kmsg.Request) bool {
			return r.Key() != kmsg.Heartbeat.Int16() && r.Key() != kmsg.OffsetCommit.Int16() || len(d.cuts()) > 0
		})
	}
	return draining
}

// run lets the member drain until all events are done and committed.
func (l longDrain) run(t *testing.T) (d *deeds, draining *hosted) {
	t.Helper()
	s := newStage(t, map[bool]int32{false: 2, true: 3}[l.ranged], imtest.Config{})
	d = newDeeds(t)
	d.long, d.lasts, d.stubborn = inFlight, l.lasts, l.stubborn
	draining = l.begin(s, d)
	began := time.Now()
	d.begin()
	if l.during != nil {
		pause(t.Context(), 2*time.Second)
		l.during(l, s, d, draining)
	}
	s.await(l.lasts+time.Minute, "all events done and committed", func() bool {
		n, _, _ := d.count()
		return n == inTopic && s.drained()
	})
	d.late.Wait()
	cuts := d.cuts()
	if len(cuts) > 0 {
		t.Logf("%d calls cut off, %s after the drain began", len(cuts), cuts[0].Sub(began).Round(10*time.Millisecond))
	}
	_, again, calledAgain := d.count()
	t.Logf("%d events called again, %d done again; %d memberships", calledAgain, again, draining.memberships())
	return d, draining
}

// wantUndisturbed checks that nothing was called again, and that the member that has drained has never been lost.
func wantUndisturbed(t *testing.T, d *deeds, draining *hosted) {
	t.Helper()
	if _, again, calledAgain := d.count(); again != 0 || calledAgain != 0 {
		t.Errorf("%d events called again, %d done again, want none", calledAgain, again)
	}
	if n := draining.memberships(); n != 1 {
		t.Errorf("the member that drains has come to the group %d times, want once", n)
	}
	if said := linesWith(draining.log.String(), "lost"); said != "" {
		t.Errorf("the member that drains has lost its partitions:\n%s", said)
	}
}

// TestDrains_LongerThanTheSession has a drain of 28 s with a session of 6 s, and a rebalance timeout of 5 s. Heartbeats go on during a drain. In a
// generation of the service's own protocol no rebalance waits for a drain. So nothing is repeated, whoever joins meanwhile. If neither
// heartbeats nor commits got through, the member would be expelled and its events repeated.
func TestDrains_LongerThanTheSession(t *testing.T) {
	t.Parallel()
	for _, muted := range []bool{false, true} {
		t.Run(map[bool]string{false: "with", true: "without"}[muted]+" heartbeats", func(t *testing.T) {
			t.Parallel()
			d, draining := longDrain{
				lasts: 28 * time.Second, rebalance: 5 * time.Second, muted: muted,
				during: func(l longDrain, s *stage, d *deeds, _ *hosted) { l.host(s, d) },
			}.run(t)
			if !muted {
				wantUndisturbed(t, d, draining)
				return
			}
			if _, _, calledAgain := d.count(); calledAgain != inFlight {
				t.Errorf("without heartbeats and commits: want all %d events called again", inFlight)
			}
		})
	}
}

// TestDrains_RangeLongerThanTheSession has a drain of 10 s with a session of 6 s in a generation of range, in which others wait for it. Nothing is
// repeated.
func TestDrains_RangeLongerThanTheSession(t *testing.T) {
	t.Parallel()
	d, draining := longDrain{lasts: 10 * time.Second, ranged: true}.run(t)
	wantUndisturbed(t, d, draining)
}

// TestDrains_RangeLongerThanTheRebalance has a drain of 15 s with a rebalance timeout of 5 s in a generation of range. The broker gives the partitions away
// whether the member is alive or not. The member stops its work as soon as a heartbeat says so. The events whose calls it has cut off would be
// repeated if it went on, or if the API executes them all the same.
func TestDrains_RangeLongerThanTheRebalance(t *testing.T) {
	t.Parallel()
	d, draining := longDrain{lasts: 15 * time.Second, rebalance: 5 * time.Second, ranged: true, stubborn: true}.run(t)
	_, again, calledAgain := d.count()
	beyond := 0
	for ev := range d.beyond {
		beyond += min(1, d.done[ev])
	}
	t.Logf("%d events that the API executes beyond the cut are done again", beyond)
	if cut := len(d.cuts()); cut < inFlight/2 || calledAgain < cut || beyond != cut {
		t.Errorf("%d calls cut off, want those of the last two thirds of the drain, and their events called again", cut)
	}
	if !strings.Contains(draining.log.String(), "the membership is lost") {
		t.Error("the member has not noticed")
	}
	// The calls that end between the partition's last commit and the next heartbeat, half a second later at most, are repeated.
	if again > inFlight/8 {
		t.Errorf("%d events done again, want those alone that had ended since the last commit", again)
	}
}

// TestDrains_FencedMemberStops: a member that is not the group's any more cuts off its calls within two heartbeats, also while it gives up a
// partition. The events are the next owner's.
func TestDrains_FencedMemberStops(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, instance string) (s *stage, d *deeds, draining *hosted) {
		t.Helper()
		s = newStage(t, 2, imtest.Config{})
		d = newDeeds(t)
		d.long = inFlight // nothing begins their end
		l := longDrain{}
		draining = s.host(d, l.configure, func(c *consumer.Config) { c.InstanceID = instance })
		draining.awaitPartitions(2)
		s.publishNumbered(1, inTopic)
		s.await(30*time.Second, "all calls under way", func() bool { return d.calls() == inFlight })
		s.host(d, l.configure)
		draining.awaitPartitions(1)
		return s, d, draining
	}
	check := func(t *testing.T, s *stage, d *deeds, fenced time.Time) {
		t.Helper()
		s.await(30*time.Second, "all calls cut off", func() bool { return len(d.cuts()) == inFlight })
		last := d.cuts()[inFlight-1].Sub(fenced)
		t.Logf("all calls are cut off after %s", last.Round(10*time.Millisecond))
		if last > 2*time.Second {
			t.Errorf("the calls go on for %s, and heartbeats are sent every 500 ms", last)
		}
		s.await(30*time.Second, "all events done and committed", func() bool {
			n, _, _ := d.count()
			return n == inTopic && s.drained()
		})
		if _, again, calledAgain := d.count(); again != 0 || calledAgain != inFlight {
			t.Errorf("%d events called again, %d done again, want %d and none", calledAgain, again, inFlight)
		}
	}
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		s, d, draining := begin(t, "")
		tool := s.newPuppet("tool", "")
		tool.id = draining.memberID()
		fenced := time.Now()
		if code, member := tool.leave(); code != 0 || member != 0 {
			t.Fatalf("the removal is refused: %d, %d", code, member)
		}
		check(t, s, d, fenced)
	})
	t.Run("same instance", func(t *testing.T) {
		t.Parallel()
		s, d, draining := begin(t, "twin")
		fenced := time.Now()
		s.host(d, func(c *consumer.Config) { c.InstanceID = "twin" })
		receive(t, draining.done, "the older one's end")
		if draining.err == nil || !strings.Contains(draining.err.Error(), "twin") {
			t.Errorf("the older one has ended with %v, want an error that names the instance ID", draining.err)
		}
		check(t, s, d, fenced)
	})
}
