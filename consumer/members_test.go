package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit/coordinator"
	"convdel/schema"
)

// coordinate gives the world a group coordinator that follows Kafka's rules for static members.
func (w *world) coordinate() { w.closers = append(w.closers, coordinator.Take(w.kafka).Close) }

// partitionOf is the partition of an event that publishNumbered has published.
func partitionOf(c schema.Conversation) int {
	n := 0
	for _, digit := range strings.TrimPrefix(c.From, "user") {
		n = 10*n + int(digit-'0')
	}
	return n / numberAt(1, 0)
}

// TestWorkGoesOnWhileAnotherJoins: a replica calls for the partition that it keeps, while a call for the one that it loses takes long. The
// other replica makes no call before that one has ended.
func TestWorkGoesOnWhileAnotherJoins(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.guardCommits()
		for n := 0; n < 2000; n += 2 {
			for p := range int32(2) {
				w.publish(p, eventValues(numberAt(p, int64(n)), numberAt(p, int64(n+2)))...)
			}
			time.Sleep(time.Millisecond) // the oldest event is called first
		}
		first := w.start()
		time.Sleep(5 * time.Second)
		slow := 8 * time.Second
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if partitionOf(c.Conversation) == 1 {
				time.Sleep(slow)
			}
			return verdict(consumer.Deleted, 0)
		})
		time.Sleep(200 * time.Millisecond)
		joined := time.Now()
		second := w.start()
		w.await(time.Minute, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		given := time.Now()
		if took := given.Sub(joined); took < 5*time.Second {
			t.Errorf("a partition was given up after %s, while calls for it took %s", took, slow)
		}
		var last time.Time
		for _, c := range w.api.made() {
			if c.began.Before(joined) || c.began.After(given) {
				continue
			}
			switch partitionOf(c.Conversation) {
			case 0:
				if !last.IsZero() && c.began.Sub(last) > 600*time.Millisecond {
					t.Errorf("no call for the partition that it keeps for %s", c.began.Sub(last))
				}
				last = c.began
			case 1:
				if since := c.began.Sub(joined); since > time.Second {
					t.Errorf("a call for the partition that it gives up, %s after the other has joined", since)
				}
			}
		}
		if last.IsZero() || given.Sub(last) > 600*time.Millisecond {
			t.Errorf("the last call for the partition that it keeps is %s old", given.Sub(last))
		}
		w.api.set(0, nil)
		w.awaitDrained(time.Minute)
		for p := range int32(2) {
			w.wantDeletedOnce(numberAt(p, 0), numberAt(p, 2000))
		}
		if w.api.peak() > 200 {
			t.Errorf("%d calls in a second", w.api.peak())
		}
	})
}

// TestGivenUpPartitionLeavesNothing: events of a partition that is given up, which wait for a retry or whose letter waits for its topic, hold
// no part of the capacity any more, and the next owner executes them.
func TestGivenUpPartitionLeavesNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.guardCommits()
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Transient, 50004) })
		away := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
		w.publishNumbered(2, 50)
		for p := range int32(2) {
			w.publish(p, []byte("garbage"), []byte("garbage"))
		}
		first := w.start(func(c *consumer.Config) { c.RetryInitial, c.RetryMax, c.MaxInFlight = 20*time.Second, time.Minute, 120 })
		w.await(time.Minute, "all are in memory", func() bool { return first.Unfinished().Total() == 104 })
		second := w.start()
		w.await(time.Minute, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		if left := first.Unfinished(); left.Total() != 52 || left.DeadLetters != 2 {
			t.Errorf("the first has %+v, want 52 events, 2 of them letters", left)
		}
		away.Remove()
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(2 * time.Minute)
		for p := range int32(2) {
			w.wantDeletedOnce(numberAt(p, 0), numberAt(p, 50))
		}
		if n := len(w.letterKeys()); n != 4 {
			t.Errorf("%d dead letters, want 4", n)
		}
	})
}

// TestCallThatOutlastsItsPartition: a call that goes on for longer than the drain of its partition decides nothing any more. The next owner's call
// does: an event that it deletes has no dead letter.
func TestCallThatOutlastsItsPartition(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.guardCommits()
		w.api.set(20*time.Second, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		w.publishNumbered(2, 5)
		brief := func(c *consumer.Config) { c.DrainTimeout = 2 * time.Second }
		first := w.start(brief)
		w.await(time.Minute, "the calls", func() bool { return len(w.api.made()) == 10 })
		w.api.set(50*time.Millisecond, nil)
		second := w.start(brief)
		w.await(10*time.Second, "a partition each", func() bool { return first.Status().Partitions == 1 && second.Status().Partitions == 1 })
		w.awaitDrained(time.Minute)
		if n := len(w.letterKeys()); n != 5 {
			t.Errorf("%d dead letters, want those of the partition that was kept", n)
		}
		if n := len(w.api.deletes()); n != 5 {
			t.Errorf("%d conversations deleted, want those of the partition that was given up", n)
		}
		if left := first.Unfinished(); left.Total() != 0 {
			t.Errorf("the first has %+v in memory", left)
		}
	})
}

// TestStaticReplicaComesBack: a replica with an instance ID that stops and starts again within its session has its partitions again. The
// other one works on, in the same generation.
func TestStaticReplicaComesBack(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		w.coordinate()
		w.publishNumbered(4, 1000)
		named := func(id string) func(*consumer.Config) { return func(c *consumer.Config) { c.InstanceID = id } }
		a, b := w.start(named("a")), w.start(named("b"))
		w.await(time.Minute, "two partitions each", func() bool { return a.Status().Partitions == 2 && b.Status().Partitions == 2 })
		before := a.metric("convdel_generations_total")
		for range 3 {
			time.Sleep(2 * time.Second)
			b.stop()
			time.Sleep(3 * time.Second)
			b = w.start(named("b"))
			w.await(2*time.Second, "its partitions again", func() bool { return b.Status().Partitions == 2 })
		}
		if n := a.metric("convdel_generations_total"); n != before {
			t.Errorf("the other replica has seen %v generations", n-before)
		}
		w.awaitDrained(5 * time.Minute)
		for p := range int32(4) {
			w.wantDeletedOnce(numberAt(p, 0), numberAt(p, 1000))
		}
	})
}

// TestSameInstanceIDTwice: of two replicas with one instance ID, the older one ends with an error that names the ID.
func TestSameInstanceIDTwice(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.coordinate()
		named := func(c *consumer.Config) { c.InstanceID = "convdel-0" }
		older := w.start(named)
		w.await(time.Minute, "all partitions", func() bool { return older.Status().Partitions == 2 })
		younger := w.start(named)
		time.Sleep(5 * time.Second)
		select {
		case <-older.done:
		default:
			t.Fatal("the older one goes on")
		}
		if older.err == nil || !strings.Contains(older.err.Error(), `"convdel-0"`) {
			t.Errorf("the older one has ended with %v", older.err)
		}
		older.err = nil // the world expects none
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		if s := younger.Status(); !s.Live || s.Partitions != 2 {
			t.Errorf("the younger one: %+v", s)
		}
	})
}

// watchedAPI notes when its calls began.
type watchedAPI struct {
	consumer.API
	mu    sync.Mutex
	began []time.Time
}

func (a *watchedAPI) Delete(ctx context.Context, call consumer.Call) consumer.Answer {
	a.mu.Lock()
	a.began = append(a.began, time.Now())
	a.mu.Unlock()
	return a.API.Delete(ctx, call)
}

// calls is when its calls began.
func (a *watchedAPI) calls() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.began)
}

// TestTheOlderOneEndsBeforeTheYoungerBegins: of two replicas with one instance ID, the older one hears by its next heartbeat that it is fenced.
// The younger one makes no call before, although a budget in Redis would give it one at once.
func TestTheOlderOneEndsBeforeTheYoungerBegins(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond, 400 * time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				t := w.t
				w.coordinate()
				w.publishNumbered(2, 2000)
				redis := w.startRedis()
				var apis [2]watchedAPI
				replicaOf := func(i int) *replica {
					return w.start(redis.budget, func(c *consumer.Config) {
						c.InstanceID = "convdel-0"
						apis[i].API, c.API = c.API, &apis[i]
					})
				}
				older := replicaOf(0)
				time.Sleep(5*time.Second + after)
				replicaOf(1)
				time.Sleep(5 * time.Second)
				old, young := apis[0].calls(), apis[1].calls()
				last, first := old[len(old)-1], young[0]
				if !last.Before(first) || first.Sub(last) > 1500*time.Millisecond {
					t.Errorf("the older one's last call is at %s, the younger one's first at %s", last, first)
				}
				if older.err == nil {
					t.Error("the older one goes on")
				}
				older.err = nil // the world expects none
				w.awaitDrained(5 * time.Minute)
			})
		})
	}
}

// TestSessionTimeoutIsNotAllowed: a replica ends if brokers do not take its session timeout, and names the setting.
func TestSessionTimeoutIsNotAllowed(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.InvalidSessionTimeout, Count: -1})
		r := w.start()
		w.await(time.Minute, "the end", func() bool {
			select {
			case <-r.done:
				return true
			default:
				return false
			}
		})
		if r.err == nil || !strings.Contains(r.err.Error(), "session-timeout") {
			w.t.Errorf("ended with %v", r.err)
		}
		r.err = nil // the world expects none
	})
}

// TestFormerGenerationOfACommit: that the group's generation changes while a commit is on its way is no fault: work goes on, and the commit is
// made again.
func TestFormerGenerationOfACommit(t *testing.T) {
	t.Parallel()
	for _, err := range []*kerr.Error{kerr.IllegalGeneration, kerr.RebalanceInProgress} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				w.publish(0, eventValues(0, 1000)...)
				refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: err, Count: 7})
				r := w.start()
				w.awaitDrained(time.Minute)
				w.wantDeletedOnce(0, 1000)
				if n := r.metric("convdel_generations_total"); n != 1 || refused.Hits() != 7 || errors.Is(r.err, err) {
					w.t.Errorf("%v generations, %d commits refused", n, refused.Hits())
				}
				if n := r.metric("convdel_commit_failures_total"); n != 0 {
					w.t.Errorf("%v failures", n)
				}
			})
		})
	}
}
