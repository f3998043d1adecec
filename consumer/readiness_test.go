package consumer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit"
	"convdel/internal/testkit/coordinator"
)

// TestReadyz_Standstill: a replica that has something to do and does nothing outside of a pause says so, and why.
func TestReadyz_Standstill(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start()
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("with nothing to do: %+v", s)
		}
		refused := w.refuseLetters()
		w.publish(0, []byte("garbage"))
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s == nil || !strings.Contains(s.Why, "1 dead letters are not written to their topic: [19]") {
			t.Errorf("with a letter that nobody takes: %+v", s)
		}
		refused.Remove()
		w.awaitDrained(time.Minute)
		broken := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.KafkaStorageError, Count: -1})
		w.publish(0, eventValue(20))
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s == nil || !strings.Contains(s.Why, "0 at offset 11: ") {
			t.Errorf("with a partition that can't be read: %+v", s)
		}
		broken.Remove()
		w.awaitDrained(time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("when all is done: %+v", s)
		}
		transactional := w.newClient(kgo.TransactionalID("upstream"), kgo.TransactionTimeout(10*time.Minute))
		defer transactional.Close()
		if err := transactional.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := transactional.ProduceSync(t.Context(), &kgo.Record{Topic: testTopic, Value: eventValue(30)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if s := r.Status().Stalled; s != nil {
			t.Errorf("behind an open transaction, where nothing can be read: %+v", s)
		}
		if err := transactional.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
		w.awaitDrained(time.Minute)
	})
}

// TestReadyz_Absent: a replica that is no working member of the group says why.
func TestReadyz_Absent(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		away := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		r := w.start()
		time.Sleep(10 * time.Second)
		if s := r.Status(); s.Live || !strings.Contains(s.Absent, "offsets of the group not read") {
			t.Errorf("while the coordinator loads: %+v", s)
		}
		away.Remove()
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		time.Sleep(10 * time.Second)
		if s := r.Status(); s.Absent != "" {
			t.Errorf("as a working member: %+v", s)
		}
		if err := w.kafka.DeleteTopic(testTopic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if s := r.Status(); !strings.Contains(s.Absent, "topic events is not there") {
			t.Errorf("without the topic: %+v", s)
		}
	})
}

// TestReadyz_NotOpened: a replica that can't open a partition that the group has given to it is no working member, and says why. It works on its
// other partition meanwhile.
func TestReadyz_NotOpened(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		first, second := w.start(), w.start()
		w.await(time.Minute, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		away := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress, Count: -1})
		second.stop()
		w.await(time.Minute, "the other partition", func() bool { return first.Status().Partitions == 2 })
		w.publish(0, eventValues(0, 5)...)
		w.publish(1, eventValues(5, 10)...)
		time.Sleep(5 * time.Second)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			if s := first.Status(); s.Live || !strings.Contains(s.Absent, "committed offsets not read: ") || s.Unreached != "" {
				t.Fatalf("while the coordinator loads: %+v", s)
			}
		}
		if n := len(w.api.made()); n != 5 {
			t.Errorf("%d calls, want 5 for the partition that it has", n)
		}
		away.Remove()
		w.awaitDrained(time.Minute)
		if s := first.Status(); !s.Live || s.Absent != "" {
			t.Errorf("as a working member: %+v", s)
		}
		w.wantDeletedOnce(0, 10)
	})
}

// TestReadyz_GenerationOver: a replica whose generation has ended is no working member from that moment on, while calls under way end and
// commits wait for brokers.
func TestReadyz_GenerationOver(t *testing.T) {
	t.Parallel()
	// absent checks the status of a replica whose generation has ended after a time.
	absent := func(t *testing.T, r *replica, left time.Time, why string) {
		t.Helper()
		if s := r.Status(); s.Live || !strings.Contains(s.Absent, why) || s.Since.Before(left) || s.Since.After(time.Now()) {
			t.Errorf("%s after %s: %+v", why, time.Since(left), s)
		}
	}
	t.Run("rebalance, and a stop", func(t *testing.T) {
		t.Parallel()
		inWorld(t, worldOptions{partitions: 2}, func(w *world) {
			first := w.start()
			w.await(time.Minute, "a generation", func() bool { return first.Status().Live })
			w.api.set(10*time.Second, nil)
			w.publish(0, eventValues(0, 5)...)
			w.publish(1, eventValues(20, 25)...)
			time.Sleep(3 * time.Second)
			left := time.Now()
			second := w.start()
			for range 40 { // it works on the partition that it keeps, while the calls of the other one end
				time.Sleep(100 * time.Millisecond)
				if s := first.Status(); !s.Live || s.Absent != "" {
					w.t.Errorf("%s after another member has joined: %+v", time.Since(left), s)
				}
			}
			if s := second.Status(); s.Partitions != 0 {
				w.t.Errorf("the second has a partition while calls for it are under way: %+v", s)
			}
			w.await(time.Minute, "two members", func() bool { return first.Status().Live && second.Status().Live && second.Status().Partitions > 0 })
			w.publish(0, eventValues(5, 10)...)
			w.publish(1, eventValues(10, 15)...)
			time.Sleep(3 * time.Second)
			left = time.Now()
			first.cancel()
			second.cancel()
			time.Sleep(time.Second)
			absent(w.t, first, left, "told to stop")
			absent(w.t, second, left, "told to stop")
			first.stop()
			second.stop()
		})
	})
	t.Run("frozen brokers", func(t *testing.T) {
		t.Parallel()
		inWorld(t, worldOptions{partitions: 2, brokers: 3}, func(w *world) {
			brokers := w.kafka.ListenAddrs()
			r, ward := w.onWard(brokers)
			w.publish(0, eventValues(0, 5)...)
			w.awaitDrained(time.Minute)
			left := time.Now()
			for _, address := range brokers {
				ward.Make(address, testkit.Frozen)
			}
			time.Sleep(12 * time.Second) // the session timeout
			for range 10 {
				absent(w.t, r, left, "")
				time.Sleep(7 * time.Second)
			}
			if s := r.Status(); s.Generation == 0 || !strings.Contains(s.Absent, "not joined") {
				t.Errorf("%+v", s)
			}
		})
	})
}

// TestReadyz_NotLetIn: a rebalance has begun, and the group lets a replica into no generation. It makes no call once the group may go on
// without it, and says so, although brokers answer.
func TestReadyz_NotLetIn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		group := coordinator.Take(w.kafka)
		w.closers = append(w.closers, group.Close)
		r := w.start()
		w.publish(0, eventValues(0, 5)...)
		w.awaitDrained(time.Minute)
		undo := []func(){
			group.Add(coordinator.Fault{Key: kmsg.Heartbeat, Err: kerr.RebalanceInProgress, Count: -1}),
			group.Add(coordinator.Fault{Key: kmsg.JoinGroup, Err: kerr.CoordinatorLoadInProgress, Count: -1}),
		}
		w.await(2*time.Minute, "not ready", func() bool { return !r.Status().Live })
		calls := len(w.api.made())
		w.publish(0, eventValues(5, 10)...)
		time.Sleep(10 * time.Second)
		s := r.Status()
		if s.Live || s.Unreached != "" || !strings.Contains(s.Absent, "group not joined: ") && !strings.Contains(s.Absent, "not been let into") {
			t.Errorf("while it is not let in: %+v", s)
		}
		if n := len(w.api.made()); n != calls {
			t.Errorf("%d calls while it is not let in", n-calls)
		}
		for _, u := range undo {
			u()
		}
		w.awaitDrained(time.Minute)
		if s := r.Status(); !s.Live || s.Absent != "" {
			t.Errorf("as a working member: %+v", s)
		}
		w.wantDeletedOnce(0, 10)
	})
}

// TestReadyz_Idle: a replica that holds no partition, since there are more replicas than partitions, says that the coordinator is silent, and
// that it is no more.
func TestReadyz_Idle(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{brokers: 3}, func(w *world) {
		t := w.t
		first := w.start()
		w.publish(0, eventValues(0, 5)...)
		w.awaitDrained(time.Minute)
		brokers := w.kafka.ListenAddrs()
		idle, ward := w.onWard(brokers)
		w.await(time.Minute, "a member without partitions", func() bool { return idle.Status().Live && first.Status().Partitions == 1 })
		for _, address := range brokers {
			ward.Make(address, testkit.Frozen)
		}
		time.Sleep(12 * time.Second) // the session timeout
		for range 10 {
			if s := idle.Status(); s.Live || s.Absent == "" || s.Unreached != s.Absent {
				t.Fatalf("while no broker answers: %+v", s)
			}
			time.Sleep(7 * time.Second)
		}
		for _, address := range brokers {
			ward.Make(address, "")
		}
		w.await(time.Minute, "a working member", func() bool { s := idle.Status(); return s.Live && s.Absent == "" && s.Unreached == "" })
		w.wantDeletedOnce(0, 5)
	})
}
