package consumer_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// TestPartitionsAdded: new partitions are found and read.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.publish(1, eventValues(0, 50)...)
		w.start()
		w.awaitDrained(time.Minute)
		if _, err := kadm.NewClient(w.client).CreatePartitions(t.Context(), 2, testTopic); err != nil {
			t.Fatal(err)
		}
		w.renewClient()
		time.Sleep(10 * time.Second)
		w.publish(3, eventValues(50, 100)...)
		w.await(2*time.Minute, "events of the new partition deleted", func() bool { return len(w.api.deletes()) == 100 })
		w.awaitDrained(time.Minute)
	})
}

// TestPromise3_SharesOfNewPartitions adds a partition and makes the group share them out at once, again and again: whatever
// brokers and clients remember of the topic, each owner has its part of the quota, and all together have no more than it.
func TestPromise3_SharesOfNewPartitions(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		first := w.start()
		w.await(time.Minute, "a generation", func() bool { return first.Status().Partitions == 1 })
		for n := 2; n <= 8; n++ {
			w.addPartition()
			second := w.start()
			w.await(time.Minute, "a generation of both", func() bool {
				return first.Status().Partitions+second.Status().Partitions == n && second.Status().Partitions > 0
			})
			time.Sleep(time.Second)
			for range 100 {
				a, b := first.metric("convdel_quota_calls_per_second"), second.metric("convdel_quota_calls_per_second")
				if a == 0 || b == 0 || a+b != 200 {
					t.Errorf("with %d partitions, of which they have %d and %d, the replicas make %g and %g calls a second",
						n, first.Status().Partitions, second.Status().Partitions, a, b)
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			second.stop()
			w.await(time.Minute, "a generation of one", func() bool { return first.Status().Partitions == n })
		}
	})
}

// addPartition adds one partition to the topic.
func (w *world) addPartition() {
	w.t.Helper()
	res, err := kadm.NewClient(w.client).CreatePartitions(context.Background(), 1, testTopic)
	if err == nil {
		err = res.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}
