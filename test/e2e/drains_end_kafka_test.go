//go:build kafka

package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// TestDrains_WhileGivingUp: a member notices another's join within a heartbeat interval. While it drains, it goes on to send heartbeats, and
// the coordinator takes its commits, at once and seconds later.
func TestDrains_WhileGivingUp(t *testing.T) {
	t.Parallel()
	const early, late = 41, 42
	s := newStage(t, 2, imtest.Config{})
	d := newDeeds(t)
	d.long = inFlight
	steps := map[int]chan struct{}{early: make(chan struct{}), late: make(chan struct{}), inFlight: make(chan struct{})}
	d.until = func(ev numberedEvent) <-chan struct{} {
		switch {
		case ev.number < early:
			return steps[early]
		case ev.number < late:
			return steps[late]
		}
		return steps[inFlight]
	}
	h := s.host(d, longDrain{}.configure)
	h.awaitPartitions(2)
	s.publishNumbered(1, inFlight)
	s.await(30*time.Second, "all calls under way", func() bool { return d.calls() == inFlight })

	joining := time.Now()
	other := s.host(d, longDrain{}.configure)
	h.awaitPartitions(1)
	given := time.Now()
	joins, at := requests[*kmsg.JoinGroupRequest](other.wire, joining)
	_, own := requests[*kmsg.JoinGroupRequest](h.wire, joining)
	for i, j := range joins {
		if j.MemberID != "" { // the first has none, and is told one
			noticed := own[0].Sub(at[i])
			t.Logf("the member joins again %s after the other's join", noticed.Round(time.Millisecond))
			if noticed > 2*time.Second {
				t.Error("that is more than a heartbeat interval of 500 ms and a slow machine")
			}
			break
		}
	}
	close(steps[early])
	s.await(10*time.Second, "a commit at once", func() bool { return s.committed()[1] == early })
	pause(t.Context(), 4*time.Second)
	beats, _ := requests[*kmsg.HeartbeatRequest](h.wire, given)
	t.Logf("%d heartbeats in %s of the drain", len(beats), time.Since(given).Round(100*time.Millisecond))
	if len(beats) < 4 {
		t.Error("heartbeats do not go on")
	}
	close(steps[late])
	s.await(10*time.Second, "a commit seconds later", func() bool { return s.committed()[1] == late })
	if got := h.Status(); !got.Live || got.Partitions != 1 {
		t.Errorf("the drain is over before its end: %+v", got)
	}
	close(steps[inFlight])
	other.awaitPartitions(1)
	s.await(10*time.Second, "all committed", s.drained)
	wantUndisturbed(t, d, h)
	if said := linesWith(h.log.String(), "not committed"); said != "" {
		t.Errorf("commits were refused:\n%s", said)
	}
}

// TestDrains_DeadConnections: all connections of a member die while it gives up a partition, with an end or without one. It goes on over others,
// in the same generation and as the same member, and nothing is repeated.
func TestDrains_DeadConnections(t *testing.T) {
	t.Parallel()
	const after, commitTimeout = 3 * time.Second, 5 * time.Second // into the drain; of a commit whose connection says nothing
	for name, dead := range map[string]struct {
		die   func(*wire)
		lasts time.Duration
	}{
		"closed": {func(w *wire) { w.Cut() }, after + 2*time.Second},
		"silent": {(*wire).silence, after + commitTimeout + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var died time.Time
			d, h := longDrain{lasts: dead.lasts, during: func(_ longDrain, _ *stage, _ *deeds, h *hosted) {
				died = time.Now()
				dead.die(h.wire)
			}}.run(t)
			wantUndisturbed(t, d, h)
			_, at := requests[*kmsg.OffsetCommitRequest](h.wire, died)
			if len(at) == 0 {
				t.Fatal("no commit over another connection")
			}
			t.Logf("the first commit over another connection %s later; %s", at[0].Sub(died).Round(10*time.Millisecond), linesWith(h.log.String(), "not committed"))
		})
	}
}

// TestDrains_StopWhileAJoinIsHeld: a stop does not wait for the answer to a join, which the coordinator holds because of another member.
func TestDrains_StopWhileAJoinIsHeld(t *testing.T) {
	t.Parallel()
	const soon = 2 * time.Second // the join is held for at least twice as long
	t.Run("newcomer", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, 1, imtest.Config{})
		began, ended := make(chan struct{}), make(chan struct{})
		var first sync.Once
		s.member(12*time.Second, 30*time.Second, func(ctx context.Context, _ *kafka.Generation) {
			first.Do(func() {
				close(began)
				<-ctx.Done()
				close(ended)
				pause(context.WithoutCancel(ctx), 2*soon)
			})
			<-ctx.Done()
		})
		receive(t, began, "a first generation")
		joining := s.host(newDeeds(t))
		receive(t, ended, "the end of the generation")
		took := joining.stop()
		t.Logf("stopped %s after the other's drain began", took.Round(time.Millisecond))
		if took > soon || joining.err != nil {
			t.Errorf("stopped after %s, with %v", took, joining.err)
		}
	})
	t.Run("working", func(t *testing.T) {
		t.Parallel()
		s := newStage(t, 1, imtest.Config{})
		d := newDeeds(t)
		h := s.host(d)
		h.awaitPartitions(1)
		slow := s.newPuppet("slow", "", offers("")...)
		slow.session, slow.rebalance = 30*time.Second, 30*time.Second
		j := wantJoined(t, "a member that will not join again", slow.joining())
		code, _ := slow.sync(j.protocol)
		wantCode(t, "its sync", code, fine)
		h.awaitPartitions(1)
		before := time.Now()
		newcomer := s.host(d)
		s.await(10*time.Second, "a join that is held", func() bool {
			_, at := requests[*kmsg.JoinGroupRequest](h.wire, before)
			return len(at) > 0 && time.Since(at[0]) > held
		})
		s.publishNumbered(0, inTopic)
		s.await(10*time.Second, "work while the join is held", func() bool { n, _, _ := d.count(); return n == inTopic })
		took := h.stop()
		t.Logf("stopped after %s", took.Round(time.Millisecond))
		if took > soon || h.err != nil {
			t.Errorf("stopped after %s, with %v", took, h.err)
		}
		if at := s.committed()[0]; at != inTopic {
			t.Errorf("committed: %d, want %d", at, inTopic)
		}
		if took := newcomer.stop(); took > soon || newcomer.err != nil {
			t.Errorf("the newcomer stopped after %s, with %v", took, newcomer.err)
		}
		slow.leave()
	})
}
