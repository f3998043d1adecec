package consumer_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestTopicRecreated deletes the topic and makes it anew, while nobody looks and under a running
// replica: the new log is read from its start, whether it ends before the old position or behind it. By
// the time a running replica knows, it may have committed offsets of the one as the other's.
func TestTopicRecreated(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		for _, fresh := range []int{50, 300} {
			t.Run(fmt.Sprintf("running=%t,fresh=%d", running, fresh), func(t *testing.T) {
				t.Parallel()
				inWorld(t, worldOptions{}, func(w *world) {
					w.publish(0, eventValues(0, 100)...)
					r := w.start()
					w.awaitDrained(time.Minute)
					if !running {
						r.stop()
					}
					w.recreateTopic()
					w.publish(0, eventValues(200, 200+fresh)...)
					if !running {
						w.start()
					}
					w.await(2*time.Minute, "the new log deleted", func() bool {
						return w.deleted(0, 100) == 100 && w.deleted(200, 200+fresh) == fresh
					})
					w.awaitDrained(time.Minute)
					w.wantDeletedOnce(0, 100)
					if !running || fresh < 100 { // otherwise the end of the new log was taken for that of the old
						w.wantDeletedOnce(200, 200+fresh)
					}
				})
			})
		}
	}
}

// TestOffsetsOfAFormerTopic: offsets that were committed of a topic that is no more do not count for the one that has
// its name, even if no broker has removed them.
func TestOffsetsOfAFormerTopic(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.publish(0, eventValues(0, 100)...)
		w.start()
		w.awaitDrained(time.Minute)
		w.replicas[0].stop()
		former := w.kafka.GroupInfo(testGroup).Commits[testTopic][0]
		w.recreateTopic()
		w.publish(0, eventValues(200, 500)...)
		offsets := kadm.Offsets{}
		offsets.Add(kadm.Offset{Topic: testTopic, At: former.Offset, LeaderEpoch: -1, Metadata: former.Metadata})
		if err := kadm.NewClient(w.client).CommitAllOffsets(t.Context(), testGroup, offsets); err != nil {
			t.Fatal(err)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(200, 500)
		if n := r.metric("convdel_offset_resets_total"); n != 1 {
			t.Errorf("%v resets of offsets in the metrics", n)
		}
	})
}

// TestTopicGone: while the topic is not there, generations follow each other at a bearable pace.
func TestTopicGone(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start()
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		if err := w.kafka.DeleteTopic(testTopic); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n := r.metric("convdel_generations_total"); n > 130 {
			t.Errorf("%v generations in two minutes without the topic", n)
		}
	})
}

// recreateTopic deletes the topic and makes it anew, with one partition.
func (w *world) recreateTopic() {
	w.t.Helper()
	if err := w.kafka.DeleteTopic(testTopic); err != nil {
		w.t.Fatal(err)
	}
	if err := w.kafka.CreateTopic(testTopic, 1, nil); err != nil {
		w.t.Fatal(err)
	}
	w.renewClient()
}

// TestPlainCommitsAndATopicMadeAnew: a broker that refuses lists of finished offsets still keeps which topic they are of.
func TestPlainCommitsAndATopicMadeAnew(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.OffsetCommit}, Topic: testTopic, Err: kerr.OffsetMetadataTooLarge, Count: -1,
			When: func(r kmsg.Request) bool {
				c, _ := r.(*kmsg.OffsetCommitRequest)
				metadata := c.Topics[0].Partitions[0].Metadata
				return metadata != nil && len(*metadata) > 48 // more than the topic's identity
			},
		})
		w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(0) && before < 2 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		r := w.start()
		w.publish(0, eventValues(0, 100)...)
		w.awaitDrained(time.Minute)
		unread := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.NotLeaderForPartition, Count: -1})
		time.Sleep(600 * time.Millisecond)
		w.recreateTopic()
		w.publish(0, eventValues(1000, 1300)...)
		unread.Remove()
		time.Sleep(2500 * time.Millisecond) // less than it takes to notice
		r.stop()
		w.start()
		w.await(5*time.Minute, "all of the new topic deleted", func() bool { return len(w.api.deletes()) == 400 })
	})
}
