package consumer_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit/coordinator"
	"convdel/schema"
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

// notedAPI notes when which calls of one replica began.
type notedAPI struct {
	*fakeAPI

	mu    sync.Mutex
	began map[schema.Conversation][]time.Time
}

func (a *notedAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	a.mu.Lock()
	a.began[c.Conversation] = append(a.began[c.Conversation], time.Now())
	a.mu.Unlock()
	return a.fakeAPI.Delete(ctx, c)
}

// TestReplicaCutOffForLongerThanASession: of two replicas one reaches no broker for longer than a session, and the API all the time. The other one
// takes its partition over. What is done again is what the former has begun when it could commit no more: in the commit's interval and a call's time
// before the cut, and in three quarters of a session after it. When the former is back, it commits and writes nothing of that, and both work.
func TestReplicaCutOffForLongerThanASession(t *testing.T) {
	t.Parallel()
	inWorld(t, outcomesWorld(2), func(w *world) {
		t := w.t
		const (
			latency = 50 * time.Millisecond
			away    = 20 * time.Second
			before  = 200*time.Millisecond + 2*latency // in which something has ended and is not committed
		)
		w.coordinate()
		w.guardCommits()
		w.api.set(latency, nil)
		w.publishNumbered(2, 4000)
		api := &notedAPI{fakeAPI: w.api, began: map[schema.Conversation][]time.Time{}}
		former := w.start(withOutcomes, func(c *consumer.Config) { c.API = api })
		other := w.start(withOutcomes)
		each := func() bool { return former.Status().Partitions == 1 && other.Status().Partitions == 1 }
		w.await(time.Minute, "a partition each", each)
		time.Sleep(5 * time.Second)
		former.net.Sever()
		cut := time.Now()
		w.await(14*time.Second, "the other has both partitions", func() bool { return other.Status().Partitions == 2 })
		time.Sleep(time.Until(cut.Add(away)))
		committed := w.committed()
		former.net.Mend()
		w.await(20*time.Second, "a partition each", each)
		for p, offset := range w.committed() {
			if offset < committed[p] {
				t.Errorf("partition %d is committed at %d, after %d", p, offset, committed[p])
			}
		}
		back := time.Now()
		w.awaitDrained(5 * time.Minute)
		repeated, bound, after := 0, 0, 0
		for of, deletes := range w.api.deletes() {
			late := false
			for _, began := range api.began[of] {
				switch since := began.Sub(cut); {
				case since > 9*time.Second && since < away:
					t.Fatalf("a call %s after the cut", since)
				case since > -before && since < away:
					late = true
				case began.After(back):
					after++
				}
			}
			if late {
				bound++
			}
			if deletes > 1 && !late || deletes > 2 {
				t.Fatalf("%s is deleted %d times; the former has called at %v, and was cut off at %s", of.From, deletes, api.began[of], cut)
			}
			repeated += deletes - 1
		}
		if repeated == 0 || repeated > bound || bound > 100*10 {
			t.Errorf("%d events are done again, of %d that the former had begun", repeated, bound)
		}
		if after < 100 {
			t.Errorf("the former makes %d calls when it is back", after)
		}
		if outcomes, records := w.outcomes(); len(outcomes) != 8000 || records > 8000+int(before.Seconds()*100) {
			t.Errorf("%d outcomes in %d records", len(outcomes), records)
		}
	})
}

// TestStatusInSilence: while the coordinator is silent, the status says that the replica may be no member, since when, and what the last join
// was answered. The end of the silence ends that.
func TestStatusInSilence(t *testing.T) {
	t.Parallel()
	type want struct {
		after     time.Duration
		text      string
		unreached bool
	}
	const silent = "no answer from the group's coordinator for "
	for name, tc := range map[string]struct {
		begin func(w *world, r *replica, group *coordinator.Coordinator) (end func())
		wants []want
	}{
		"nobody answers": {
			func(_ *world, r *replica, _ *coordinator.Coordinator) func() { r.net.Sever(); return r.net.Mend },
			[]want{{9700 * time.Millisecond, silent + "most of a session", true}, {14 * time.Second, "group not joined: ", true}, {time.Minute, "group not joined: ", true}},
		},
		"brokers answer, the coordinator loads": {
			func(w *world, _ *replica, group *coordinator.Coordinator) func() {
				w.silence(group, 61*time.Second)
				return func() {}
			},
			[]want{{9700 * time.Millisecond, silent + "most of a session", true}, {14 * time.Second, "group not joined: ", false}, {time.Minute, "group not joined: ", false}},
		},
		"joins are refused": {
			func(w *world, _ *replica, group *coordinator.Coordinator) func() {
				w.silence(group, 13*time.Second)
				return group.Add(coordinator.Fault{Key: kmsg.JoinGroup, Err: kerr.GroupAuthorizationFailed, Count: -1})
			},
			[]want{{9700 * time.Millisecond, silent + "most of a session", true}, {14 * time.Second, "[30]", false}, {time.Minute, "[30]", false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{brokers: 2}, func(w *world) {
				t := w.t
				group := coordinator.Take(w.kafka)
				w.closers = append(w.closers, group.Close)
				w.publish(0, eventValue(0))
				r := w.start()
				w.awaitDrained(time.Minute)
				time.Sleep(10 * time.Second)
				for round := range 2 {
					cut := time.Now()
					end := tc.begin(w, r, group)
					for _, want := range tc.wants {
						time.Sleep(time.Until(cut.Add(want.after)))
						s := r.Status()
						if s.Live || !strings.Contains(s.Absent, want.text) || (s.Unreached == s.Absent) != want.unreached {
							t.Errorf("round %d, after %s: %+v", round, want.after, s)
						}
						if since := s.Since.Sub(cut); since < 8*time.Second || since > 10*time.Second {
							t.Errorf("round %d, after %s: since %s after the cut", round, want.after, since)
						}
					}
					end()
					returned := time.Now()
					w.await(time.Minute, "a member again", func() bool { return r.Status().Live })
					if s := r.Status(); s.Absent != "" || s.Unreached != "" || s.Partitions != 1 || s.Since.Before(returned) {
						t.Errorf("round %d, when it is back (%s): %+v", round, returned, s)
					}
					time.Sleep(10 * time.Second)
				}
			})
		})
	}
}

// TestGivenUpInSilence: a partition is being given up, and the coordinator is away for longer than the drain and a rebalance. What has ended is
// committed when it is back: nothing is done again.
func TestGivenUpInSilence(t *testing.T) {
	t.Parallel()
	for _, silent := range []time.Duration{20 * time.Second, 40 * time.Second, 3 * time.Minute} {
		t.Run(silent.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2, brokers: 2}, func(w *world) {
				group := coordinator.Take(w.kafka)
				w.closers = append(w.closers, group.Close)
				w.guardCommits()
				first := w.start()
				w.await(time.Minute, "both partitions", func() bool { return first.Status().Partitions == 2 })
				w.api.set(4*time.Second, nil)
				w.publishNumbered(2, 20)
				w.await(3*time.Second, "the calls", func() bool { return len(w.api.made()) == 40 })
				second := w.start()
				w.await(3*time.Second, "it gives one up", func() bool { return first.Status().Partitions == 1 })
				w.silence(group, silent)
				time.Sleep(silent - time.Second)
				if n := second.Status().Partitions; n != 0 {
					w.t.Errorf("the other has %d partitions in the silence", n)
				}
				w.await(time.Minute, "a partition each", func() bool { return second.Status().Partitions == 1 })
				w.awaitDrained(2 * time.Minute)
				for p := range int32(2) {
					w.wantDeletedOnce(numberAt(p, 0), numberAt(p, 20))
				}
			})
		})
	}
}
