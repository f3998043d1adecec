package consumer_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/internal/testkit"
)

func userOf(c consumer.Call) int {
	user := -1
	_, _ = fmt.Sscanf(c.From, "user%d", &user)
	return user
}

func (w *world) classes() map[string]int {
	m := map[string]int{}
	seen := map[string]bool{}
	for _, l := range w.deadLetters() {
		if !seen[string(l.Key)] {
			seen[string(l.Key)] = true
			m[testkit.Header(l, "dlt-class")+" "+testkit.Header(l, "dlt-code")]++
		}
	}
	return m
}

// TestDeniedWithNothingPending: calls that are denied open the breaker while slow ones are under way; when those are answered nothing is
// pending, and the records to probe with are fetched all the same.
func TestDeniedWithNothingPending(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if n := userOf(c); n < 5 {
				time.Sleep(500 * time.Millisecond)
				return verdict(consumer.Permanent, 50003)
			} else if n < 100 {
				time.Sleep(3 * time.Second)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 100)...)
		w.start()
		time.Sleep(10 * time.Second)
		w.publish(0, eventValues(100, 110)...)
		testkit.Await(t, time.Minute, 6*time.Hour, "10 good events deleted", func() bool { return w.deleted(100, 110) == 10 })
	})
}

// TestDeniedForAllBehindAnOutage: where an outage ends in missing permission for all, five probes are dead letters, and no more.
func TestDeniedForAllBehindAnOutage(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]consumer.Answer{"outage": verdict(consumer.Transient, 0), "outage then halt": verdict(consumer.Halt, 70009)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				t := w.t
				began := time.Now()
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					switch d := time.Since(began); {
					case d < 20*time.Second:
						return verdict(consumer.Transient, 0)
					case d < 40*time.Second:
						return first
					case d < 10*time.Minute:
						return verdict(consumer.Permanent, 50003)
					}
					return verdict(consumer.Deleted, 0)
				})
				w.publish(0, eventValues(0, 1000)...)
				w.publish(1, eventValues(1000, 2000)...)
				w.start()
				w.awaitDrained(time.Hour)
				if m := w.classes(); len(w.letterKeys()) > 10 {
					t.Errorf("letters %v", m)
				}
			})
		})
	}
}

// TestOneConversationThatFillsTheBytes: one conversation that can't be reached fills max-in-flight-bytes; others get in.
func TestOneConversationThatFillsTheBytes(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if userOf(c) == 0 {
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		pad := bytes.Repeat([]byte("x"), 900<<10)
		for range 25 {
			w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(0), Headers: []kgo.RecordHeader{{Key: "pad", Value: pad}}})
		}
		w.publish(0, eventValues(1, 101)...)
		w.start()
		testkit.Await(t, time.Minute, 12*time.Hour, "100 good ones deleted", func() bool { return w.deleted(1, 101) == 100 })
	})
}

// TestPromise5_UnwrittenDeadLettersInAnOutage: dead letters that wait for their topic fill the memory in an outage; the few events beside them
// are kept.
func TestPromise5_UnwrittenDeadLettersInAnOutage(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer { return verdict(consumer.Transient, 0) })
		fault := w.refuseLetters()
		w.publish(0, eventValues(0, 2)...)
		var bad [][]byte
		for range 210 {
			bad = append(bad, []byte("no event"))
		}
		w.publish(0, bad...)
		w.start(func(c *consumer.Config) { c.MaxInFlight = 200 })
		time.Sleep(15 * time.Minute)
		fault.Remove()
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(time.Hour)
		if n := w.deleted(0, 2); n != 2 {
			t.Errorf("%d of 2 good ones deleted; letters %v", n, w.classes())
		}
	})
}

// TestPromise5_TheAnswerThatOpensTheBreaker: the event whose answer opens the breaker gets its failures back as all others do.
func TestPromise5_TheAnswerThatOpensTheBreaker(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		var over atomic.Bool
		var after [3]atomic.Int32
		var last atomic.Int32
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			n := userOf(c)
			if !over.Load() {
				last.Store(int32(n))
				return verdict(consumer.Transient, 50004)
			}
			if n < 3 && int32(n) == last.Load() && after[n].Add(1) <= 3 { // three failures of its own, of six allowed
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		w.publish(0, eventValues(0, 3)...)
		r := w.start()
		w.await(time.Minute, "a pause", func() bool { return r.Status().Paused != nil })
		t.Log("opened by", last.Load())
		over.Store(true)
		for n := range 30 {
			w.publish(0, eventValue(100+n))
			time.Sleep(2 * time.Second)
		}
		w.awaitDrained(time.Hour)
		if n := len(w.letterKeys()); n > 0 {
			t.Errorf("letters %v: %s", w.classes(), w.deadLetters()[0].Value)
			for _, h := range w.deadLetters()[0].Headers {
				t.Logf("%s: %s", h.Key, h.Value)
			}
		}
	})
}

// TestDeniedForAllAmongOthers: missing permission for all is told from other answers between.
func TestDeniedForAllAmongOthers(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]consumer.Answer{"refused": verdict(consumer.Permanent, 50001), "coded": verdict(consumer.Transient, 50004), "halted": verdict(consumer.Halt, 70009), "throttled": verdict(consumer.Throttled, 60007), "unreached": verdict(consumer.Transient, 0)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 1}, func(w *world) {
				t := w.t
				end := time.Now().Add(30 * time.Minute)
				w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					switch {
					case userOf(c)%4 == 0:
						return a
					case time.Now().Before(end):
						return verdict(consumer.Permanent, 50003)
					}
					return verdict(consumer.Deleted, 0)
				})
				w.start()
				for n := range 1000 {
					w.publish(0, eventValue(n))
					time.Sleep(200 * time.Millisecond)
				}
				time.Sleep(time.Until(end))
				if m := w.classes(); m["permanent 50003"] > 10 {
					t.Errorf("letters %v", m)
				}
			})
		})
	}
}

// TestPromise5_AnOutageOfAllKinds: while no call succeeds, whatever else the answers are, nothing is given up.
func TestPromise5_AnOutageOfAllKinds(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{.2, 1, 20} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				end := time.Now().Add(10 * time.Minute)
				w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer {
					if time.Now().After(end) {
						return verdict(consumer.Deleted, 0)
					}
					switch rand.IntN(10) {
					case 0:
						return verdict(consumer.Halt, 60020)
					case 1:
						time.Sleep(5 * time.Second)
						return verdict(consumer.Transient, 0)
					case 2, 3:
						return verdict(consumer.Throttled, 60007)
					}
					return verdict(consumer.Transient, 50004)
				})
				w.start()
				for n := 0; time.Now().Before(end); n++ {
					w.publish(0, eventValue(n))
					time.Sleep(time.Duration(float64(time.Second) / rate))
				}
				w.awaitDrained(time.Hour)
				if len(w.exhausted()) > 0 {
					t.Errorf("letters %v, pauses %d", w.classes(), strings.Count(w.log.String(), "calls paused"))
				}
				if w.api.most > 1 {
					t.Errorf("%d calls at once for a conversation", w.api.most)
				}
			})
		})
	}
}

// TestProbesOutliveGenerations: generations end while probes are under way: the next one probes again.
func TestProbesOutliveGenerations(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 4}, func(w *world) {
		t := w.t
		end := time.Now().Add(10 * time.Minute)
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if time.Now().Before(end) {
				time.Sleep(time.Duration(rand.IntN(5000)) * time.Millisecond)
				return verdict(consumer.Transient, 0)
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range int32(4) {
			w.publish(p, eventValues(int(p)*100, int(p)*100+100)...)
		}
		w.start()
		for range 12 { // generations come and go while probes are under way
			r := w.start()
			time.Sleep(time.Duration(10+rand.IntN(30)) * time.Second)
			r.stop()
		}
		w.awaitDrained(30 * time.Minute)
		w.wantDeletedOnce(0, 400)
		if w.api.most > 1 || len(w.letterKeys()) > 0 {
			t.Errorf("%d at once, letters %v", w.api.most, w.classes())
		}
	})
}
