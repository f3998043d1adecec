package consumer_test

import (
	"testing"
	"time"

	"convdel/consumer"
)

// TestUnfinished: what a stop leaves undone is counted by state: calls cut off, events never called, events that waited, dead letters that
// nobody took.
func TestUnfinished(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start(func(c *consumer.Config) {
			c.MaxCalls, c.DrainTimeout, c.RetryInitial, c.RetryMax = 2, 5*time.Second, time.Hour, time.Hour
		})
		w.api.set(50*time.Millisecond, nil)
		w.publish(0, eventValues(0, 3)...)
		w.awaitDrained(time.Minute)
		if got := r.Unfinished(); got != (consumer.Unfinished{}) {
			t.Errorf("when all is done: %+v", got)
		}
		w.refuseLetters()
		w.publish(0, []byte("garbage"))
		time.Sleep(time.Second)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Transient, 50004) })
		w.publish(0, eventValue(10))
		time.Sleep(5 * time.Second)
		w.api.set(time.Hour, nil)
		w.publish(0, eventValues(20, 25)...)
		time.Sleep(5 * time.Second)
		want := consumer.Unfinished{Ready: 3, Waiting: 1, Calling: 2, DeadLetters: 1}
		if got := r.Unfinished(); got != want || got.Total() != 7 {
			t.Errorf("at work: %+v, want %+v", got, want)
		}
		if took := r.stop(); took < 5*time.Second {
			t.Errorf("the drain took %s", took)
		}
		if got := r.Unfinished(); got != want {
			t.Errorf("after the drain: %+v, want %+v", got, want)
		}
	})
}
