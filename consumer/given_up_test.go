package consumer_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// handover is a replica with two partitions, one of which it gives up with events that can't be written in time. The next owner of that one
// deletes what the first replica has found permanent.
type handover struct {
	*world

	first, second *replica
	// ward is between the first replica and the brokers. All dead letters are on the broker letters, everything else is on the other one.
	ward    *testkit.Ward
	letters string
}

// inHandover runs a test with a replica that has written a dead letter and an outcome before, and works alone.
func inHandover(t *testing.T, drain time.Duration, edit func(*consumer.Config), test func(h *handover)) {
	t.Helper()
	o := outcomesWorld(2)
	o.brokers = 2
	inWorld(t, o, func(w *world) {
		w.coordinate()
		for topic, node := range map[string]int32{testTopic: 0, testOutcomes: 0, testDLT: 1} {
			for _, p := range w.kafka.PartitionInfos(topic) {
				if err := w.kafka.MoveTopicPartition(topic, p.Partition, node); err != nil {
					t.Fatal(err)
				}
			}
		}
		for w.kafka.CoordinatorFor(testGroup) != 0 {
			w.kafka.RehashCoordinators()
		}
		h := &handover{world: w, ward: testkit.NewWard(w.network.DialContext), letters: w.kafka.ListenAddrs()[1]}
		h.first = w.start(func(c *consumer.Config) { c.Cluster.Dial, c.DrainTimeout = h.ward.DialContext, drain }, edit)
		for p := range int32(2) {
			w.publish(p, slices.Repeat([][]byte{[]byte("garbage")}, 20)...) // the writers know their topics then
		}
		w.awaitDrained(time.Minute)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		test(h)
	})
}

// begin lets the second replica join. What it gets, it deletes.
func (h *handover) begin(edit func(*consumer.Config)) {
	h.api.set(50*time.Millisecond, nil)
	h.second = h.start(edit)
}

// await waits for the second replica's partition, and returns how many dead letters and outcomes of its events there are by then.
func (h *handover) await(limit time.Duration) (letters, outcomes int) {
	h.t.Helper()
	h.world.await(limit, "the partition's next owner", func() bool { return h.second.Status().Partitions == 1 })
	return h.count()
}

// count counts dead letters of events of the second partition, and outcomes of them that say so.
func (h *handover) count() (letters, outcomes int) {
	h.t.Helper()
	for _, l := range h.deadLetters() {
		if strings.HasPrefix(string(l.Key), testTopic+"/1/") {
			letters++
		}
	}
	for _, r := range h.readAll(testOutcomes) {
		if o, err := schema.DecodeOutcome(r.Key, r.Value); err != nil {
			h.t.Fatal(err)
		} else if o.Partition == 1 && o.Kind != schema.OutcomeDeleted {
			outcomes++
		}
	}
	return letters, outcomes
}

// wantNoMore checks that nothing more of the given-up partition has been written by the replica that has given it up.
func (h *handover) wantNoMore(letters, outcomes int) {
	h.t.Helper()
	if l, o := h.count(); l != letters || o != outcomes {
		h.t.Errorf("%d dead letters and %d outcomes when the partition has another owner, and %d and %d in the end", letters, outcomes, l, o)
	}
}

// TestGivenUpWhileTheLettersLeaderIsFrozen: a partition is given up while its dead letters are being written to a broker that says nothing. No attempt
// leaves after that, neither one of the write under way nor one of a write that waits behind that.
func TestGivenUpWhileTheLettersLeaderIsFrozen(t *testing.T) {
	t.Parallel()
	for _, drain := range []time.Duration{2 * time.Second, 8 * time.Second, 13 * time.Second, 30 * time.Second} {
		for _, outcomes := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %s, outcomes %t", drain, outcomes), func(t *testing.T) {
				t.Parallel()
				edit := func(c *consumer.Config) {
					if outcomes {
						withOutcomes(c)
					}
				}
				inHandover(t, drain, edit, func(h *handover) {
					h.ward.Make(h.letters, testkit.Frozen)
					for p := range int32(2) {
						h.publish(p, eventValues(numberAt(p, 0), numberAt(p, 20))...)
					}
					h.world.await(3*time.Second, "the calls", func() bool { return len(h.api.made()) == 40 })
					time.Sleep(100 * time.Millisecond)
					h.begin(edit)
					before := time.Now()
					n, ends := h.await(2 * time.Minute)
					if took := time.Since(before); took > drain+25*time.Second {
						t.Errorf("given up after %s", took)
					}
					h.ward.Make(h.letters, "")
					h.awaitDrained(2 * time.Minute)
					time.Sleep(time.Minute)
					h.wantNoMore(n, ends)
					h.wantDeletedOnce(numberAt(1, 0), numberAt(1, 20))
				})
			})
		}
	}
}

// TestGivenUpWhileALetterIsCompleted: a partition is given up while a large dead letter of it waits for memory, to be read again. It is not written when it
// gets that.
func TestGivenUpWhileALetterIsCompleted(t *testing.T) {
	t.Parallel()
	const drain = 3 * time.Second
	inHandover(t, drain, func(c *consumer.Config) { c.MaxInFlightBytes = 64 << 10 }, func(h *handover) {
		refused := h.refuseLetters()
		padded := func(n, bytesMore int) []byte {
			return fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","ClearRamble":0,"P":%q}`, n, bytes.Repeat([]byte("x"), bytesMore))
		}
		h.publish(1, padded(numberAt(1, 0), 40<<10))
		time.Sleep(5 * time.Second) // it waits without its source record
		h.api.set(time.Minute, nil)
		for n := range 10 {
			h.publish(0, padded(numberAt(0, int64(n)), 6<<10))
		}
		h.world.await(5*time.Second, "calls that take the memory", func() bool { return len(h.api.made()) >= 6 })
		time.Sleep(30 * time.Second)
		refused.Remove()
		h.begin(func(*consumer.Config) {})
		n, ends := h.await(20 * time.Second)
		h.awaitDrained(3 * time.Minute)
		time.Sleep(time.Minute)
		h.wantNoMore(n, ends)
		h.wantDeletedOnce(numberAt(1, 0), numberAt(1, 1))
	})
}

// TestGivenUpBeforeALetterIsAcknowledged: a dead letter is acknowledged after the drain timeout of its partition. If outcomes are recorded, the event has no
// outcome but its next owner's. Otherwise it has ended.
func TestGivenUpBeforeALetterIsAcknowledged(t *testing.T) {
	t.Parallel()
	for _, recorded := range []bool{false, true} {
		t.Run(fmt.Sprintf("outcomes %t", recorded), func(t *testing.T) {
			t.Parallel()
			edit := func(c *consumer.Config) {
				if recorded {
					withOutcomes(c)
				}
			}
			inHandover(t, 2*time.Second, edit, func(h *handover) {
				w := h.world
				w.slowLetters(4500 * time.Millisecond)
				h.publish(1, eventValue(numberAt(1, 0)))
				w.await(3*time.Second, "the call", func() bool { return len(w.api.made()) == 1 })
				h.begin(edit)
				n, ends := h.await(time.Minute)
				h.awaitDrained(time.Minute)
				time.Sleep(time.Minute)
				h.wantNoMore(n, ends)
				again := 0
				if recorded {
					again = 1
				}
				if n != 21 || len(w.api.deletes()) != again {
					t.Errorf("%d dead letters, %d events deleted", n, len(w.api.deletes()))
				}
			})
		})
	}
}
