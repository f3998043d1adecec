package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/internal/testkit/coordinator"
	"convdel/schema"
)

// silence moves the group to another coordinator, which loads it for so long. Meanwhile it answers no request. It knows the members then.
func (w *world) silence(group *coordinator.Coordinator, d time.Duration) {
	group.SetLoading(d)
	for was := w.kafka.CoordinatorFor(testGroup); w.kafka.CoordinatorFor(testGroup) == was; {
		w.kafka.RehashCoordinators()
	}
	group.Look()
}

// doubtful is 20 events, the calls for which end when the replica is in doubt: every second one as permanent.
const doubtful = 20

func isPermanent(c schema.Conversation) bool { return (c.From[len(c.From)-1]-'0')%2 == 1 }

// inDoubt runs a test with a replica that has made calls for events in a silence of the coordinator. They have ended when it is in doubt, so that their
// dead letters and outcomes wait.
func inDoubt(t *testing.T, silent time.Duration, edit func(*consumer.Config), test func(w *world, r *replica, group *coordinator.Coordinator)) {
	t.Helper()
	o := outcomesWorld(1)
	o.brokers = 2
	inWorld(t, o, func(w *world) {
		group := coordinator.Take(w.kafka)
		w.closers = append(w.closers, group.Close)
		w.api.set(6*time.Second, func(c consumer.Call, _ int) consumer.Answer {
			if isPermanent(c.Conversation) {
				return verdict(consumer.Permanent, 50001)
			}
			return verdict(consumer.Deleted, 0)
		})
		r := w.start(withOutcomes, edit)
		w.await(time.Minute, "a generation", func() bool { return r.Status().Partitions == 1 })
		w.silence(group, silent)
		time.Sleep(8 * time.Second)
		w.publish(0, eventValues(0, doubtful)...)
		time.Sleep(8 * time.Second)
		w.wantWaiting(r)
		test(w, r, group)
	})
}

// wantWaiting checks that all calls of the events in doubt have ended, and nothing of them has been written.
func (w *world) wantWaiting(r *replica) {
	w.t.Helper()
	_, outcomes := w.outcomes()
	left := r.Unfinished()
	if n := len(w.api.made()); n != doubtful || left.Calling != 0 || left.Total() != doubtful {
		w.t.Errorf("%d calls, %+v is left", n, left)
	}
	if n := len(w.deadLetters()); n != 0 || outcomes != 0 {
		w.t.Errorf("%d dead letters and %d outcomes are written in doubt", n, outcomes)
	}
}

// wantEnds checks that each event in doubt has ended once, as its first call said.
func (w *world) wantEnds() {
	w.t.Helper()
	outcomes, records := w.outcomes()
	if n := len(w.api.made()); n != doubtful || records != doubtful || len(w.deadLetters()) != doubtful/2 {
		w.t.Errorf("%d calls, %d outcomes, %d dead letters", n, records, len(w.deadLetters()))
	}
	for id, o := range outcomes {
		if permanent := o.Kind == schema.OutcomePermanent; permanent != isPermanent(o.Event.Conversation) {
			w.t.Errorf("%s of %s", id, o.Event.From)
		}
	}
}

// TestDoubtHoldsWritesBack: no dead letter and no outcome leaves while the replica does not know whether it is still a member. What becomes of them
// depends on the answer to the join.
func TestDoubtHoldsWritesBack(t *testing.T) {
	t.Parallel()
	const silent = 3 * time.Minute // each write is given up several times
	anybody := func(*consumer.Config) {}
	for name, edit := range map[string]func(*consumer.Config){
		"dynamic": anybody, "static": func(c *consumer.Config) { c.InstanceID = "convdel-0" },
	} {
		for _, code := range []*kerr.Error{nil, kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.GroupAuthorizationFailed} {
			t.Run(fmt.Sprintf("still a member, %s, joins are first answered %v", name, code), func(t *testing.T) {
				t.Parallel()
				inDoubt(t, silent, edit, func(w *world, r *replica, group *coordinator.Coordinator) {
					if code != nil {
						remove := group.Add(coordinator.Fault{Key: kmsg.JoinGroup, Err: code, Count: -1})
						time.Sleep(silent - 10*time.Second) // heartbeats are answered again
						w.wantWaiting(r)
						remove()
					}
					w.awaitDrained(silent + time.Minute)
					w.wantEnds()
				})
			})
		}
	}
	t.Run("the membership is lost", func(t *testing.T) {
		t.Parallel()
		inDoubt(t, silent, anybody, func(w *world, r *replica, group *coordinator.Coordinator) {
			time.Sleep(silent - 20*time.Second)
			w.wantWaiting(r)
			w.api.set(50*time.Millisecond, nil)
			time.Sleep(3 * time.Second)
			group.Add(coordinator.Fault{Key: kmsg.JoinGroup, Err: kerr.UnknownMemberID, Count: 1, When: func(req kmsg.Request) bool {
				join, _ := req.(*kmsg.JoinGroupRequest)
				return join.MemberID != ""
			}})
			w.awaitDrained(2 * time.Minute)
			time.Sleep(time.Minute)
			outcomes, records := w.outcomes()
			for id, o := range outcomes {
				if o.Kind != schema.OutcomeDeleted {
					w.t.Errorf("%s, and its next owner has deleted it", id)
				}
			}
			if n := len(w.deadLetters()); n != 0 || records != doubtful || len(w.api.made()) != 2*doubtful {
				w.t.Errorf("%d dead letters, %d outcomes, %d calls", n, records, len(w.api.made()))
			}
		})
	})
}

// TestWriteUnderWayWhenTheMembershipIsLost: a write of a dead letter has begun in time, and its connection is frozen. No further attempt leaves once the
// replica is in doubt: by then the next owner has deleted the conversation.
func TestWriteUnderWayWhenTheMembershipIsLost(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.coordinate()
		brokers := w.kafka.ListenAddrs()
		first, ward := w.onWard(brokers)
		second := w.start()
		w.await(time.Minute, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		for p := range int32(2) {
			w.publish(p, slices.Repeat([][]byte{[]byte("garbage")}, 20)...) // the writers know their topic then
		}
		w.awaitDrained(time.Minute)
		before := len(w.letterKeys())
		w.api.set(8*time.Second, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		for p := range int32(2) {
			w.publish(p, eventValues(int(p)*10, int(p)*10+10)...)
		}
		w.await(3*time.Second, "the calls", func() bool { return len(w.api.made()) == 20 })
		for _, address := range brokers {
			ward.Make(address, testkit.Frozen)
		}
		w.api.set(50*time.Millisecond, nil)
		w.await(20*time.Second, "the other has both partitions", func() bool { return second.Status().Partitions == 2 })
		letters := len(w.letterKeys()) - before
		for _, address := range brokers {
			ward.Make(address, "")
		}
		w.await(time.Minute, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		w.awaitDrained(time.Minute)
		time.Sleep(time.Minute)
		if n := len(w.letterKeys()) - before; n != letters || letters != 10 || len(w.api.deletes()) != 10 {
			w.t.Errorf("%d dead letters when the other has the partitions, and then %d; %d conversations deleted", letters, n, len(w.api.deletes()))
		}
	})
}

// TestReplacedInDoubt: a static replica is cut off, and another process takes its name and its partition. When it is back, it ends, and has
// neither called nor written since.
func TestReplacedInDoubt(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(1), func(w *world) {
		w.coordinate()
		named := func(c *consumer.Config) { c.InstanceID = "convdel-0" }
		w.publish(0, []byte("garbage")) // the writers know their topics then
		r := w.start(withOutcomes, named)
		w.awaitDrained(time.Minute)
		w.api.set(6*time.Second, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		w.publish(0, eventValues(0, doubtful)...)
		w.await(10*time.Second, "the calls", func() bool { return len(w.api.made()) == doubtful })
		r.net.Sever()
		w.api.set(50*time.Millisecond, nil)
		cut := time.Now()
		next := w.start(withOutcomes, named)
		time.Sleep(20 * time.Second)
		if n := len(w.deadLetters()); n != 1 || len(w.api.made()) != 2*doubtful {
			w.t.Errorf("%d dead letters, %d calls", n, len(w.api.made()))
		}
		r.net.Mend()
		<-r.done
		if r.err == nil || !strings.Contains(r.err.Error(), `"convdel-0"`) {
			w.t.Errorf("ended %s after the cut with %v", time.Since(cut), r.err)
		}
		r.err = nil // the world expects none
		w.awaitDrained(time.Minute)
		outcomes, records := w.outcomes()
		if n := len(w.deadLetters()); n != 1 || records != doubtful+1 || len(outcomes) != records || len(w.api.made()) != 2*doubtful || !next.Status().Live {
			w.t.Errorf("%d dead letters, %d outcomes, %d calls", n, records, len(w.api.made()))
		}
	})
}

// TestStopInDoubt: a replica that is told to stop, and is in doubt or comes to be, ends in time. What it may not write is left to the next owner. If the
// coordinator is back before that, all of it is written and committed.
func TestStopInDoubt(t *testing.T) {
	t.Parallel()
	const drain = 20 * time.Second
	brief := func(c *consumer.Config) { c.DrainTimeout = drain }
	static := func(c *consumer.Config) { c.DrainTimeout, c.InstanceID = drain, "convdel-0" }
	for name, edit := range map[string]func(*consumer.Config){"dynamic": brief, "static": static} {
		t.Run(name+", silence goes on", func(t *testing.T) {
			t.Parallel()
			inDoubt(t, 5*time.Minute, edit, func(w *world, r *replica, _ *coordinator.Coordinator) {
				if took := r.stop(); took > drain+15*time.Second {
					w.t.Errorf("stopped after %s", took)
				}
				w.wantWaiting(r)
				w.start(withOutcomes, edit)
				w.awaitDrained(10 * time.Minute)
				outcomes, records := w.outcomes()
				if len(outcomes) != doubtful || records != doubtful || len(w.letterKeys()) != doubtful/2 || len(w.deadLetters()) != doubtful/2 {
					w.t.Errorf("%d outcomes in %d records, %d dead letters", len(outcomes), records, len(w.deadLetters()))
				}
			})
		})
		t.Run(name+", the coordinator comes back", func(t *testing.T) {
			t.Parallel()
			inDoubt(t, 21*time.Second, edit, func(w *world, r *replica, _ *coordinator.Coordinator) {
				r.cancel()
				time.Sleep(5 * time.Second)
				if took := r.stop(); took > 5*time.Second {
					w.t.Errorf("stopped %s after the coordinator is back", took)
				}
				w.wantEnds()
				w.awaitDrained(0)
			})
		})
	}
	t.Run("the silence begins after the stop", func(t *testing.T) {
		t.Parallel()
		o := outcomesWorld(1)
		o.brokers = 2
		inWorld(t, o, func(w *world) {
			group := coordinator.Take(w.kafka)
			w.closers = append(w.closers, group.Close)
			w.api.set(16*time.Second, func(c consumer.Call, _ int) consumer.Answer {
				if isPermanent(c.Conversation) {
					return verdict(consumer.Permanent, 50001)
				}
				return verdict(consumer.Deleted, 0)
			})
			w.publish(0, eventValues(0, doubtful)...)
			r := w.start(withOutcomes, func(c *consumer.Config) { c.DrainTimeout = time.Minute })
			w.await(time.Minute, "the calls", func() bool { return len(w.api.made()) == doubtful })
			r.cancel()
			time.Sleep(100 * time.Millisecond)
			w.silence(group, 19*time.Second)
			time.Sleep(18500 * time.Millisecond)
			w.wantWaiting(r)
			if took := r.stop(); took > 5*time.Second {
				w.t.Errorf("stopped %s after the coordinator is back", took)
			}
			w.wantEnds()
			w.awaitDrained(0)
		})
	})
}
