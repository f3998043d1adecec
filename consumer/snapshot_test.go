package consumer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestSnapshotShowsTheOldest: the oldest events come first, each with what it waits for, until when, its attempts and its last error. One
// that ends is gone.
func TestSnapshotShowsTheOldest(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		t := w.t
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			switch c.From {
			case "user0":
				return consumer.Answer{Verdict: consumer.Transient, Code: 50004, Err: errors.New("user0 is away from friend")}
			case "user1":
				return verdict(consumer.Permanent, 50001)
			}
			return verdict(consumer.Deleted, 0)
		})
		refused := w.refuseLetters()
		published := time.Now()
		w.publish(0, eventValue(0))
		time.Sleep(10 * time.Millisecond)
		w.publish(1, eventValue(1))
		r := w.start(func(c *consumer.Config) { c.MaxAttempts, c.RetryInitial = 20, 10*time.Second })
		time.Sleep(3 * time.Second)
		w.publish(1, eventValues(2, 40)...)
		time.Sleep(10 * time.Second)
		s := r.Snapshot(20)
		if len(s.Oldest) != 2 {
			t.Fatalf("%+v", s.Oldest)
		}
		first, second := s.Oldest[0], s.Oldest[1]
		if first.Partition != 0 || first.Offset != 0 || first.State != consumer.StateWaiting || first.Attempts < 1 || first.Code != 50004 ||
			!first.Due.After(s.At) || first.Time.UnixMilli() != published.UnixMilli() || first.Conversation != conversation(0) {
			t.Errorf("the one that fails: %+v", first)
		}
		if got := consumer.WithoutAccounts(first.Err); got != "[account] is away from [account]" {
			t.Errorf("its error without accounts: %q", got)
		}
		if second.Partition != 1 || second.Offset != 0 || !slices.Contains([]consumer.EventState{consumer.StateDeadLetter, consumer.StateEnding}, second.State) {
			t.Errorf("the one whose dead letter can't be written: %+v", second)
		}
		if n := len(r.Snapshot(1).Oldest); n != 1 {
			t.Errorf("%d of 1", n)
		}
		if s.Counts.Ended[consumer.OutcomeDeleted] != 38 || s.Counts.Calls < 40 || s.Counts.Failed != s.Counts.Calls-38 || len(s.Counts.Letters) != 0 ||
			len(s.Partitions) != 2 || s.Share == 0 || s.Unfinished.Total() != 2 {
			t.Errorf("%+v", s)
		}
		refused.Remove()
		w.await(time.Minute, "the dead letter is written", func() bool { return len(r.Snapshot(20).Oldest) == 1 })
		if got := r.Snapshot(0).Counts.Letters; !slices.Equal(got, []consumer.LetterCount{{Class: consumer.OutcomePermanent, Code: "50001", Letters: 1}}) {
			t.Errorf("letters: %+v", got)
		}
	})
}

// TestStatusWithoutKafka: while no broker answers, the status says so, and since when; also before the group was ever joined. What brokers
// answer is not that.
func TestStatusWithoutKafka(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		r := w.start()
		w.publish(0, eventValues(0, 10)...)
		w.awaitDrained(time.Minute)
		if s := r.Status(); !s.Live || s.Unreached != "" || s.Draining {
			t.Fatalf("working: %+v", s)
		}
		away := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: testTopic, Err: kerr.NotLeaderForPartition, Count: -1})
		time.Sleep(30 * time.Second)
		if s := r.Status(); s.Unreached != "" {
			t.Errorf("brokers that answer: %+v", s)
		}
		away.Remove()
		w.awaitDrained(time.Minute)
		lost := time.Now()
		w.kafka.Close()
		time.Sleep(30 * time.Second)
		first := r.Status()
		if first.Live || first.Unreached == "" || first.Since.Before(lost) {
			t.Errorf("without Kafka: %+v", first)
		}
		time.Sleep(2 * time.Minute)
		if s := r.Status(); s.Unreached == "" || !s.Since.Equal(first.Since) {
			t.Errorf("for longer: %+v, before %+v", s, first)
		}
	})
}

// TestStatusWhileDraining: a replica that was told to stop says so, while its calls end.
func TestStatusWhileDraining(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		w.api.set(10*time.Second, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Deleted, 0) })
		w.publish(0, eventValues(0, 10)...)
		r := w.start(func(c *consumer.Config) { c.CallTimeout, c.DrainTimeout = 30*time.Second, 30*time.Second })
		w.await(time.Minute, "calls are under way", func() bool { return r.Unfinished().Calling > 0 })
		r.cancel()
		time.Sleep(time.Second)
		s := r.Snapshot(20)
		if !s.Status.Draining || !s.Status.Stopping || s.Status.Live || s.Unfinished.Calling == 0 || len(s.Oldest) == 0 || !strings.Contains(s.Status.Absent, "told to stop") {
			w.t.Errorf("%+v", s)
		}
	})
}

// TestSnapshotsMeanwhile: snapshots are taken all the time while events fail, end, become dead letters and wait for their outcomes. Under the
// race detector this says that they may be. Each event that one shows has a state, and the oldest comes first.
func TestSnapshotsMeanwhile(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 3, kafka: []kfake.Opt{kfake.SeedTopics(1, "outcomes")}}, func(w *world) {
		w.api.set(50*time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
			switch c.From[len(c.From)-1] {
			case '3':
				return verdict(consumer.Transient, 50004)
			case '7':
				return verdict(consumer.Permanent, 50001)
			}
			return verdict(consumer.Deleted, 0)
		})
		for p := range 3 {
			w.publish(int32(p), eventValues(1000*p, 1000*p+300)...)
		}
		r := w.start(func(c *consumer.Config) { c.OutcomeTopic, c.MaxAttempts = "outcomes", 3 })
		seen := map[consumer.EventState]bool{}
		for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(3 * time.Millisecond) {
			s := r.Snapshot(20)
			for i, e := range s.Oldest {
				seen[e.State] = true
				if i > 0 && e.Time.Before(s.Oldest[i-1].Time) || len(s.Oldest) > 20 {
					w.t.Fatalf("%+v", s.Oldest)
				}
			}
		}
		if !seen[consumer.StateReady] || !seen[consumer.StateCalling] || !seen[consumer.StateWaiting] {
			w.t.Errorf("seen: %v", seen)
		}
		w.awaitDrained(time.Minute)
		if n := len(r.Snapshot(20).Oldest); n != 0 {
			w.t.Errorf("%d are left", n)
		}
	})
}
