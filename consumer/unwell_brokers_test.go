package consumer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// onWard starts a replica on a network with brokers that are unwell.
func (w *world) onWard(brokers []string) (*replica, *testkit.Ward) {
	ward := testkit.NewWard(w.network.DialContext)
	w.closers = append(w.closers, ward.Close)
	return w.start(func(c *consumer.Config) { c.Cluster.Brokers, c.Cluster.Dial = brokers, ward.DialContext }), ward
}

// TestUnwellBroker_Start: a broker of the list is of no use. The replica joins by the others.
func TestUnwellBroker_Start(t *testing.T) {
	t.Parallel()
	for _, ailment := range testkit.Ailments() {
		for place := range 2 {
			t.Run(fmt.Sprintf("%s, place %d", ailment, place), func(t *testing.T) {
				t.Parallel()
				inWorld(t, worldOptions{partitions: 4, brokers: 3}, func(w *world) {
					brokers := w.kafka.ListenAddrs()
					w.publishNumbered(4, 10)
					w.publish(0, []byte("garbage"))
					if err := w.kafka.RemoveNode(int32(place)); err != nil {
						w.t.Fatal(err)
					}
					ward := testkit.NewWard(w.network.DialContext)
					ward.Make(brokers[place], ailment)
					w.start(func(c *consumer.Config) { c.Cluster.Brokers, c.Cluster.Dial = brokers, ward.DialContext })
					w.awaitDrained(30 * time.Second)
				})
			})
		}
	}
}

// TestUnwellBroker_AllButOne: of many brokers only the last one answers.
func TestUnwellBroker_AllButOne(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{brokers: 1}, func(w *world) {
		brokers := w.kafka.ListenAddrs()
		ward := testkit.NewWard(w.network.DialContext)
		var all []string
		for i := range 9 {
			all = append(all, fmt.Sprintf("10.0.0.%d:9092", i))
			ward.Make(all[i], testkit.Frozen)
		}
		w.publish(0, eventValues(0, 10)...)
		w.start(func(c *consumer.Config) {
			c.Cluster.Brokers, c.Cluster.Dial = slices.Concat(all, brokers), ward.DialContext
		})
		w.awaitDrained(30 * time.Second)
	})
}

// TestUnwellBroker_Coordinator: the coordinator of the group freezes, and is the first of the list. The replica is in doubt, and comes
// back once the cluster has another coordinator. What has ended by then is not done again.
func TestUnwellBroker_Coordinator(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4, brokers: 3}, func(w *world) {
		t := w.t
		node := w.kafka.CoordinatorFor(testGroup)
		brokers := w.kafka.ListenAddrs()
		brokers[0], brokers[node] = brokers[node], brokers[0]
		w.publish(0, eventValues(0, 50)...)
		r, ward := w.onWard(brokers)
		w.awaitDrained(30 * time.Second)
		ward.Make(brokers[0], testkit.Frozen)
		w.await(time.Minute, "a join that nobody answers", func() bool {
			s := r.Status()
			return !s.Live && strings.Contains(s.Absent, "group not joined: ") && s.Unreached == s.Absent
		})
		if err := w.kafka.RemoveNode(node); err != nil {
			t.Fatal(err)
		}
		w.renewClient()
		w.publish(1, eventValues(50, 100)...)
		noticed := time.Now()
		w.await(2*time.Minute, "every offset committed", func() bool {
			return w.committed()[0] == 50 && w.committed()[1] == 50
		})
		if took := time.Since(noticed); took > 45*time.Second {
			t.Errorf("back after %s", took)
		}
		w.wantDeletedOnce(0, 100)
	})
}
