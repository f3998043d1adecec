package consumer_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// TestDuplicatesShareCalls: 1,000 events of one conversation cost a handful of calls, never two at a
// time, each event ends, and the roaming messages go if any event asks for it.
func TestDuplicatesShareCalls(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		for n := range 1000 {
			value := eventValue(1)
			if n == 777 {
				value = []byte(strings.Replace(string(value), `"ClearRamble":0`, `"ClearRamble":1`, 1))
			}
			w.publish(int32(n%2), value)
		}
		r := w.start()
		w.awaitDrained(time.Minute)
		calls := w.api.made()
		if len(calls) > 8 {
			t.Errorf("%d calls for 1,000 duplicates", len(calls))
		}
		cleared := false
		for _, c := range calls {
			cleared = cleared || c.clearRamble
		}
		if !cleared || w.api.most > 1 {
			t.Errorf("roaming messages cleared: %t; calls at once for the conversation: %d", cleared, w.api.most)
		}
		if r.metric("convdel_events_total") != 1000 {
			t.Errorf("%v events ended", r.metric("convdel_events_total"))
		}
	})
}

// TestEventsDuringACallGetTheirOwn: an event that arrives while its conversation is being called
// is not answered by that call, which may have been executed before the event happened.
func TestEventsDuringACallGetTheirOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(2*time.Second, nil)
		w.publish(0, eventValue(1))
		w.start()
		w.await(10*time.Second, "the first call", func() bool { return len(w.api.made()) == 1 })
		time.Sleep(time.Second)
		w.publish(0, eventValue(1), eventValue(1))
		w.awaitDrained(time.Minute)
		if n := len(w.api.made()); n != 2 || w.api.most != 1 {
			t.Errorf("%d calls, %d at once; want 2, one after the other", n, w.api.most)
		}
	})
}

// clearingValue is an event that asks to clear roaming messages as well.
func clearingValue(n int) []byte {
	return []byte(strings.Replace(string(eventValue(n)), `"ClearRamble":0`, `"ClearRamble":1`, 1))
}

// TestClearingIsTheCallsOwn: an event that does not ask to clear roaming messages, and gets a call of its own, is not made to by
// one that was called before it. The messages stored since would be lost.
func TestClearingIsTheCallsOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(2*time.Second, nil)
		w.publish(0, clearingValue(1))
		w.start()
		w.await(10*time.Second, "the first call", func() bool { return len(w.api.made()) == 1 })
		w.publish(0, eventValue(1))
		w.awaitDrained(time.Minute)
		calls := w.api.made()
		if len(calls) != 2 || !calls[0].clearRamble || calls[1].clearRamble {
			t.Errorf("calls %+v, want one that clears and one that does not", calls)
		}
	})
}

// TestEachEventHasItsOwnAttempts: an event that joins a conversation before its last attempt shares that call, and has used
// up one of its own.
func TestEachEventHasItsOwnAttempts(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Transient, 70107) })
		w.publish(0, eventValue(1))
		w.start()
		w.await(time.Minute, "five failures", func() bool { return len(w.api.made()) == 5 })
		time.Sleep(time.Second) // it waits for its sixth call
		w.publish(0, eventValue(1))
		w.awaitDrained(10 * time.Minute)
		calls, letters := w.api.made(), w.deadLetters()
		if len(calls) != 11 || len(letters) != 2 {
			t.Fatalf("%d calls and %d dead letters, want 11 for 2", len(calls), len(letters))
		}
		began := map[string]time.Time{testTopic + "/0/0": calls[0].began, testTopic + "/0/1": calls[5].began}
		for _, l := range letters {
			first := began[string(l.Key)].UTC().Format(time.RFC3339Nano)
			if testkit.Header(l, "dlt-attempts") != "6" || testkit.Header(l, "dlt-first-attempt") != first {
				t.Errorf("dead letter %s: %s attempts since %s, want 6 since %s", l.Key, testkit.Header(l, "dlt-attempts"), testkit.Header(l, "dlt-first-attempt"), first)
			}
		}
	})
}

// TestPromise5_RefundToThoseWhoWait: where the calls of the last seconds show that there is an outage, the events that wait for
// their retry get back what they have used up in it: one more failure of their own is not their last.
func TestPromise5_RefundToThoseWhoWait(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var over atomic.Bool
		w.api.set(50*time.Millisecond, func(_ consumer.Call, before int) consumer.Answer {
			switch {
			case !over.Load():
				return verdict(consumer.Transient, 50004)
			case before == 1:
				return verdict(consumer.Transient, 70107) // an answer about the event, not an outage
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 20)...)
		r := w.start(func(c *consumer.Config) { c.MaxAttempts, c.RetryInitial = 2, 30*time.Second })
		w.await(10*time.Second, "a pause", func() bool { return r.Status().Paused != nil })
		if n := len(w.api.made()); n != 20 {
			t.Fatalf("%d calls before the pause, want 20: no event has used up its attempts", n)
		}
		over.Store(true)
		w.awaitDrained(10 * time.Minute)
		w.wantDeletedOnce(0, 20)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d dead letters of an outage", n)
		}
	})
}
