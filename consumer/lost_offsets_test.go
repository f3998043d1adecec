package consumer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
)

// commitAs commits an offset of a partition as a tool does, with metadata of its choice, while the group has no members.
func (w *world) commitAs(partition int32, offset int64, metadata string) {
	w.t.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: testTopic, Partition: partition, At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := kadm.NewClient(w.client).CommitAllOffsets(w.t.Context(), testGroup, offsets); err != nil {
		w.t.Fatal(err)
	}
}

// metadataOf is what has been committed beside a partition's offset.
func (w *world) metadataOf(partition int32) string {
	w.t.Helper()
	offsets, err := kadm.NewClient(w.client).FetchOffsets(w.t.Context(), testGroup)
	if err != nil {
		w.t.Fatal(err)
	}
	o, _ := offsets.Lookup(testTopic, partition)
	return o.Metadata
}

// doneTwoHoursAgo has the topic hold events that are two hours old, in two partitions, all done.
func (w *world) doneTwoHoursAgo() {
	w.t.Helper()
	w.publish(0, eventValues(0, 50)...)
	w.publish(1, eventValues(50, 100)...)
	r := w.start()
	w.awaitDrained(time.Minute)
	r.stop()
	time.Sleep(2 * time.Hour)
}

func wantUndecided(t *testing.T, err error, what string) {
	t.Helper()
	var undecided *consumer.StartError
	if !errors.As(err, &undecided) || !strings.Contains(undecided.Error(), what) || undecided.Records != 50 {
		t.Errorf("Run returned %v, want a StartError that says %q of 50 records", err, what)
	}
}

// TestPromise10_AnOffsetBeyondTheEnd: an offset that somebody has mistyped does not have a partition executed again unasked.
func TestPromise10_AnOffsetBeyondTheEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		start consumer.Start
		want  int // calls; -1: Run ends
	}{{"recent", consumer.Start{}, -1}, {"latest", consumer.StartLatest(), 100}, {"earliest", consumer.StartEarliest(), 150}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				w.doneTwoHoursAgo()
				w.commitAs(1, 10458, w.metadataOf(1))
				r := w.start(from(test.start))
				if test.want < 0 {
					wantUndecided(w.t, r.failed(), "offset 10458 of events/1 is beyond the end of the log, 50")
					test.want = 100
				} else {
					time.Sleep(time.Minute)
					r.stop()
				}
				if n := len(w.api.made()); n != test.want {
					w.t.Errorf("%d calls, want %d", n, test.want)
				}
			})
		})
	}
}

// TestPromise10_AnOffsetThatIsLost: a partition that had an offset, and has none while others do, was not added later. It is not
// executed again unasked.
func TestPromise10_AnOffsetThatIsLost(t *testing.T) {
	t.Parallel()
	for _, lost := range []string{"removed", "negative"} {
		t.Run(lost, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				w.doneTwoHoursAgo()
				if lost == "negative" {
					w.commitAs(1, -5, "")
				} else if _, err := kadm.NewClient(w.client).DeleteOffsets(w.t.Context(), testGroup, kadm.TopicsSet{testTopic: {1: {}}}); err != nil {
					w.t.Fatal(err)
				}
				wantUndecided(w.t, w.start(from(consumer.Start{})).failed(), "partition events/1 has lost its offset")
				r := w.start(from(consumer.StartLatest()))
				time.Sleep(10 * time.Second)
				w.produce(&kgo.Record{Topic: testTopic, Partition: 1, Value: eventValue(100)})
				w.await(time.Minute, "the new event", func() bool { return w.deleted(100, 101) == 1 })
				r.stop()
				if n := len(w.api.made()); n != 101 {
					w.t.Errorf("%d calls, want 101", n)
				}
			})
		})
	}
}

// TestMetadataOfAnotherPartition: a tool that commits the same offset everywhere, with the metadata of one partition, has no event
// of another skipped.
func TestMetadataOfAnotherPartition(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.api.set(time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(0) {
				return verdict(consumer.Transient, 70107)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 50)...) // the first one fails, so that the others are in a list
		r := w.start()
		w.await(time.Minute, "49 deleted", func() bool { return w.deleted(1, 50) == 49 })
		r.stop()
		w.publish(1, eventValues(50, 100)...)
		metadata := w.metadataOf(0)
		if !strings.Contains(metadata, " done=") {
			w.t.Fatalf("no list in %q: the test needs one", metadata)
		}
		w.commitAs(1, 0, metadata)
		w.api.set(time.Millisecond, nil)
		w.start()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(50, 100)
	})
}
