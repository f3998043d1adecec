package consumer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// from sets where a replica begins.
func from(s consumer.Start) func(*consumer.Config) {
	return func(c *consumer.Config) { c.Start = s }
}

// failed waits for Run's error.
func (r *replica) failed() error {
	r.w.t.Helper()
	r.w.await(5*time.Minute, "Run returns an error", func() bool { return !alive(r) })
	err := r.err
	r.err = nil
	return err
}

// publishAged writes events whose records are of some age.
func (w *world) publishAged(partition int32, age time.Duration, values ...[]byte) {
	w.t.Helper()
	for _, v := range values {
		w.produce(&kgo.Record{Topic: testTopic, Partition: partition, Value: v, Timestamp: time.Now().Add(-age)})
	}
}

// outsiders are the commits that nobody made as a member.
func (w *world) outsiders() *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Observe: true, Count: -1, When: isOutsider})
}

func isOutsider(r kmsg.Request) bool {
	c, _ := r.(*kmsg.OffsetCommitRequest)
	return c.Generation == -1 && c.MemberID == ""
}

// TestPromise10_OldTopicIsNotRepeatedUnasked: a group without offsets, by a mistyped name say, does not execute a topic whose
// oldest record is older than an hour.
func TestPromise10_OldTopicIsNotRepeatedUnasked(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		w.publishAged(1, 30*time.Hour, eventValues(0, 10)...)
		w.publish(2, eventValues(10, 15)...)
		for range 2 { // nothing has been decided, nor will it be by itself
			var undecided *consumer.StartError
			err := w.start(from(consumer.Start{})).failed()
			if !errors.As(err, &undecided) || undecided.Records != 15 || undecided.Oldest.Round(time.Hour) != 30*time.Hour || undecided.Err != nil {
				t.Fatalf("Run returned %v, want a StartError of 15 records, the oldest 30 h old", err)
			}
		}
		if n := len(w.api.made()); n > 0 || len(w.committed()) > 0 {
			t.Errorf("%d calls, %v committed", n, w.committed())
		}
	})
}

// TestPromise10_RecordsWithoutATimeCountAsOld: what may be old is not executed unasked.
func TestPromise10_RecordsWithoutATimeCountAsOld(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(1), Timestamp: time.UnixMilli(-1)})
		var undecided *consumer.StartError
		if err := w.start(from(consumer.Start{})).failed(); !errors.As(err, &undecided) {
			w.t.Errorf("Run returned %v", err)
		}
	})
}

// TestStartIsDecidedOnce: the decision is committed before the group has a member. A restart does not decide anew, however old
// the topic is by then, and whatever it is told.
func TestStartIsDecidedOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		outsiders := w.outsiders()
		r := w.start(from(consumer.Start{}))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		if got := w.committed(); len(got) != 3 || got[0] != 0 || got[1] != 0 || got[2] != 0 {
			t.Errorf("%v committed of an empty topic", got)
		}
		r.stop()
		w.publish(0, eventValues(0, 20)...)
		w.publish(1, eventValues(20, 40)...)
		time.Sleep(3 * time.Hour)
		w.start(from(consumer.StartLatest()))
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 40)
		if n := outsiders.Hits(); n != 1 {
			t.Errorf("%d decisions committed", n)
		}
	})
}

// TestStartRecent: a topic whose oldest record is younger than an hour is read from there, also if an open transaction keeps
// that record from being read.
func TestStartRecent(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		upstream := w.newProducer("upstream")
		upstream.begin()
		upstream.publish(0)
		w.publishAged(1, 59*time.Minute, eventValues(1, 10)...)
		w.start(from(consumer.Start{}))
		w.await(time.Minute, "the events of the other partition deleted", func() bool { return w.deleted(1, 10) == 9 })
		upstream.end(kgo.TryCommit)
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 10)
	})
}

// TestStartLatestAndAtATime: what the operator has left out is left out, and nothing else.
func TestStartLatestAndAtATime(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start func() consumer.Start
		first int
	}{
		"earliest":         {consumer.StartEarliest, 0},
		"latest":           {consumer.StartLatest, 40},
		"a time":           {func() consumer.Start { return consumer.StartAt(time.Now().Add(-26 * time.Hour)) }, 20},
		"a time before":    {func() consumer.Start { return consumer.StartAt(time.Now().Add(-1000 * time.Hour)) }, 0},
		"a time after all": {func() consumer.Start { return consumer.StartAt(time.Now()) }, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				for i := range 4 {
					w.publishAged(1, time.Duration(50-12*i)*time.Hour, eventValues(10*i, 10*i+10)...)
				}
				r := w.start(from(test.start()))
				w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
				time.Sleep(time.Second)
				w.publish(1, eventValues(40, 50)...)
				w.awaitDrained(time.Minute)
				w.wantDeletedOnce(test.first, 50)
				if n := w.deleted(0, test.first); n != 0 {
					w.t.Errorf("%d events deleted that were left out", n)
				}
			})
		})
	}
}

// TestTwoMembersStartAtOnce: they may see different ends of the topic. The decision that was committed last is both's.
func TestTwoMembersStartAtOnce(t *testing.T) {
	t.Parallel()
	for gap := range 12 {
		inWorld(t, worldOptions{partitions: 2}, func(w *world) {
			joins := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Observe: true, Count: -1})
			begin := make(map[int32]int64) // written only on the broker's goroutine, and read when it is idle
			w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
				w.kafka.KeepControl()
				c, _ := r.(*kmsg.OffsetCommitRequest)
				if isOutsider(r) && joins.Hits() == 0 { // later ones are refused
					for _, p := range c.Topics[0].Partitions {
						begin[p.Partition] = p.Offset
					}
				}
				return nil, nil, false
			})
			w.publish(0, eventValues(0, 10)...)
			w.start(from(consumer.StartLatest()))
			for n := range gap {
				w.publish(0, eventValue(10+n))
				time.Sleep(time.Millisecond)
			}
			w.start(from(consumer.StartLatest()))
			for n := 10 + gap; n < 40; n++ {
				w.publish(0, eventValue(n))
				time.Sleep(time.Millisecond)
			}
			w.awaitDrained(time.Minute)
			w.stopAll()
			if begin[0] < 10 {
				w.t.Errorf("it begins at %d", begin[0])
			}
			w.wantDeletedOnce(int(begin[0]), 40)
			if n := w.deleted(0, int(begin[0])); n != 0 {
				w.t.Errorf("%d events deleted before the beginning at %d", n, begin[0])
			}
		})
	}
}

// TestStartOfAGroupWithMembers: brokers take no decision while a group has members, those of an older version say. What would
// come to the same as having none goes on; everything else is an error.
func TestStartOfAGroupWithMembers(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 10)...)
		older := w.newClient(kgo.ConsumerGroup(testGroup), kgo.ConsumeTopics(testTopic), kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit())
		w.await(time.Minute, "a member", func() bool {
			info := w.kafka.GroupInfo(testGroup)
			return info != nil && info.State == "Stable"
		})
		var refused *consumer.StartError
		if err := w.start(from(consumer.StartLatest())).failed(); !errors.As(err, &refused) || !errors.Is(err, kafka.UnknownMemberId) {
			t.Errorf("Run returned %v, want a StartError that names the refusal", err)
		}
		r := w.start(from(consumer.Start{}))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		older.Close()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 10)
	})
}

// TestStartWaitsForTheGroup: a coordinator that is loading, or away, is no group without offsets.
func TestStartWaitsForTheGroup(t *testing.T) {
	t.Parallel()
	for _, verdict := range []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator} {
		inWorld(t, worldOptions{partitions: 2}, func(w *world) {
			w.publish(0, eventValues(0, 10)...)
			r := w.start(from(consumer.Start{}))
			w.awaitDrained(time.Minute)
			r.stop()
			w.publish(1, eventValues(10, 20)...)
			outsiders := w.outsiders()
			loading := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: verdict, Count: -1})
			w.start(from(consumer.StartLatest()))
			time.Sleep(time.Minute)
			loading.Remove()
			w.awaitDrained(time.Minute)
			w.wantDeletedOnce(0, 20)
			if n := outsiders.Hits(); n != 0 {
				w.t.Errorf("%d decisions committed", n)
			}
		})
	}
}

// TestStartCommittedInPart: what of a decision the broker has not taken is committed by the next attempt, as it was decided.
func TestStartCommittedInPart(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.publishAged(0, 2*time.Hour, eventValues(0, 10)...)
		w.publishAged(1, 2*time.Hour, eventValues(10, 20)...)
		w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Partitions: []int32{1}, Err: kerr.UnknownTopicOrPartition, Count: 3})
		r := w.start(from(consumer.StartLatest()))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		w.publish(1, eventValues(20, 30)...)
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(20, 30)
		if n := w.deleted(0, 20); n != 0 {
			w.t.Errorf("%d events deleted that were left out", n)
		}
	})
}

// TestStartSaysHowItBegan: the log has where a group begins, with counts; and which partitions were added since.
func TestStartSaysHowItBegan(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publishAged(0, 2*time.Hour, eventValues(0, 10)...)
		r := w.start(from(consumer.StartLatest()))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		if log := w.log.String(); !strings.Contains(log, `start=latest partitions=1 records_ahead=0 records_left_out=10 oldest_record_age=2h0m`) {
			t.Error("no line says that it begins at the end")
		}
		r.stop()
		w.addPartition()
		w.renewClient()
		w.publishAged(1, 2*time.Hour, eventValues(10, 20)...)
		w.start(from(consumer.StartLatest()))
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(10, 20)
		if log := w.log.String(); !strings.Contains(log, `partitions=[1] records_ahead=10`) {
			t.Error("no line says that the new partition begins at its first record")
		}
	})
}

// TestRemadeTopicBeginsAtItsFirstRecord: brokers forget a topic's offsets with it. Those who have worked on it take its
// successor for what it is, and no group without offsets for it.
func TestRemadeTopicBeginsAtItsFirstRecord(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.publish(0, eventValues(0, 10)...)
		r := w.start(from(consumer.StartLatest()))
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		w.recreateTopic()
		w.publishAged(0, 2*time.Hour, eventValues(10, 20)...)
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(10, 20)
	})
}

// TestOffsetsVanish: a group that loses all of its offsets while it works does not begin anywhere else than it would have.
func TestOffsetsVanish(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]consumer.Start{"recent": {}, "latest": consumer.StartLatest()} {
		inWorld(t, worldOptions{partitions: 2}, func(w *world) {
			r := w.start(from(start))
			w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
			w.publishAged(0, 65*time.Minute, eventValues(0, 10)...)
			w.awaitDrained(time.Minute)
			w.kafka.ControlKey(int16(kmsg.OffsetFetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
				w.kafka.KeepControl()
				q, _ := r.(*kmsg.OffsetFetchRequest)
				a, _ := q.ResponseKind().(*kmsg.OffsetFetchResponse)
				topic := kmsg.NewOffsetFetchResponseTopic()
				topic.Topic = testTopic
				for _, id := range q.Topics[0].Partitions {
					p := kmsg.NewOffsetFetchResponseTopicPartition()
					p.Partition, p.Offset = id, -1
					topic.Partitions = append(topic.Partitions, p)
				}
				a.Topics = append(a.Topics, topic)
				return a, nil, true
			})
			r.net.Cut()
			w.addPartition()
			var undecided *consumer.StartError
			if err := r.failed(); !errors.As(err, &undecided) {
				w.t.Errorf("%s: Run returned %v", name, err)
			}
			w.wantDeletedOnce(0, 10)
		})
	}
}
