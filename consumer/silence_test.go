package consumer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit/coordinator"
)

// TestCoordinatorAwayForLongerThanASession: the group has no coordinator for longer than a session, as when the broker dies that is the
// active controller too. The next one counts each session anew. So nobody else can have the partitions, and what has ended is committed
// when it is back: nothing is done again. Meanwhile no call leaves beyond three quarters of a session.
func TestCoordinatorAwayForLongerThanASession(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2, brokers: 2}, func(w *world) {
		t := w.t
		group := coordinator.Take(w.kafka)
		w.closers = append(w.closers, group.Close)
		w.publishNumbered(2, 5000)
		replicas := []*replica{w.start(), w.start()}
		w.await(time.Minute, "a partition each", func() bool {
			return replicas[0].Status().Partitions == 1 && replicas[1].Status().Partitions == 1
		})
		time.Sleep(2 * time.Second)
		began := time.Now()
		var back []func()
		for _, key := range []kmsg.Key{kmsg.Heartbeat, kmsg.OffsetCommit, kmsg.JoinGroup, kmsg.SyncGroup} {
			back = append(back, group.Add(coordinator.Fault{Key: key, Err: kerr.NotCoordinator, Count: -1}))
		}
		time.Sleep(10 * time.Second)
		for was := w.kafka.CoordinatorFor(testGroup); w.kafka.CoordinatorFor(testGroup) == was; {
			w.kafka.RehashCoordinators()
		}
		group.Look()
		time.Sleep(7 * time.Second)
		for _, r := range replicas {
			if s := r.Status(); s.Absent == "" || s.Live {
				t.Errorf("status after 17 s without a coordinator: %+v", s)
			}
		}
		for _, undo := range back {
			undo()
		}
		ended := time.Now()
		w.awaitDrained(5 * time.Minute)
		for n := range 2 {
			w.wantDeletedOnce(n*10_000, n*10_000+5000)
		}
		if !strings.Contains(w.log.String(), `level=INFO msg="calls go on: `) {
			t.Error("the log does not say that calls go on")
		}
		first := time.Duration(1 << 62)
		for _, c := range w.api.made() {
			if after := c.began.Sub(began); after > 9500*time.Millisecond && c.began.Before(ended) {
				t.Fatalf("a call %s after the coordinator has gone", after)
			}
			if after := c.began.Sub(ended); after >= 0 {
				first = min(first, after)
			}
		}
		if first > 5*time.Second {
			t.Errorf("the first call %s after the coordinator is back", first)
		}
	})
}
