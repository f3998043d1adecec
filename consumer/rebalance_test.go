package consumer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestPromise6_HandoversRepeatNothing hands all work over four times under load: nothing is done
// twice, although some events are always waiting for a retry, and each stop takes one call's
// latency and less than a second.
func TestPromise6_HandoversRepeatNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		const latency = 100 * time.Millisecond
		w.api.set(latency, func(c consumer.Call, before int) consumer.Answer {
			if strings.HasSuffix(c.From, "7") && before < 4 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range int32(4) {
			w.publish(p, eventValues(int(p)*1000, int(p)*1000+1000)...)
		}
		r := w.start()
		for range 4 {
			time.Sleep(3 * time.Second)
			next := w.start()
			time.Sleep(3 * time.Second)
			if took := r.stop(); took > latency+time.Second {
				t.Errorf("stop took %s", took)
			}
			r = next
		}
		w.awaitDrained(10 * time.Minute)
		w.wantDeletedOnce(0, 4000)
		if w.api.peak() > 200 {
			t.Errorf("%d calls in a second", w.api.peak())
		}
	})
}

// TestPromise6_KillRepeatsLittle: after a kill, what is called again is at most what was in flight
// and what was done in the last 200 ms, even behind an event that waits for its retries.
func TestPromise6_KillRepeatsLittle(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.api.set(100*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.Conversation == conversation(0) && before < 5 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 2000)...)
		w.publish(1, eventValues(2000, 4000)...)
		r := w.start()
		time.Sleep(8 * time.Second)
		r.kill()
		w.start()
		w.awaitDrained(10 * time.Minute)
		twice := 0
		for _, n := range w.api.deletes() {
			twice += n - 1
		}
		// 200 calls a second: 20 in flight at 100 ms, 40 in 200 ms.
		if twice > 65 {
			t.Errorf("%d events done twice", twice)
		}
		if len(w.api.deletes()) != 4000 {
			t.Errorf("%d conversations deleted, want 4000", len(w.api.deletes()))
		}
	})
}

// TestRebalanceWhileWaitingForRetry: what waits for its next attempt goes to the next owner.
func TestRebalanceWhileWaitingForRetry(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.guardCommits()
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Transient, 50004) })
		w.publishNumbered(2, 40)
		w.start(func(c *consumer.Config) { c.RetryInitial, c.RetryMax = 20*time.Second, time.Minute })
		time.Sleep(5 * time.Second)
		w.api.set(50*time.Millisecond, nil)
		w.start()
		w.awaitDrained(2 * time.Minute)
		for p := range 2 {
			w.wantDeletedOnce(numberAt(int32(p), 0), numberAt(int32(p), 40))
		}
	})
}

// TestLostMemberStopsCalling: a replica that no longer reaches Kafka makes no call after its session
// is over, when another member may own its partitions.
func TestLostMemberStopsCalling(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		for p := range int32(2) {
			w.publish(p, eventValues(int(p)*2000, int(p)*2000+2000)...)
		}
		r := w.start()
		time.Sleep(4 * time.Second)
		r.net.Sever()
		cut := time.Now()
		time.Sleep(time.Minute)
		for _, c := range w.api.made() {
			if late := c.began.Sub(cut); late > 10*time.Second {
				t.Fatalf("call %s after the connection was lost; the session lasts 12 s", late)
			}
		}
		r.net.Mend()
		w.awaitDrained(2 * time.Minute)
		if n := len(w.api.deletes()); n != 4000 {
			t.Errorf("%d conversations deleted", n)
		}
	})
}

// TestJoinIsNotRepeatedAtOnce: a broker that interrupts every join, and does not hold the next one, is asked ten times a
// second at most.
func TestJoinIsNotRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		interrupted := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.SyncGroup}, TopLevel: true, Err: kerr.RebalanceInProgress, Count: -1})
		w.start()
		time.Sleep(10 * time.Second)
		if n := interrupted.Hits(); n < 10 || n > 105 {
			t.Errorf("%d joins in 10 s", n)
		}
		interrupted.Remove()
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
	})
}

// TestLostMembershipCutsOffADrain: a replica that drains cuts off its calls as soon as it has lost its membership. The next owner makes them.
func TestLostMembershipCutsOffADrain(t *testing.T) {
	t.Parallel()
	const noticed = 2 * time.Second // some heartbeats
	begin := func(w *world, edit ...func(*consumer.Config)) *replica {
		w.api.set(30*time.Second, nil)
		w.publish(0, eventValue(0))
		r := w.start(append(edit, func(c *consumer.Config) { c.DrainTimeout = time.Minute })...)
		w.await(10*time.Second, "the call", func() bool { return len(w.api.made()) == 1 })
		w.api.set(0, nil)
		return r
	}
	check := func(w *world, r *replica) {
		w.t.Helper()
		since := time.Now()
		<-r.done
		if took := time.Since(since); took > noticed {
			w.t.Errorf("a drain of a member that is lost goes on for %s", took)
		}
		if v := w.api.made()[0].verdict; v != consumer.Transient {
			w.t.Errorf("the call was not cut off: %v", v)
		}
	}
	t.Run("removed while it stops", func(t *testing.T) {
		t.Parallel()
		inWorld(t, worldOptions{}, func(w *world) {
			r := begin(w)
			r.cancel()
			time.Sleep(5 * time.Second)
			w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1})
			check(w, r)
		})
	})
	t.Run("replaced", func(t *testing.T) {
		t.Parallel()
		inWorld(t, worldOptions{}, func(w *world) {
			twin := func(c *consumer.Config) { c.InstanceID = "twin" }
			r := begin(w, twin)
			w.start(twin)
			check(w, r)
			if r.err == nil || !strings.Contains(r.err.Error(), "twin") {
				w.t.Errorf("Run returned %v, want an error that names the instance ID", r.err)
			}
			r.err = nil
			w.awaitDrained(time.Minute)
		})
	})
}
