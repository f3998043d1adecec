package consumer_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// TestOneConversationThatFillsTheMemory: more events than there is room for, all for one conversation that always fails, become
// dead letters in the end; others get in.
func TestOneConversationThatFillsTheMemory(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(0) {
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		var bad [][]byte
		for range 2100 {
			bad = append(bad, eventValue(0))
		}
		w.publish(0, bad...)
		w.publish(0, eventValues(1, 101)...)
		w.start()
		testkit.Await(t, time.Minute, 12*time.Hour, "100 other conversations deleted", func() bool { return len(w.api.deletes()) == 100 })
	})
}

// TestDeniedBehindAnOutage: an answer of missing permission shows that an outage is over.
func TestDeniedBehindAnOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		over := time.Now().Add(2 * time.Minute)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			if time.Now().Before(over) {
				return verdict(consumer.Transient, 0)
			}
			a := verdict(consumer.Permanent, 50003)
			a.Denied = true
			return a
		})
		w.publish(0, eventValue(0))
		w.start()
		testkit.Await(t, time.Minute, 12*time.Hour, "the event's dead letter", func() bool { return len(w.letterKeys()) == 1 })
	})
}

// TestPromise5_RefundOnTheWayIn: where an event that has run out of attempts shows that there is an outage, all get back what
// they have used up in it: one more failure of their own is not their last.
func TestPromise5_RefundOnTheWayIn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var over atomic.Bool
		var since sync.Map // of the conversations that have been called since the API is back
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			_, again := since.LoadOrStore(c.Conversation, true)
			if !over.Load() {
				since.Delete(c.Conversation)
				return verdict(consumer.Transient, 0)
			}
			if !again && c.Conversation != conversation(0) {
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 5)...)
		r := w.start()
		w.await(5*time.Minute, "a pause", func() bool { return r.Status().Paused != nil })
		over.Store(true)
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestPromise5_InvalidEventsInAnOutage: that the API refuses bad input proves nothing for the rest.
func TestPromise5_InvalidEventsInAnOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		from, to := time.Now().Add(10*time.Second), time.Now().Add(time.Hour)
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			n, err := strconv.Atoi(strings.TrimPrefix(c.From, "user"))
			if err != nil {
				return verdict(consumer.Permanent, 50002)
			}
			switch now := time.Now(); {
			case n%6 == 5:
				return verdict(consumer.Permanent, 50002)
			case now.After(from) && now.Before(to):
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		for n := range 120 {
			w.publish(0, eventValue(n))
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Until(to))
		w.awaitDrained(time.Hour)
		exhausted := 0
		for _, l := range w.deadLetters() {
			if testkit.Header(l, "dlt-class") == "exhausted" {
				exhausted++
			}
		}
		if exhausted > 2 {
			t.Errorf("%d of 100 good events became dead letters in an outage in which no call has succeeded", exhausted)
		}
	})
}
