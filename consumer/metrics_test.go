package consumer_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit"
)

// partitionsOf are the labels of a metric that has one for each partition, in order.
func (r *replica) partitionsOf(name string) []string {
	var labels []string
	for s := range testkit.Series(r.w.t, r.registry) {
		if label, ok := strings.CutPrefix(s, name+`{partition="`); ok {
			labels = append(labels, strings.TrimSuffix(label, `"}`))
		}
	}
	slices.Sort(labels)
	return labels
}

// wantSeries checks the values of some series; NaN is one that must not be there.
func (r *replica) wantSeries(when string, want map[string]float64) {
	r.w.t.Helper()
	got := testkit.Series(r.w.t, r.registry)
	for name, n := range want {
		if value, there := got[name]; there == math.IsNaN(n) || there && value != n {
			r.w.t.Errorf("%s: %s is %v (%v), want %v", when, name, value, there, n)
		}
	}
}

// TestUnfinishedIsNotLag: an event that fails holds the watermark, and with it the lag. What has ended above it is not unfinished. The
// oldest one's time is that event's, and gone with its end.
func TestUnfinishedIsNotLag(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(0) {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		published := time.Now()
		w.publish(0, eventValues(0, 200)...)
		r := w.start(func(c *consumer.Config) { c.MaxAttempts = 20 })
		time.Sleep(20 * time.Second)
		w.publish(0, eventValues(200, 210)...)
		time.Sleep(time.Second)
		w.await(time.Second, "the attempt under way to end", func() bool {
			return testkit.Series(w.t, r.registry)[`convdel_in_flight{state="calling"}`] == 0
		})
		const oldest = "convdel_oldest_unfinished_timestamp_seconds"
		waits := map[string]float64{
			`convdel_lag{partition="0"}`: 210, `convdel_unfinished{partition="0"}`: 1, oldest + `{partition="0"}`: float64(published.UnixMilli()) / 1000,
			`convdel_lag{partition="1"}`: 0, `convdel_unfinished{partition="1"}`: 0, oldest + `{partition="1"}`: math.NaN(),
			`convdel_in_flight{state="waiting"}`: 1, `convdel_in_flight{state="ready"}`: 0, `convdel_in_flight{state="calling"}`: 0,
			`convdel_in_flight{state="dead_letter"}`: 0, `convdel_in_flight{state="outcome"}`: 0,
			`convdel_calls_total{code="0",reason=""}`: 209, `convdel_events_total{outcome="deleted"}`: 209,
		}
		r.wantSeries("while an event waits", waits)
		want := []consumer.OwnedPartition{
			{Partition: 0, Committed: 0, End: 210, Lag: 210, Unfinished: 1, Oldest: published.Truncate(time.Millisecond)}, {Partition: 1},
		}
		got := r.Owned()
		for i := range got {
			got[i].Oldest = got[i].Oldest.UTC()
			want[i].Oldest = want[i].Oldest.UTC()
		}
		if !slices.Equal(got, want) {
			w.t.Errorf("owned: %+v, want %+v", got, want)
		}
		if last := r.metric("convdel_last_success_timestamp_seconds"); last < float64(time.Now().Add(-2*time.Second).Unix()) || last > float64(time.Now().Unix())+1 {
			w.t.Errorf("the last success was at %v", last)
		}
		w.awaitDrained(10 * time.Minute)
		r.wantSeries("drained", map[string]float64{
			`convdel_lag{partition="0"}`: 0, `convdel_unfinished{partition="0"}`: 0, oldest + `{partition="0"}`: math.NaN(),
			`convdel_in_flight{state="waiting"}`: 0, `convdel_dead_letters_total{class="exhausted",code="50004"}`: 1,
		})
		if got := r.Owned(); got[0].Committed != 210 {
			w.t.Errorf("committed: %+v", got)
		}
	})
}

// TestUnreadRecordsAreUnfinished: records that can't be read are unfinished, since their end was seen.
func TestUnreadRecordsAreUnfinished(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		r := w.start()
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		broken := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.NotLeaderForPartition, Count: -1})
		time.Sleep(time.Second)
		published := time.Now()
		w.publish(0, eventValues(10, 25)...)
		time.Sleep(time.Minute)
		got := r.Owned()[0]
		if got.Unfinished != 15 || got.Lag != 15 || got.Oldest.Before(published) || got.Oldest.After(published.Add(30*time.Second)) {
			w.t.Errorf("%+v, published %s", got, published)
		}
		broken.Remove()
		w.awaitDrained(time.Minute)
		if got := r.Owned()[0]; got.Unfinished != 0 || !got.Oldest.IsZero() {
			w.t.Errorf("drained: %+v", got)
		}
	})
}

// TestPausesAreCounted: how many there were for each reason, and how long, the present one included.
func TestPausesAreCounted(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		var answer atomic.Value
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { a, _ := answer.Load().(consumer.Answer); return a })
		answer.Store(verdict(consumer.Deleted, 0))
		w.publish(0, eventValues(0, 6000)...)
		r := w.start()
		lasted := func(reason string) float64 { return r.labelled("convdel_paused_seconds_total", reason) }
		time.Sleep(3 * time.Second)
		for n := 1; n <= 2; n++ {
			answer.Store(verdict(consumer.Halt, 60020))
			w.await(10*time.Second, "a pause", func() bool { return r.pausedFor("halt") == 1 })
			before := lasted("halt")
			time.Sleep(40 * time.Second)
			if more := lasted("halt") - before; math.Abs(more-40) > .1 {
				w.t.Errorf("40 seconds of a pause count as %v", more)
			}
			answer.Store(verdict(consumer.Deleted, 0))
			w.await(time.Minute, "its end", func() bool { return r.pausedFor("halt") == 0 })
			after := lasted("halt")
			time.Sleep(time.Second)
			if after != lasted("halt") || r.labelled("convdel_pauses_total", "halt") != float64(n) {
				w.t.Errorf("after pause %d: %v, then %v seconds", n, after, lasted("halt"))
			}
		}
		for _, reason := range []string{"outage", "denied", "lists"} {
			if r.labelled("convdel_pauses_total", reason) != 0 || lasted(reason) != 0 {
				w.t.Errorf("pauses for the reason %s", reason)
			}
		}
	})
}

// TestLabelsAreBounded: whatever codes and reasons the API's client brings, and whatever partitions come and go, there are no more series
// than there were, apart from those of the partitions that are owned.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 12}, func(w *world) {
		var n atomic.Int64
		w.api.set(10*time.Millisecond, func(consumer.Call, int) consumer.Answer {
			switch i := int(n.Add(1)); i % 4 {
			case 0:
				return verdict(consumer.Permanent, 1_000_000+i)
			case 1:
				a := verdict(consumer.Transient, 0)
				a.Reason = fmt.Sprintf("reason %d", i)
				return a
			case 2:
				return verdict(consumer.Transient, -i)
			}
			return verdict(consumer.Deleted, 0)
		})
		first := w.start()
		w.await(time.Minute, "all partitions read", func() bool { return len(first.partitionsOf("convdel_unfinished")) == 12 })
		atFirst := slices.Sorted(maps.Keys(testkit.Series(w.t, first.registry)))
		for p := range int32(12) {
			w.publish(p, eventValues(int(p)*100, int(p)*100+100)...)
		}
		w.awaitDrained(10 * time.Minute)
		if first.labelled("convdel_lists_total", "other") != 0 || first.labelled("convdel_calls_total", "other") < 500 || first.metric("convdel_dead_letters_total") < 200 {
			w.t.Error("strange codes are not counted")
		}
		if now := slices.Sorted(maps.Keys(testkit.Series(w.t, first.registry))); !slices.Equal(now, atFirst) {
			w.t.Errorf("%d series, and %d at first: %v", len(now), len(atFirst), now)
		}
		second := w.start()
		w.await(time.Minute, "the partitions shared", func() bool {
			return len(first.partitionsOf("convdel_lag")) == 6 && len(second.partitionsOf("convdel_lag")) == 6
		})
		if both := slices.Sorted(slices.Values(slices.Concat(first.partitionsOf("convdel_unfinished"), second.partitionsOf("convdel_unfinished")))); len(slices.Compact(both)) != 12 {
			w.t.Errorf("partitions %v", both)
		}
		first.stop()
		if left := slices.Concat(first.partitionsOf("convdel_lag"), first.partitionsOf("convdel_unfinished"), first.partitionsOf("convdel_oldest_unfinished_timestamp_seconds")); len(left) > 0 {
			w.t.Errorf("a replica that has ended has the partitions %v", left)
		}
		w.await(time.Minute, "all partitions taken over", func() bool { return len(second.partitionsOf("convdel_unfinished")) == 12 })
	})
}

// exemplars are the trace IDs in a metric, with the labels of their series.
func (r *replica) exemplars(name string) map[string]bool {
	r.w.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	found := map[string]bool{}
	note := func(e *dto.Exemplar) {
		for _, l := range e.GetLabel() {
			found[l.GetName()+"="+l.GetValue()] = true
		}
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			note(m.GetCounter().GetExemplar())
			for _, b := range m.GetHistogram().GetBucket() {
				note(b.GetExemplar())
			}
		}
	}
	return found
}

// TestTracesAreExemplars: what is counted for an event names the trace of its publisher, if that keeps it, without any setting.
func TestTracesAreExemplars(t *testing.T) {
	t.Parallel()
	const deleted, failed, dropped = "0af7651916cd43dd8448eb211c80319c", "1af7651916cd43dd8448eb211c80319c", "2af7651916cd43dd8448eb211c80319c"
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			if c.Conversation == conversation(2) {
				return verdict(consumer.Transient, 50004)
			}
			return verdict(consumer.Deleted, 0)
		})
		for n, parent := range map[int]string{1: "00-" + deleted + "-b7ad6b7169203331-01", 2: "00-" + failed + "-b7ad6b7169203331-01", 3: "00-" + dropped + "-b7ad6b7169203331-00"} {
			w.produce(&kgo.Record{Topic: testTopic, Value: eventValue(n), Headers: []kgo.RecordHeader{{Key: "traceparent", Value: []byte(parent)}}})
		}
		w.publish(0, eventValues(4, 10)...)
		r := w.start()
		w.awaitDrained(5 * time.Minute)
		of := func(traces ...string) map[string]bool {
			all := map[string]bool{}
			for _, trace := range traces {
				all["trace_id="+trace] = true
			}
			return all
		}
		for name, want := range map[string]map[string]bool{
			"convdel_events_total": of(deleted, failed), "convdel_event_age_seconds": of(deleted, failed), "convdel_calls_total": of(deleted, failed),
			"convdel_retries_total": of(failed), "convdel_dead_letters_total": of(failed), "convdel_commits_total": of(),
		} {
			if got := r.exemplars(name); !maps.Equal(got, want) {
				w.t.Errorf("%s has the exemplars %v, want %v", name, got, want)
			}
		}
		if got := r.exemplars("convdel_call_duration_seconds"); len(got) == 0 || got["trace_id="+dropped] {
			w.t.Errorf("the duration of calls has the exemplars %v", got)
		}
	})
}
