package consumer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer/internal/offsets"
	"convdel/schema"
)

// TestGiveLeavesWhatWaits: of a partition that is given up, events that wait for a call, a retry or a list are left at once, and those that are
// called when they would wait again. Events of other partitions stay, those of the same conversation too.
func TestGiveLeavesWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := testQueue(t)
		q.lists = newListQueue(Config{RevivedCheck: time.Hour, Metrics: NewMetrics(prometheus.NewRegistry())}, q.breaker, q.spacing)
		var left []string
		q.leave = func(ev *event) { left = append(left, ev.id("t")) }
		given, kept := newPartition(0, offsets.At(0), offsets.NoEpoch), newPartition(1, offsets.At(0), offsets.NoEpoch)
		join := func(p *partition, offset int64, of string, age time.Duration) {
			q.join(&event{
				record: record{partition: p, offset: offset}, at: time.Now().Add(-age),
				conversation: schema.Conversation{From: of, Type: schema.C2C, To: "friend"},
			})
		}
		failed := Answer{Verdict: Transient, Code: 50004, Err: errUnanswered}
		join(given, 0, "retry", 0)
		retried, _ := q.take(false)
		q.answered(retried, failed)
		join(given, 1, "called", 0)
		join(kept, 2, "called", 0)
		called, _ := q.take(false)
		join(given, 3, "ready", time.Second)
		join(given, 4, "shared", time.Minute)
		join(kept, 5, "shared", time.Second)
		join(given, 6, "listed", 2*time.Hour)
		join(kept, 7, "listed", 2*time.Hour)
		q.give(given)
		slices.Sort(left)
		if want := []string{"t/0/0", "t/0/3", "t/0/4", "t/0/6"}; !slices.Equal(left, want) {
			t.Errorf("left %v, want %v", left, want)
		}
		if u := q.unfinished(); u.Calling != 2 || u.Ready != 1 || u.Waiting != 1 {
			t.Errorf("%+v", u)
		}
		q.answered(called, failed)
		if last := left[len(left)-1]; len(left) != 5 || last != "t/0/1" {
			t.Errorf("left %v after the call", left)
		}
		time.Sleep(time.Minute)
		q.promote(time.Now())
		var next []string
		for p, _ := q.take(false); p != nil; p, _ = q.take(false) {
			for _, ev := range p.calling {
				next = append(next, ev.id("t"))
			}
		}
		slices.Sort(next)
		if want := []string{"t/1/2", "t/1/5"}; !slices.Equal(next, want) {
			t.Errorf("called %v, want %v", next, want)
		}
	})
}
