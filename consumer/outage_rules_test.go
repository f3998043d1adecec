package consumer_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// These tests hold what docs/failures.md says of outages and of events that always fail, with the default settings.

// poisoned says whether a call is for one of the conversations below n.
func poisoned(c consumer.Call, n int) bool {
	var user int
	_, err := fmt.Sscanf(c.From, "user%d", &user)
	return err == nil && user < n
}

// exhausted is the keys of the letters of events that were given up.
func (w *world) exhausted() map[string]bool {
	keys := map[string]bool{}
	for _, l := range w.deadLetters() {
		if testkit.Header(l, "dlt-class") == "exhausted" {
			keys[string(l.Key)] = true
		}
	}
	return keys
}

// TestPromise5_AFlappingAPI: an API that is up and down for ten seconds each uses up no good event, and does not keep the
// poisoned ones alive.
func TestPromise5_AFlappingAPI(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		down, poison consumer.Answer
		hang         time.Duration
	}{
		"unreached":                    {verdict(consumer.Transient, 0), verdict(consumer.Transient, 0), 0},
		"hanging":                      {verdict(consumer.Transient, 0), verdict(consumer.Transient, 0), 5 * time.Second},
		"internal errors":              {verdict(consumer.Transient, 50004), verdict(consumer.Transient, 50004), 0},
		"down, and an unlisted poison": {verdict(consumer.Transient, 0), verdict(consumer.Transient, 70107), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				t := w.t
				const poison, good = 5, 3000
				began := time.Now()
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					switch {
					case poisoned(c, poison):
						time.Sleep(tc.hang)
						return tc.poison
					case int(time.Since(began)/(10*time.Second))%2 == 1:
						time.Sleep(tc.hang)
						return tc.down
					}
					return verdict(consumer.Deleted, 0)
				})
				w.start()
				w.publish(0, eventValues(0, poison)...)
				for n := poison; n < poison+good; n += 20 {
					w.publish(int32(n/20%3), eventValues(n, n+20)...)
					time.Sleep(2 * time.Second)
				}
				w.awaitDrained(10 * time.Minute)
				if n := len(w.api.deletes()); n != good {
					t.Errorf("%d of %d good ones deleted", n, good)
				}
				for _, l := range w.deadLetters() {
					if took := l.Timestamp.Sub(began); took > 5*time.Minute {
						t.Errorf("letter %s was written after %s", l.Key, took)
					}
				}
				if n := len(w.letterKeys()); n != poison {
					t.Errorf("%d dead letters, want the %d poisoned", n, poison)
				}
			})
		})
	}
}

// TestPromise4_AMinuteOfUnreachableEvents: where four of five events hang for a minute, the fifth is deleted within 90 seconds.
func TestPromise4_AMinuteOfUnreachableEvents(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		const perSecond, seconds = 10, 60
		deleted := map[string]time.Time{}
		published := map[string]time.Time{}
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			var user int
			if _, err := fmt.Sscanf(c.From, "user%d", &user); err != nil || user%5 != 0 {
				time.Sleep(5 * time.Second)
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		for n := range perSecond * seconds {
			published[conversation(n).From] = time.Now()
			w.publish(int32(n%3), eventValue(n))
			time.Sleep(time.Second / perSecond)
		}
		const good = perSecond * seconds / 5
		w.await(90*time.Second, "the good ones deleted", func() bool { return len(w.api.deletes()) == good })
		for _, c := range w.api.made() {
			if !poisonedFifth(c.From) {
				deleted[c.From] = c.began
			}
		}
		for from, at := range deleted {
			if took := at.Sub(published[from]); took > 90*time.Second {
				t.Errorf("%s waited %s", from, took)
			}
		}
		for n := range 200 { // that the API is well shows in them
			w.publish(int32(n%3), eventValue(10_000+5*n))
			time.Sleep(5 * time.Second)
		}
		w.awaitDrained(30 * time.Minute)
		if n := len(w.letterKeys()); n != perSecond*seconds-good {
			t.Errorf("%d dead letters, want %d", n, perSecond*seconds-good)
		}
	})
}

func poisonedFifth(from string) bool {
	var user int
	_, err := fmt.Sscanf(from, "user%d", &user)
	return err != nil || user%5 != 0
}

// TestPromise5_ACodeThatEverybodyGets: whatever the code, listed, public or never seen, it pauses like an outage.
func TestPromise5_ACodeThatEverybodyGets(t *testing.T) {
	t.Parallel()
	for _, code := range []int{70346, 60022, 123456, 50005} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 3}, func(w *world) {
				t := w.t
				o := &outage{from: time.Now().Add(20 * time.Second), to: time.Now().Add(20 * time.Minute), fail: verdict(consumer.Transient, code)}
				w.api.set(50*time.Millisecond, o.answer)
				r := w.start()
				for n := range 1000 { // before, within and after the outage's begin
					w.publish(int32(n%3), eventValue(n))
					time.Sleep(50 * time.Millisecond)
				}
				if p := r.Status().Paused; p == nil || p.Reason != consumer.PauseOutage {
					t.Errorf("paused: %+v", p)
				}
				w.awaitDrained(30 * time.Minute)
				if n := len(w.letterKeys()); n > 20 {
					t.Errorf("%d letters of 1000", n)
				}
			})
		})
	}
}

// TestPromise5_AFullMemoryThatAlwaysFails: more distinct events than there is room for, none of which can ever be answered well,
// are kept, and a pause says so; when they can be, all are deleted.
func TestPromise5_AFullMemoryThatAlwaysFails(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]int{"unreached": 0, "coded": 70107} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				const bad, good = 300, 50
				mended := time.Now().Add(time.Hour)
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if poisoned(c, bad) && time.Now().Before(mended) {
						return verdict(consumer.Transient, code)
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, bad+good)...)
				r := w.start(func(c *consumer.Config) { c.MaxInFlight = 50 })
				time.Sleep(time.Until(mended.Add(-time.Second)))
				if p := r.Status().Paused; p == nil || p.Reason != consumer.PauseOutage {
					t.Errorf("paused: %+v", p)
				}
				if n := len(w.letterKeys()); n > 0 {
					t.Errorf("%d letters", n)
				}
				w.awaitDrained(10 * time.Minute)
				w.wantDeletedOnce(0, bad+good)
			})
		})
	}
}

// TestPromise5_ReplaysByTheHundred: replays that fill an outage are kept as all events are; when it is over they are done.
func TestPromise5_ReplaysByTheHundred(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		o := &outage{from: time.Now(), to: time.Now().Add(30 * time.Minute), fail: verdict(consumer.Transient, 50004)}
		w.api.set(50*time.Millisecond, o.answer)
		for n := range 400 {
			w.produce(replayOf(int64(n), int32(n%3)))
		}
		r := w.start()
		time.Sleep(time.Minute)
		if p := r.Status().Paused; p == nil || p.Reason != consumer.PauseOutage {
			t.Errorf("paused: %+v", p)
		}
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("%d replays are dead letters again", n)
		}
	})
}

// TestASilentTopic: an event that is alone and gets error codes is a dead letter after six; one that can't be reached is kept until
// another event shows that the API is well.
func TestASilentTopic(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			switch c.Conversation {
			case conversation(0):
				return verdict(consumer.Transient, 50004)
			case conversation(1):
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		w.publish(0, eventValue(0))
		w.awaitDrained(2 * time.Minute)
		w.publish(0, eventValue(1))
		time.Sleep(time.Hour)
		if n := len(w.letterKeys()); n != 1 {
			t.Errorf("%d letters, want that of the coded one", n)
		}
		for n := range 60 {
			w.publish(0, eventValue(2+n))
			time.Sleep(15 * time.Second)
		}
		w.awaitDrained(time.Minute)
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d letters, want both", n)
		}
	})
}

// TestPromise5_APartialOutage: while 60 % of all calls fail, work goes on; the events that become dead letters have failed six
// times in a row, which chance makes of one in twenty.
func TestPromise5_APartialOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3}, func(w *world) {
		t := w.t
		from, to := time.Now().Add(10*time.Second), time.Now().Add(130*time.Second)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			if now := time.Now(); now.After(from) && now.Before(to) && rand.Float64() < .6 {
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.start()
		const each = 25
		n := 0
		for ; time.Now().Before(to); n += each {
			w.publish(int32(n/each%3), eventValues(n, n+each)...)
			time.Sleep(500 * time.Millisecond)
		}
		w.awaitDrained(10 * time.Minute)
		if letters := len(w.exhausted()); letters > n/10 {
			t.Errorf("%d letters of %d events", letters, n)
		}
		if pauses := strings.Count(w.log.String(), "calls paused"); pauses > 0 {
			t.Errorf("%d pauses", pauses)
		}
	})
}
