package consumer_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestPromise2_CommitsOnlyWhatHasEnded looks at every commit as the broker sees it, while events
// end out of order, some late and some as dead letters, and members come and go.
func TestPromise2_CommitsOnlyWhatHasEnded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		w.api.set(100*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			a := mixedAnswer(c, before)
			if a.Verdict == consumer.Transient && a.Code == 50004 {
				return verdict(consumer.Transient, 70107) // 50004 for ever, where nothing else is left, could be an outage
			}
			return a
		})
		w.guardCommits()
		w.publishNumbered(4, 150)
		first := w.start()
		time.Sleep(2 * time.Second)
		w.start()
		time.Sleep(2 * time.Second)
		first.kill()
		w.start()
		w.awaitDrained(10 * time.Minute)
	})
}

// TestPromise2_KilledAtEveryStep kills the replica at each step of an event's path and lets another
// one go on: nothing is lost, and nothing is committed too early.
func TestPromise2_KilledAtEveryStep(t *testing.T) {
	t.Parallel()
	const victim = 7
	onCall := func(w *world, kill func()) {
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(victim) {
				kill()
			}
			return verdict(consumer.Deleted, 0)
		})
	}
	onRequest := func(w *world, key kmsg.Key, topic string, kill func()) {
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Observe: true, Count: 1, When: func(kmsg.Request) bool {
			kill()
			return true
		}})
	}
	permanent := func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) }
	for _, tc := range []struct {
		step    string
		arrange func(w *world, kill func())
		letters int
	}{
		{"before the call", func(_ *world, kill func()) { kill() }, 0},
		{"during the call", onCall, 0},
		{"after the call, before the commit", func(w *world, kill func()) { onRequest(w, kmsg.OffsetCommit, testTopic, kill) }, 0},
		{"before the dead letter is acknowledged", func(w *world, kill func()) {
			w.api.set(50*time.Millisecond, permanent)
			onRequest(w, kmsg.Produce, testDLT, kill)
		}, 20},
		{"after the dead letter, before the commit", func(w *world, kill func()) {
			w.api.set(50*time.Millisecond, permanent)
			onRequest(w, kmsg.OffsetCommit, testTopic, kill)
		}, 20},
	} {
		t.Run(tc.step, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				w.guardCommits()
				w.publishNumbered(1, 20)
				var killed atomic.Bool
				r := w.start()
				tc.arrange(w, func() {
					if killed.CompareAndSwap(false, true) {
						r.net.Sever()
						r.cancel()
					}
				})
				<-r.done
				w.start()
				w.awaitDrained(5 * time.Minute)
				if n := len(w.letterKeys()); n != tc.letters {
					t.Errorf("%d dead letters, want %d", n, tc.letters)
				}
			})
		})
	}
}

// bothWays is how many requests a commit takes that fails: over the pool, and over new connections.
const bothWays = 2

// failCommits makes so many commits of an offset of the first partition fail.
func (w *world) failCommits(n int, offset int64, err *kerr.Error) *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: err, Count: n * bothWays,
		When: func(r kmsg.Request) bool {
			c, _ := r.(*kmsg.OffsetCommitRequest)
			return c.Topics[0].Partitions[0].Offset == offset
		},
	})
}

// TestPromise6_FailedCommitIsMadeUpFor: what a commit that failed was about is committed by the next one, though nothing has
// ended since.
func TestPromise6_FailedCommitIsMadeUpFor(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		failed := w.failCommits(1, 1, kerr.UnknownServerError)
		w.publish(0, eventValue(0))
		w.start()
		w.awaitDrained(10 * time.Second)
		if n := failed.Hits(); n != bothWays {
			t.Errorf("%d commits failed, want %d", n, bothWays)
		}
	})
}

// TestPromise6_LastCommitIsTriedAgain: a stop waits for a coordinator that is away for a moment. What ended last is not done
// twice.
func TestPromise6_LastCommitIsTriedAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		failed := w.failCommits(1, 1, kerr.NotCoordinator)
		w.api.set(1500*time.Millisecond, nil)
		w.publish(0, eventValue(0))
		r := w.start()
		w.await(10*time.Second, "the call", func() bool { return len(w.api.made()) == 1 })
		if took := r.stop(); took > 5*time.Second {
			t.Errorf("stop took %s", took)
		}
		if n := failed.Hits(); n != bothWays {
			t.Errorf("%d commits failed, want %d", n, bothWays)
		}
		w.start()
		w.awaitDrained(time.Minute)
		time.Sleep(10 * time.Second)
		w.wantDeletedOnce(0, 1)
	})
}

// TestPromise6_LastCommitOutlastsALostCoordinator: where the member goes on, and could not join without a coordinator either, the
// last commit of its generation waits longer for one than a stop does.
func TestPromise6_LastCommitOutlastsALostCoordinator(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		const away = 11 // seconds, a commit in each; the session lasts 12 since the one before
		failed := w.failCommits(away, 1, kerr.NotCoordinator)
		w.api.set(1200*time.Millisecond, nil)
		w.publish(0, eventValue(0))
		w.start()
		w.await(10*time.Second, "the call", func() bool { return len(w.api.made()) == 1 })
		w.start()
		w.awaitDrained(time.Minute)
		time.Sleep(time.Minute)
		w.wantDeletedOnce(0, 1)
		if n := failed.Hits(); n != away*bothWays {
			t.Errorf("%d commits failed, want %d", n, away*bothWays)
		}
	})
}

// TestPromise6_LongDrainKeepsTheMember: while a generation drains, nothing but commits says that the member is alive. A call that
// takes longer than a session, with nothing else to commit meanwhile, is not done twice.
func TestPromise6_LongDrainKeepsTheMember(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.api.set(14*time.Second, nil)
		w.publish(0, eventValue(0))
		patient := func(c *consumer.Config) { c.DrainTimeout = 30 * time.Second }
		w.start(patient)
		w.await(10*time.Second, "the call", func() bool { return len(w.api.made()) == 1 })
		w.start(patient)
		w.awaitDrained(time.Minute)
		time.Sleep(time.Minute)
		w.wantDeletedOnce(0, 1)
	})
}

// TestFencedMemberWritesNothingMore: once a commit says that the partitions are somebody else's, no call begins, and a dead letter
// that waits to be tried again is left to the next owner.
func TestFencedMemberWritesNothingMore(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var fenced atomic.Pointer[time.Time]
		isFenced := func(kmsg.Request) bool { return fenced.Load() != nil }
		refused := w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.TopicAuthorizationFailed, Count: -1,
			When: func(r kmsg.Request) bool { return !isFenced(r) },
		})
		outside := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, TopLevel: true, Err: kerr.CoordinatorNotAvailable, Count: -1, When: isFenced})
		w.start(func(c *consumer.Config) { c.CallsPerSecond = 10 })
		w.publish(0, []byte("garbage"))
		w.await(time.Minute, "a letter that waits", func() bool { return refused.Hits() == 5 })
		w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: kerr.UnknownMemberID, Count: 1,
			When: func(kmsg.Request) bool {
				now := time.Now()
				return fenced.CompareAndSwap(nil, &now)
			},
		})
		w.publish(0, eventValues(1, 100)...)
		time.Sleep(30 * time.Second) // more than the drain timeout, and than the letter waits for
		for _, c := range w.api.made() {
			if late := c.began.Sub(*fenced.Load()); late > 0 {
				t.Errorf("a call %s after the commit that was fenced", late)
			}
		}
		if n := len(w.deadLetters()); n != 0 {
			t.Errorf("%d dead letters by a member that is no more", n)
		}
		outside.Remove()
		w.awaitDrained(time.Minute)
		if n := len(w.deadLetters()); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
	})
}

// TestBrokerRefusesMetadata: without room for the list of finished offsets, plain offsets are committed.
func TestBrokerRefusesMetadata(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: kerr.OffsetMetadataTooLarge, Count: -1,
			When: func(r kmsg.Request) bool {
				c, _ := r.(*kmsg.OffsetCommitRequest)
				for _, t := range c.Topics {
					for _, p := range t.Partitions {
						if p.Metadata != nil && *p.Metadata != "" {
							return true
						}
					}
				}
				return false
			},
		})
		w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(0) && before < 4 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 300)...)
		w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 300)
	})
}
