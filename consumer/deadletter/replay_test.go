package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/deadletter"
	"convdel/internal/testkit"
	"convdel/schema"
)

func TestReplayPublishesThenSettles(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2, func(d *schema.DeadLetter) { d.Replays, d.ReplayOf = 1, source+"/0/1000" }))
		table := s.open()
		defer table.Close()
		var done []string
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, func(l *deadletter.Letter) { done = append(done, l.ID()) })
		if err != nil || plan.Settled != 3 || plan.Classes[schema.ClassExhausted] != 3 || len(done) != 3 {
			s.t.Fatalf("plan %+v, %v; done %v", plan, err, done)
		}
		s.wantOpen()
		records := s.published()
		if len(records) != 3 {
			s.t.Fatalf("%d records published", len(records))
		}
		for _, r := range records {
			var n int64
			if _, err := fmt.Sscanf(string(r.Key), "key%d", &n); err != nil || string(r.Value) != string(value(n)) {
				s.t.Errorf("record %q %q: %v", r.Key, r.Value, err)
			}
			headers := make([]schema.Header, len(r.Headers))
			for i, h := range r.Headers {
				headers[i] = schema.Header{Key: h.Key, Value: h.Value}
			}
			origin, ok := schema.Origin(headers)
			want := 1
			if n == 2 {
				want = 2
			}
			if !ok || origin.ID() != letter(n).ID() || origin.Replays != want || headers[0].Key != "trace" {
				s.t.Errorf("record of letter %d: origin %+v, %t, headers %v", n, origin, ok, headers)
			}
		}
	})
}

func TestReplayLeavesAlone(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0, func(d *schema.DeadLetter) { d.Timestamp = time.Now().Add(-25 * time.Hour) }),
			letter(1, func(d *schema.DeadLetter) { d.Class = schema.ClassPermanent }),
			letter(2, func(d *schema.DeadLetter) { d.Topic = "elsewhere" }),
			letter(3), letter(4))
		table := s.open()
		defer table.Close()
		c := deadletter.Choice{Topic: source, MaxAge: 24 * time.Hour, Filter: deadletter.Filter{Limit: 1}}
		plan, err := table.PlanReplay(s.t.Context(), c)
		if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftTooOld] != 1 || plan.Left[deadletter.LeftNotNamed] != 1 ||
			plan.Left[deadletter.LeftOtherTopic] != 1 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		if len(s.published()) != 0 {
			s.t.Fatal("a plan has published something")
		}
		if _, err := table.Replay(s.t.Context(), c, nil); err != nil {
			s.t.Fatal(err)
		}
		if n := len(s.published()); n != 1 {
			s.t.Errorf("%d records published, the limit is 1", n)
		}
		c.Filter = deadletter.Filter{Classes: []schema.Class{schema.ClassPermanent}}
		if plan, err := table.Replay(s.t.Context(), c, nil); err != nil || plan.Settled != 1 {
			s.t.Errorf("a class that is named: plan %+v, %v", plan, err)
		}
		if got := len(s.ids(deadletter.Filter{})); got != 3 {
			s.t.Errorf("%d letters left open", got)
		}
	})
}

// TestReplayKilledAnywhere cuts the operator off at each step of a letter. No letter is lost, and the next run publishes at
// most the letter in hand a second time.
func TestReplayKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		step  string
		topic string
	}{
		{"while publishing", source},
		{"while settling", dlt},
	} {
		t.Run(tc.step, func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				s.put(letter(0), letter(1), letter(2), letter(3), letter(4))
				network := testkit.NewDialer(s.network.DialContext)
				seen := 0
				s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: tc.topic, Observe: true, Count: 3, When: func(kmsg.Request) bool {
					if seen++; seen == 3 {
						go network.Sever()
					}
					return true
				}})
				cluster := s.cluster()
				cluster.Dial = network.DialContext
				table, err := deadletter.Open(s.t.Context(), cluster, dlt)
				if err != nil {
					s.t.Fatal(err)
				}
				_, err = table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
				table.Close()
				if _, failed := errors.AsType[*deadletter.SettleError](err); !failed {
					s.t.Fatalf("replay returned %v", err)
				}
				again := s.open()
				defer again.Close()
				if _, err := again.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil); err != nil {
					s.t.Fatal(err)
				}
				s.wantOpen()
				times := map[string]int{}
				for _, r := range s.published() {
					times[string(r.Key)]++
				}
				if len(times) != 5 {
					s.t.Errorf("letters lost: %v", times)
				}
				if n := len(s.published()); n > 6 {
					s.t.Errorf("%d records published for 5 letters: more than the letter in hand is repeated: %v", n, times)
				}
			})
		})
	}
}

// TestReplayInterrupted: a cancelled context ends a replay between two letters.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2), letter(3))
		table := s.open()
		defer table.Close()
		ctx, cancel := context.WithCancel(s.t.Context())
		plan, err := table.Replay(ctx, deadletter.Choice{Topic: source}, func(l *deadletter.Letter) {
			if l.Offset == 1 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || plan.Settled != 2 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen(2, 3)
		if n := len(s.published()); n != 2 {
			s.t.Errorf("%d records published", n)
		}
	})
}

func TestRateOfReplay(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(20) {
			s.putTo(int32(o%3), letter(o), value(o))
		}
		table := s.open()
		defer table.Close()
		began := time.Now()
		if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, Rate: 2}, nil); err != nil {
			s.t.Fatal(err)
		}
		if took := time.Since(began); took < 9500*time.Millisecond || took > 12*time.Second {
			s.t.Errorf("20 letters at 2 a second took %s", took)
		}
	})
}

// TestTwoOperators: two operators replay the same letters at the same time. Each letter is published once or twice, and all
// are settled.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(50) {
			s.putTo(int32(o%3), letter(o), value(o))
		}
		var operators sync.WaitGroup
		for range 2 {
			table := s.open()
			operators.Go(func() {
				defer table.Close()
				if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil); err != nil {
					s.t.Error(err)
				}
			})
		}
		operators.Wait()
		s.wantOpen()
		times := map[string]int{}
		for _, r := range s.published() {
			times[string(r.Key)]++
		}
		if len(times) != 50 {
			s.t.Errorf("%d letters published, want 50", len(times))
		}
		for key, n := range times {
			if n > 2 {
				s.t.Errorf("%s published %d times", key, n)
			}
		}
	})
}
