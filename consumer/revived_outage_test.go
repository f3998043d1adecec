package consumer_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestPromise5_OutageOfListsUsesUpNoEvent: while no list can be read, events that need one wait, and use up no attempt. Others go on. When
// lists come back, all end as they must.
func TestPromise5_OutageOfListsUsesUpNoEvent(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]consumer.Answer{
		"unreached": {Verdict: consumer.Transient, Err: errAPI},
		"code":      {Verdict: consumer.Transient, Code: 50004, Err: errAPI},
		"halt":      {Verdict: consumer.Halt, Code: 70009, Err: errAPI},
		"throttled": {Verdict: consumer.Throttled, Code: 60007, Err: errAPI},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				lists := newFakeLists()
				time.Sleep(time.Hour)
				lists.fails = func(string) *consumer.Answer { return &failure }
				lists.last[conversation(3)] = time.Now()
				for n := range 30 {
					w.old(time.Hour, n)
				}
				r := w.start(lists.checked)
				for n := range 20 {
					time.Sleep(time.Minute)
					w.publish(0, eventValue(100+n))
					w.await(5*time.Second, "a young event deleted", func() bool { return w.deleted(100+n, 101+n) == 1 })
				}
				if n := w.deleted(0, 30); n > 0 || len(w.letterKeys()) > 0 {
					t.Errorf("%d deleted without a list, %d dead letters", n, len(w.letterKeys()))
				}
				s := r.Status()
				if s.Stalled != nil || !s.Live || (s.Paused == nil || s.Paused.Reason != consumer.PauseLists) != (name == "throttled") {
					t.Errorf("status: %+v, paused: %+v", s, s.Paused)
				}
				if paused := r.labelled("convdel_paused", "lists"); (paused == 1) == (name == "throttled") {
					t.Errorf("paused: %v", paused)
				}
				before, _ := lists.made()
				time.Sleep(10 * time.Minute)
				if made, _ := lists.made(); name != "throttled" && made-before > 25 {
					t.Errorf("%d lists in ten minutes of a pause", made-before)
				}
				lists.set(func() { lists.fails = nil })
				w.awaitDrained(10 * time.Minute)
				if got, want := w.endings(), map[string]string{"user3": "revived"}; !maps.Equal(got, want) || w.deleted(0, 30) != 29 {
					t.Errorf("dead letters: %v, %d deleted", got, w.deleted(0, 30))
				}
				if r.Status().Paused != nil {
					t.Error("still paused")
				}
			})
		})
	}
}

// TestAListThatFailsCountsWithAWitness: a list that always fails is no permission, and uses up an attempt only once another account's
// later list has succeeded.
func TestAListThatFailsCountsWithAWitness(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour)
		lists.fails = func(account string) *consumer.Answer {
			if account == "user0" {
				return &consumer.Answer{Verdict: consumer.Transient, Code: 50004, Err: errAPI}
			}
			return nil
		}
		w.old(time.Hour, 0)
		w.start(lists.checked, func(c *consumer.Config) { c.RetryMax = 2 * time.Second })
		time.Sleep(time.Hour)
		if n := len(w.letterKeys()); n > 0 || lists.of("user0") < 100 {
			t.Errorf("%d dead letters without a witness, after %d lists", n, lists.of("user0"))
		}
		for n := 1; n < 40 && len(w.letterKeys()) == 0; n++ {
			w.old(time.Hour, n)
			time.Sleep(time.Second)
		}
		w.awaitDrained(time.Minute)
		if got, want := w.endings(), map[string]string{"user0": "exhausted"}; !maps.Equal(got, want) || w.deleted(0, 1) != 0 {
			t.Errorf("dead letters: %v, deletes: %v", got, w.api.deletes())
		}
		l := w.deadLetters()[0]
		if code, attempts := testkit.Header(l, "dlt-code"), testkit.Header(l, "dlt-attempts"); code != "50004" || attempts != "6" {
			t.Errorf("code %s, %s attempts", code, attempts)
		}
		if text := testkit.Header(l, "dlt-error"); !strings.Contains(text, "list of conversations") {
			t.Errorf("error: %s", text)
		}
	})
}

// TestAnAccountThatTheAPIDoesNotHave ends its events at once, as a call would.
func TestAnAccountThatTheAPIDoesNotHave(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour)
		lists.fails = func(string) *consumer.Answer {
			return &consumer.Answer{Verdict: consumer.Permanent, Code: 50001, Err: errAPI}
		}
		w.old(time.Hour, 0, 0)
		w.start(lists.checked)
		w.awaitDrained(time.Minute)
		if len(w.letterKeys()) != 2 || w.endings()["user0"] != "permanent" || len(w.api.made()) > 0 {
			t.Errorf("dead letters: %v, %d calls", w.endings(), len(w.api.made()))
		}
	})
}

// TestAFailedListIsNoAttemptOfALaterEvent: what becomes of a list says nothing of an event that came while it was read. That event waits
// for the next list, and no dead letter tells of an attempt that began before its record was there.
func TestAFailedListIsNoAttemptOfALaterEvent(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		lists.latency = 4 * time.Second
		time.Sleep(time.Hour)
		lists.fails = func(string) *consumer.Answer {
			return &consumer.Answer{Verdict: consumer.Permanent, Code: 50001, Err: errAPI}
		}
		w.old(time.Hour, 0)
		w.start(lists.checked)
		time.Sleep(2 * time.Second)
		came := time.Now()
		w.old(time.Hour, 0)
		w.awaitDrained(time.Minute)
		letters := w.deadLetters()
		if len(letters) != 2 || lists.of("user0") != 2 {
			t.Fatalf("%d dead letters after %d lists, want 2 after 2", len(letters), lists.of("user0"))
		}
		early := 0
		for _, l := range letters {
			d, err := schema.ParseDeadLetter(testkit.Headers(l))
			if err != nil || d.Attempts != 1 || !d.LastAttempt.Equal(d.FirstAttempt) || d.FirstAttempt.Before(d.Timestamp.Add(time.Hour)) {
				t.Errorf("%s: %d attempts from %s to %s: %v", l.Key, d.Attempts, d.FirstAttempt, d.LastAttempt, err)
			}
			if d.FirstAttempt.Before(came) {
				early++
			}
		}
		if early != 1 {
			t.Errorf("%d first attempts before %s, want 1", early, came)
		}
	})
}

// TestPromise4_ListsHoldUpNoOtherEvent: lists that are never answered take neither workers nor quota from events that need none.
func TestPromise4_ListsHoldUpNoOtherEvent(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		lists.latency = 5 * time.Second
		lists.fails = func(string) *consumer.Answer {
			return &consumer.Answer{Verdict: consumer.Transient, Err: errors.New("timeout")}
		}
		time.Sleep(time.Hour)
		for n := range 400 {
			w.old(time.Hour, n)
			w.publish(0, eventValue(1000+n))
		}
		w.start(lists.checked, func(c *consumer.Config) { c.MaxCalls = 20 })
		began := time.Now()
		w.await(10*time.Second, "all young events deleted", func() bool { return w.deleted(1000, 1400) == 400 })
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("400 events take %s", took)
		}
		if n := w.deleted(0, 400); n > 0 {
			t.Errorf("%d deleted without a list", n)
		}
	})
}
