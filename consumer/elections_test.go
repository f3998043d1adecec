package consumer_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// tail is the end of the first partition's log that only one node has.
type tail struct {
	w         *world
	dir, kept string
}

// withTail runs test in a world whose brokers keep their data, so that some of it can be lost.
func withTail(t *testing.T, test func(*tail)) {
	t.Helper()
	dir := t.TempDir()
	inWorld(t, worldOptions{brokers: 2, kafka: []kfake.Opt{kfake.DataDir(dir)}}, func(w *world) { test(&tail{w: w, dir: dir}) })
}

// begin says that from now on only one node has what is appended.
func (l *tail) begin() {
	l.kept = l.w.t.TempDir()
	l.whileDown(func(partition string) { copyDir(l.w.t, l.kept, partition) })
}

// lose makes a node the leader that has none of it, once all brokers have been away.
func (l *tail) lose() {
	l.whileDown(func(partition string) {
		if err := os.RemoveAll(partition); err != nil {
			l.w.t.Fatal(err)
		}
		copyDir(l.w.t, partition, l.kept)
	})
	l.w.elect(0)
}

func (l *tail) whileDown(do func(partition string)) {
	l.w.t.Helper()
	l.w.client.Close()
	l.w.kafka.Close()
	found, err := filepath.Glob(filepath.Join(l.dir, "partitions", testTopic+"-0"))
	if err != nil || len(found) != 1 {
		l.w.t.Fatalf("%q, %v", found, err)
	}
	do(found[0])
	l.w.kafka = kfake.MustCluster(l.w.brokers...)
	l.w.client = l.w.newClient()
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// elect makes a node the leader of the first partition, with a new epoch.
func (w *world) elect(node int32) {
	w.t.Helper()
	if err := w.kafka.MoveTopicPartition(testTopic, 0, node); err != nil {
		w.t.Fatal(err)
	}
}

// TestUncleanElectionWhileOff: a node that had less of the log became the leader while the service was off, and other events
// got the offsets of those that are gone. They are read, and what is still there is not repeated.
func TestUncleanElectionWhileOff(t *testing.T) {
	t.Parallel()
	for name, stuck := range map[string]int{"all had ended": -1, "one had not": 40} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withTail(t, func(l *tail) {
				w := l.w
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if stuck >= 0 && c.Conversation == conversation(stuck) {
						return verdict(consumer.Throttled, 60007)
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, 50)...)
				l.begin()
				w.publish(0, eventValues(50, 150)...)
				r := w.start()
				w.await(time.Minute, "all deleted that can be", func() bool { return w.deleted(0, 150) >= 149 })
				time.Sleep(time.Second)
				r.stop()
				l.lose()
				w.publish(0, eventValues(1000, 1200)...)
				w.api.set(50*time.Millisecond, nil)
				r = w.start()
				w.awaitDrained(time.Minute)
				w.wantDeletedOnce(0, 150)
				w.wantDeletedOnce(1000, 1200)
				if n := r.metric("convdel_offset_resets_total"); n != 1 {
					w.t.Errorf("%v resets", n)
				}
				if log := w.log.String(); !strings.Contains(log, `level=ERROR msg="the log was cut below what has been read`) {
					w.t.Error("nothing says so")
				}
			})
		})
	}
}

// TestElectionsRepeatNothing: leaders that have all of the log come and go, and are asked whether they do.
func TestElectionsRepeatNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{brokers: 3}, func(w *world) {
		t := w.t
		w.guardCommits()
		asked := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Observe: true, Count: -1})
		r := w.start()
		published := 0
		for n := range 16 {
			w.publishSome(&published, 30)
			w.elect(int32(n % 3))
			time.Sleep(time.Duration(100+317*n) * time.Millisecond)
			w.publishSome(&published, 1+n)
		}
		w.awaitDrained(time.Minute)
		r.stop()
		w.elect(1)
		w.publishSome(&published, 10)
		again := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, published)
		if asked.Hits() < 10 {
			t.Errorf("leaders were asked %d times", asked.Hits())
		}
		if n := r.metric("convdel_offset_resets_total") + again.metric("convdel_offset_resets_total"); n != 0 || strings.Contains(w.log.String(), "level=ERROR") {
			t.Errorf("%v resets, or errors in the log", n)
		}
		if n := r.metric("convdel_generations_total"); n != 1 {
			t.Errorf("%v generations", n)
		}
		if epoch := w.kafka.GroupInfo(testGroup).Commits[testTopic][0].LeaderEpoch; epoch != 17 {
			t.Errorf("the offset was committed with leader epoch %d, want 17", epoch)
		}
	})
}

func (w *world) publishSome(published *int, n int) {
	w.t.Helper()
	w.publish(0, eventValues(*published, *published+n)...)
	*published += n
}

// TestUncleanElectionWhileRunning: a new leader's log ends below what has been read. The partition is opened anew where it was
// cut, and nothing that was read beyond it is committed.
func TestUncleanElectionWhileRunning(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{brokers: 2, partitions: 2}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 100)...)
		w.publish(1, eventValues(200, 220)...)
		r := w.start()
		w.awaitDrained(time.Minute)
		w.api.set(3*time.Second, nil)
		w.publish(0, eventValues(100, 110)...)
		w.publish(1, eventValues(220, 230)...)
		w.await(10*time.Second, "calls under way", func() bool { return len(w.api.made()) == 140 })
		// told says that the replica knows that the log was cut, anew that it has begun to read it there. They are used only on the broker's
		// goroutine.
		var told, anew bool
		w.endEpochsAt(60, func() { told = true })
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			f, _ := req.(*kmsg.FetchRequest)
			for _, t := range f.Topics {
				for _, p := range t.Partitions {
					anew = anew || told && p.Partition == 0 && p.FetchOffset == 60
				}
			}
			return nil, nil, false
		})
		w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			c, _ := req.(*kmsg.OffsetCommitRequest)
			for _, p := range c.Topics[0].Partitions {
				if p.Partition == 0 && p.Offset > 60 && told && !anew {
					w.t.Errorf("%d committed after the replica was told that the log ends at 60", p.Offset)
				}
			}
			return nil, nil, false
		})
		w.elect(1 - w.kafka.LeaderFor(testTopic, 0))
		time.Sleep(10 * time.Second)
		w.awaitDrained(time.Minute)
		deletes := w.api.deletes()
		for n := range 230 {
			want := 1
			switch {
			case n >= 110 && n < 200:
				want = 0
			case n >= 60 && n < 110: // to a reader they are what was appended since
				want = 2
			}
			if got := deletes[conversation(n)]; got != want {
				t.Errorf("event %d deleted %d times, want %d", n, got, want)
			}
		}
		if n := r.metric("convdel_offset_resets_total"); n != 1 {
			t.Errorf("%v resets", n)
		}
	})
}

// TestLogShorterThanThePosition: a fetch beyond the end of a log that was cut goes on where it was cut, not at its start.
func TestLogShorterThanThePosition(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.publish(0, eventValues(0, 100)...)
		r := w.start()
		w.awaitDrained(time.Minute)
		var told atomic.Bool
		w.endEpochsAt(60, func() { told.Store(true) })
		w.kafka.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			q, _ := req.(*kmsg.ListOffsetsRequest)
			if told.Load() || q.Topics[0].Partitions[0].Timestamp != -1 {
				return nil, nil, false
			}
			a, _ := q.ResponseKind().(*kmsg.ListOffsetsResponse)
			topic, p := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
			topic.Topic, p.Offset = testTopic, 60
			topic.Partitions = append(topic.Partitions, p)
			a.Topics = append(a.Topics, topic)
			return a, nil, true
		})
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.OffsetOutOfRange, Count: 1})
		w.await(time.Minute, "the end of the log deleted again", func() bool { return w.api.deletes()[conversation(99)] == 2 })
		time.Sleep(time.Second)
		deletes := w.api.deletes()
		for n := range 100 {
			if got := deletes[conversation(n)]; got != 1+n/60 {
				w.t.Errorf("event %d deleted %d times", n, got)
			}
		}
		if n := r.metric("convdel_offset_resets_total"); n != 1 {
			w.t.Errorf("%v resets", n)
		}
	})
}

// endEpochsAt makes leaders of the first partition say that any epoch ended there.
func (w *world) endEpochsAt(end int64, told func()) {
	w.kafka.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.kafka.KeepControl()
		q, _ := req.(*kmsg.OffsetForLeaderEpochRequest)
		asked := q.Topics[0].Partitions[0]
		if asked.Partition != 0 {
			return nil, nil, false
		}
		told()
		a, _ := q.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic, p := kmsg.NewOffsetForLeaderEpochResponseTopic(), kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		topic.Topic = q.Topics[0].Topic
		p.Partition, p.LeaderEpoch, p.EndOffset = asked.Partition, asked.LeaderEpoch, end
		topic.Partitions = append(topic.Partitions, p)
		a.Topics = append(a.Topics, topic)
		return a, nil, true
	})
}
