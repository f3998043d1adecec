package consumer_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/internal/testkit"
	"convdel/schema"
)

// old publishes events of users that happened some time ago.
func (w *world) old(ago time.Duration, users ...int) {
	w.t.Helper()
	for _, n := range users {
		w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(n), Timestamp: time.Now().Add(-ago)})
	}
}

// TestRevivedConversationsAreKept: an old event is executed unless the account's list shows a message since. A young one is executed
// without a list.
func TestRevivedConversationsAreKept(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour + 300*time.Millisecond)
		happened := time.Now().Add(-time.Hour)
		lists.last = map[schema.Conversation]time.Time{
			conversation(0): happened.Add(-time.Minute).Truncate(time.Second),
			conversation(1): happened.Add(time.Minute).Truncate(time.Second),
			conversation(2): happened.Truncate(time.Second), // before the event, or after it
			conversation(3): {},
			conversation(5): happened.Add(time.Minute).Truncate(time.Second), // the event is young
		}
		w.old(time.Hour, 0, 1, 2, 3, 4)
		w.old(0, 5)
		r := w.start(lists.checked)
		w.awaitDrained(time.Minute)
		if got, want := w.endings(), map[string]string{"user1": "revived", "user2": "revived", "user3": "revived"}; !maps.Equal(got, want) {
			t.Errorf("dead letters: %v, want %v", got, want)
		}
		for n, want := range []int{1, 0, 0, 0, 1, 1} {
			if got := w.api.deletes()[conversation(n)]; got != want {
				t.Errorf("conversation %d was deleted %d times, want %d", n, got, want)
			}
			if got := lists.of(fmt.Sprint("user", n)); (got == 1) == (n == 5) {
				t.Errorf("the list of user %d was read %d times", n, got)
			}
		}
		if got := r.labelled("convdel_events_total", "revived"); got != 3 {
			t.Errorf("%v events are counted as revived", got)
		}
		for _, l := range w.deadLetters() {
			if text := testkit.Header(l, "dlt-error"); !strings.Contains(text, "message since the event") || testkit.Header(l, "dlt-attempts") != "0" {
				t.Errorf("letter %s: %s, attempts %s", l.Key, text, testkit.Header(l, "dlt-attempts"))
			}
		}
	})
}

// TestOneListServesAnAccount for ten seconds, and no longer: all of its events, those too that come when it was read already.
func TestOneListServesAnAccount(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		lists := newFakeLists()
		time.Sleep(time.Hour)
		ask := func(to string) {
			value := fmt.Appendf(nil, `{"From_Account":"alice","Type":1,"To_Account":%q,"ClearRamble":0}`, to)
			w.produce(&kgo.Record{Topic: testTopic, Value: value, Timestamp: time.Now().Add(-time.Hour)})
		}
		for n := range 40 {
			ask(fmt.Sprint("c", n))
		}
		w.start(lists.checked)
		w.awaitDrained(time.Minute)
		lists.mu.Lock()
		began := lists.read[0].at
		lists.mu.Unlock()
		time.Sleep(time.Until(began.Add(9 * time.Second)))
		// A message that comes when the list was read is not seen. Ten seconds bound that.
		lists.set(func() { lists.last[schema.Conversation{From: "alice", Type: schema.C2C, To: "late"}] = time.Now() })
		ask("late")
		w.awaitDrained(time.Minute)
		if n := lists.of("alice"); n != 1 {
			t.Errorf("%d lists within ten seconds", n)
		}
		time.Sleep(time.Until(began.Add(11 * time.Second)))
		ask("late")
		w.awaitDrained(time.Minute)
		if n := lists.of("alice"); n != 2 {
			t.Errorf("%d lists, want 2", n)
		}
		if got := len(w.api.deletes()); got != 41 || len(w.letterKeys()) != 1 {
			t.Errorf("%d conversations deleted, %d dead letters", got, len(w.letterKeys()))
		}
	})
}

// TestAListThatWasUsedUpIsReadAgain: an event whose calls fail may be called again only by a list that is fresh then. The breaker goes on
// knowing its conversation. An event that becomes old while it waits needs a list from then on.
func TestAListThatWasUsedUpIsReadAgain(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour)
		w.api.set(50*time.Millisecond, func(c consumer.Call, before int) consumer.Answer {
			if c.From != "user9" && before < 5 {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.old(time.Hour, 1)
		w.old(50*time.Second, 2)
		w.start(lists.checked, func(c *consumer.Config) { c.RetryInitial, c.RetryMax = 11*time.Second, 10*time.Minute })
		time.Sleep(8 * time.Second)
		lists.set(func() { lists.last[conversation(2)] = time.Now() })
		for range 12 {
			time.Sleep(10 * time.Second)
			w.publish(0, eventValue(9)) // so that failures have witnesses
		}
		w.awaitDrained(15 * time.Minute)
		var calls []apiCall
		for _, c := range w.api.made() {
			if c.From == "user1" {
				calls = append(calls, c)
			}
		}
		// The backoff doubles from 11 seconds, give or take the half.
		if took := calls[len(calls)-1].began.Sub(calls[0].began); len(calls) != 6 || took < 160*time.Second {
			t.Errorf("%d calls in %s", len(calls), took)
		}
		if got, want := w.endings(), map[string]string{"user2": "revived"}; !maps.Equal(got, want) {
			t.Errorf("dead letters: %v, want %v", got, want)
		}
		if n := lists.of("user1"); n < 4 || n > 6 {
			t.Errorf("%d lists for six calls that are mostly more than ten seconds apart", n)
		}
		if n := lists.of("user2"); n != 1 {
			t.Errorf("%d lists for the event that became old", n)
		}
	})
}

// TestAnIncompleteListPermitsNothing that it does not show. What it shows it rules on.
func TestAnIncompleteListPermitsNothing(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour)
		lists.doubt = "it changed while it was read"
		lists.last[conversation(1)] = time.Now()
		lists.last[conversation(2)] = time.Now().Add(-2 * time.Hour)
		w.old(time.Hour, 1, 2, 3)
		r := w.start(lists.checked)
		w.await(time.Minute, "some lists of user 3", func() bool { return lists.of("user3") > 5 })
		if got, want := w.endings(), map[string]string{"user1": "revived"}; !maps.Equal(got, want) || w.deleted(2, 3) != 1 || w.deleted(3, 4) != 0 {
			t.Errorf("dead letters: %v, deletes: %v", got, w.api.deletes())
		}
		if p := r.Status().Paused; p != nil {
			t.Errorf("paused: %+v", p)
		}
		lists.set(func() { lists.doubt = "" })
		w.awaitDrained(time.Minute)
		if w.deleted(3, 4) != 1 || len(w.letterKeys()) != 1 {
			t.Errorf("deletes: %v", w.api.deletes())
		}
	})
}

// TestAListThatTakesTooLongIsSpaced: a list that takes longer than it serves permits nothing and uses nothing up. It is read again after a
// pause, not at once.
func TestAListThatTakesTooLongIsSpaced(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		time.Sleep(time.Hour)
		lists.latency, lists.pages = 3*time.Second, 4
		w.old(time.Hour, 0)
		w.start(lists.checked)
		time.Sleep(20 * time.Minute)
		if n := lists.of("user0"); n < 20 || n > 60 || len(w.letterKeys()) > 0 || w.deleted(0, 1) > 0 {
			w.t.Errorf("%d lists in 20 minutes, %d dead letters, %d deletes", n, len(w.letterKeys()), w.deleted(0, 1))
		}
		if !strings.Contains(w.log.String(), "took too long to serve") {
			w.t.Error("the log does not say so")
		}
		lists.set(func() { lists.pages = 1 })
		w.awaitDrained(2 * time.Minute)
		if w.deleted(0, 1) != 1 || len(w.letterKeys()) > 0 {
			w.t.Errorf("%d deletes, %d dead letters", w.deleted(0, 1), len(w.letterKeys()))
		}
	})
}

// TestReplaysAreCheckedToo: an old dead letter that is published again is as old as its event.
func TestReplaysAreCheckedToo(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		lists := newFakeLists()
		w.api.set(time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		w.publish(0, eventValue(1), eventValue(2))
		w.start(lists.checked)
		w.awaitDrained(time.Minute)
		w.api.set(time.Millisecond, nil)
		time.Sleep(time.Hour)
		lists.set(func() { lists.last[conversation(1)] = time.Now() })
		table, err := deadletter.Open(t.Context(), cluster.Config{Brokers: w.kafka.ListenAddrs(), Dial: w.network.DialContext}, testDLT)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		for range 2 { // the revived one again
			choice := deadletter.Choice{Topic: testTopic, Filter: deadletter.Filter{Classes: schema.Classes()}}
			if _, err := table.Replay(t.Context(), choice, nil); err != nil {
				t.Fatal(err)
			}
			w.awaitDrained(time.Minute)
			time.Sleep(time.Minute)
		}
		open := 0
		_, err = table.Each(t.Context(), deadletter.Filter{}, func(l *deadletter.Letter) error {
			if open++; l.Class != schema.ClassRevived || l.Replays != 2 {
				t.Errorf("letter %s: class %s, %d replays", l.ID(), l.Class, l.Replays)
			}
			return nil
		})
		if err != nil || open != 1 || w.deleted(1, 2) != 0 || w.deleted(2, 3) != 1 {
			t.Errorf("%d letters, %v, deletes: %v", open, err, w.api.deletes())
		}
	})
}

// TestPromise3_ListsHaveAQuotaOfTheirOwn, which replicas share. Each page is a call.
func TestPromise3_ListsHaveAQuotaOfTheirOwn(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		lists := newFakeLists()
		lists.pages = 3
		time.Sleep(time.Hour)
		for n := range 600 {
			w.produce(&kgo.Record{Topic: testTopic, Partition: int32(n % 2), Value: eventValue(n), Timestamp: time.Now().Add(-time.Hour)})
		}
		w.start(lists.checked)
		w.start(lists.checked)
		began := time.Now()
		w.awaitDrained(time.Minute)
		w.wantDeletedOnce(0, 600)
		if peak := lists.peak(); peak > 200 {
			t.Errorf("%d calls for lists in a second", peak)
		}
		w.wantPeak()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("1800 pages take %s", took)
		}
	})
}

// TestPromise6_ListsEndWithADrain: the page under way ends, no other is asked for, and no event that waits for it is executed.
func TestPromise6_ListsEndWithADrain(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		lists := newFakeLists()
		lists.pages, lists.latency = 5, 2*time.Second
		time.Sleep(time.Hour)
		w.old(time.Hour, 1)
		r := w.start(lists.checked)
		w.await(time.Minute, "a list", func() bool { n, _ := lists.made(); return n == 1 })
		took := r.stop()
		if pages, cut := lists.made(); took > 4*time.Second || pages != 1 || cut > 0 || len(w.api.made()) > 0 {
			t.Errorf("the stop takes %s, %d pages were asked for, %d cut off, %d calls made", took, pages, cut, len(w.api.made()))
		}
		if u := r.Unfinished(); u.Waiting != 1 || u.Total() != 1 {
			t.Errorf("unfinished: %+v", u)
		}
		lists.set(func() { lists.latency = time.Hour })
		r = w.start(lists.checked)
		w.await(time.Minute, "a list", func() bool { n, _ := lists.made(); return n == 2 })
		if took := r.stop(); took > 20*time.Second {
			t.Errorf("a list that is never answered holds up a stop for %s", took)
		}
	})
}
