package consumer_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// ofApp makes a replica one of an app's, which has an API of its own.
func ofApp(app string, api consumer.API) func(*consumer.Config) {
	return func(c *consumer.Config) { c.App, c.API = app, api }
}

// guardStamps fails the test where an app commits over the stamp of another one that it has not adopted.
func (w *world) guardStamps() {
	owners := make(map[int32]string) // used only on the broker's goroutine
	w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		c, _ := req.(*kmsg.OffsetCommitRequest)
		for _, p := range c.Topics[0].Partitions {
			app := stampedApp(*p.Metadata)
			if was := owners[p.Partition]; was != "" && was != app && c.Generation >= 0 {
				w.t.Errorf("%s commits partition %d, which was stamped by %s", app, p.Partition, was)
			}
			owners[p.Partition] = app
		}
		return nil, nil, false
	})
}

func stampedApp(metadata string) string {
	for word := range strings.FieldsSeq(metadata) {
		if app, ok := strings.CutPrefix(word, "app="); ok {
			return app
		}
	}
	return ""
}

func wantTaken(t *testing.T, err error, app string) {
	t.Helper()
	var taken *consumer.GroupTakenError
	if !errors.As(err, &taken) || taken.App != app || taken.DeadLetterTopic != testDLT {
		t.Errorf("Run returned %v, want a GroupTakenError of app %s and %s", err, app, testDLT)
	}
}

// TestTwoAppsInOneGroup: a replica of another app does not join, and executes nothing.
func TestTwoAppsInOneGroup(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		w.guardStamps()
		other := newFakeAPI()
		r := w.start(ofApp("1400000001", w.api))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		stop := w.publishSteadily(4)
		wantTaken(w.t, w.start(ofApp("1400000002", other)).failed(), "1400000001")
		wantTaken(w.t, w.start(ofApp("1400000001", other), func(c *consumer.Config) { c.DeadLetterTopic = testTopic + ".dead" }, makingTopics).failed(), "1400000001")
		published := stop()
		w.awaitDrained(time.Minute)
		if n := r.metric("convdel_generations_total"); n != 1 {
			w.t.Errorf("%v generations: who is turned away has joined", n)
		}
		r.stop()
		wantTaken(w.t, w.start(ofApp("1400000002", other)).failed(), "1400000001")
		w.wantDeletedOnce(0, published)
		if n := len(other.made()); n != 0 {
			w.t.Errorf("%d calls through the other app", n)
		}
	})
}

func makingTopics(c *consumer.Config) { c.CreateTopics = true }

// publishSteadily publishes an event every 20 ms, to one partition after the other, until stop is called, which returns how
// many they were.
func (w *world) publishSteadily(partitions int32) (stop func() int) {
	var over atomic.Bool
	done := make(chan struct{})
	published := 0
	go func() {
		defer close(done)
		for ; !over.Load(); published++ {
			w.publish(int32(published)%partitions, eventValue(published))
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() int {
		over.Store(true)
		<-done
		return published
	}
}

// TestTwoAppsStartAtOnce: of two replicas of two apps that start at the same moment, in a group that nobody has stamped, at
// most one works, and as soon as one has stamped an offset the other executes nothing more.
func TestTwoAppsStartAtOnce(t *testing.T) {
	t.Parallel()
	for _, former := range []bool{false, true} {
		for gap := range 25 {
			t.Run(fmt.Sprintf("former %t, %d ms", former, gap), func(t *testing.T) {
				t.Parallel()
				inWorld(t, worldOptions{partitions: 4}, func(w *world) { twoAppsStart(w, former, time.Duration(gap)*time.Millisecond) })
			})
		}
	}
}

func twoAppsStart(w *world, former bool, gap time.Duration) {
	if former { // offsets of a version that stamps no app
		w.commitPlain("convdel1:", 0, 0, 0, 0)
	}
	one, two := w.api, newFakeAPI()
	for p := range int32(4) {
		w.publish(p, eventValues(int(p)*100, int(p)*100+50)...)
	}
	a := w.start(ofApp("1400000001", one))
	time.Sleep(gap)
	b := w.start(ofApp("1400000002", two))
	time.Sleep(30 * time.Second)
	lost := 0
	for _, r := range []*replica{a, b} {
		if alive(r) {
			continue
		}
		lost++
		var taken *consumer.GroupTakenError
		if err := r.failed(); !errors.As(err, &taken) {
			w.t.Errorf("Run returned %v", err)
		}
	}
	if lost == 0 || lost == 2 && !former {
		w.t.Errorf("%d of two replicas have ended", lost)
	}
	if x, y := len(one.made()), len(two.made()); x > 0 && y > 0 {
		w.t.Errorf("%d calls through one app, %d through the other", x, y)
	}
}

// TestTakenWhileJoining: the other app has stamped the offsets after this member has looked and before it has joined.
func TestTakenWhileJoining(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.guardStamps()
		w.publish(0, eventValues(0, 10)...)
		w.kafka.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.SleepControl(func() {
				w.commitPlain("convdel3 app=1400000002 letters="+testDLT+" at=0", 0, 0)
			})
			return nil, nil, false
		})
		wantTaken(w.t, w.start(ofApp("1400000001", w.api)).failed(), "1400000002")
		if n := len(w.api.made()); n != 0 {
			w.t.Errorf("%d calls", n)
		}
	})
}

// alive says whether a replica runs.
func alive(r *replica) bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// commitPlain commits offsets with some metadata, as no member, by partition.
func (w *world) commitPlain(metadata string, at ...int64) {
	w.t.Helper()
	offsets := kadm.Offsets{}
	for p, o := range at {
		offsets.Add(kadm.Offset{Topic: testTopic, Partition: int32(p), At: o, LeaderEpoch: -1, Metadata: metadata})
	}
	if err := kadm.NewClient(w.client).CommitAllOffsets(w.t.Context(), testGroup, offsets); err != nil {
		w.t.Fatal(err)
	}
}

// TestGroupIsAdopted: who is told to takes a group over, also while the one before works: that one says so and leaves.
func TestGroupIsAdopted(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		other := newFakeAPI()
		before := w.start(ofApp("1400000001", w.api), func(c *consumer.Config) { c.CallsPerSecond = 40 })
		w.await(time.Minute, "a generation", func() bool { return before.Status().Live })
		for p := range int32(4) { // more than is done before the other one has left, so that all partitions are taken over
			w.publish(p, eventValues(int(p)*300, int(p)*300+300)...)
		}
		time.Sleep(3 * time.Second)
		stamped := w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Observe: true, Count: -1, When: func(r kmsg.Request) bool {
				c, _ := r.(*kmsg.OffsetCommitRequest)
				return stampedApp(*c.Topics[0].Partitions[0].Metadata) == "1400000002"
			},
		})
		after := w.start(ofApp("1400000002", other), func(c *consumer.Config) { c.Adopt = "1400000001" })
		w.await(time.Minute, "a stamp", func() bool { return stamped.Hits() > 0 })
		at := time.Now()
		w.await(time.Minute, "the one before has left", func() bool { return !alive(before) })
		wantTaken(t, before.failed(), "1400000002")
		if took := time.Since(at); took > 8*time.Second {
			t.Errorf("the one before left after %s", took)
		}
		if !strings.Contains(w.log.String(), "level=ERROR") {
			t.Error("it did not say so")
		}
		w.awaitDrained(5 * time.Minute)
		deletes, others := w.api.deletes(), other.deletes()
		for n := range 1200 {
			if got := deletes[conversation(n)] + others[conversation(n)]; got != 1 {
				t.Errorf("event %d deleted %d times", n, got)
			}
		}
		after.stop()
		wantTaken(t, w.start(ofApp("1400000001", w.api)).failed(), "1400000002")
		again := w.start(ofApp("1400000002", other)) // it is its own by now
		w.await(time.Minute, "a generation", func() bool { return again.Status().Live })
	})
}

// TestMovedGroup: a tool that moves a group and writes back the metadata that it has read skips nothing, in whatever way it
// does so.
func TestMovedGroup(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		to    int64
		write func(*kadm.Offset)
	}{
		"back, with all that was read":     {50, func(*kadm.Offset) {}},
		"back, with the epoch of a client": {50, func(o *kadm.Offset) { o.LeaderEpoch = 0 }},
		"back, without metadata":           {50, func(o *kadm.Offset) { o.Metadata = "" }},
		"on, into what has ended":          {120, func(*kadm.Offset) {}},
		"back, with an old list":           {50, func(o *kadm.Offset) { o.Metadata = "convdel1:AWM" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if c.Conversation == conversation(100) {
						return verdict(consumer.Throttled, 60007)
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, 200)...)
				r := w.start(ofApp("1400000001", w.api))
				w.await(time.Minute, "all but one deleted", func() bool { return w.deleted(0, 200) == 199 })
				time.Sleep(time.Second)
				r.stop()
				before := w.api.deletes()
				adm := kadm.NewClient(w.client)
				found, err := adm.FetchOffsets(t.Context(), testGroup)
				if err != nil {
					t.Fatal(err)
				}
				offset := found.Offsets()[testTopic][0]
				if offset.At != 100 || !strings.Contains(offset.Metadata, " done=r") {
					t.Fatalf("%d committed with %q", offset.At, offset.Metadata)
				}
				offset.At = test.to
				test.write(&offset)
				moved := kadm.Offsets{}
				moved.Add(offset)
				if err := adm.CommitAllOffsets(t.Context(), testGroup, moved); err != nil {
					t.Fatal(err)
				}
				w.api.set(50*time.Millisecond, nil)
				w.start(ofApp("1400000001", w.api))
				w.awaitDrained(time.Minute)
				deletes := w.api.deletes()
				for n := range 200 {
					want := 0
					if int64(n) >= test.to {
						want = 1
					}
					if got := deletes[conversation(n)] - before[conversation(n)]; got != want {
						t.Errorf("event %d deleted %d times after the move, want %d", n, got, want)
					}
				}
			})
		})
	}
}

// TestFormerCommitsGoOn: offsets that a version before this one has committed count; what its list covers is done again.
func TestFormerCommitsGoOn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.publish(0, eventValues(0, 100)...)
		w.commitPlain("convdel-topic1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA convdel1:AQk", 40)
		w.start(ofApp("1400000001", w.api))
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(40, 100)
		if n := w.deleted(0, 40); n != 0 {
			w.t.Errorf("%d events below the offset deleted", n)
		}
	})
}
