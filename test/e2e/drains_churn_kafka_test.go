//go:build kafka

package e2e

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
)

// churn is a run of 39 s in which members join and leave, with 3,000 events a second keyed to eight partitions.
type churn struct {
	s      *stage
	d      *deeds
	drains bool
	joins  int
	leaves int
}

// TestDrains_Churn has 18 joins and 16 leaves. With a drain and a last commit no event is repeated and all are in order.
// Without them, the events since the last commit are repeated.
func TestDrains_Churn(t *testing.T) {
	t.Parallel()
	for _, drains := range []bool{false, true} {
		t.Run(map[bool]string{false: "without", true: "with"}[drains], func(t *testing.T) {
			t.Parallel()
			c := &churn{s: newStage(t, 8, imtest.Config{}), d: newDeeds(), drains: drains}
			published := c.run()
			c.s.await(2*time.Minute, "all events done", func() bool { n, _ := c.d.count(); return n == published })
			_, again := c.d.count()
			t.Logf("%d joins, %d leaves, %d events, %d done again, %d out of order", c.joins, c.leaves, published, again, c.d.disordered)
			if drains && (again != 0 || c.d.disordered != 0) {
				t.Error("with a drain and a last commit: nothing is to be done again, or out of order")
			}
			if !drains && again == 0 {
				t.Error("without: nothing was done again, so this test tells nothing")
			}
		})
	}
}

// run publishes while members join and leave, and returns how many events were published.
func (c *churn) run() (published int) {
	ctx, cancel := context.WithTimeout(c.s.tb.Context(), 39*time.Second)
	defer cancel()
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for i := 0; pause(ctx, 20*time.Millisecond); i++ {
			var records []*kgo.Record
			for n := range 60 {
				records = append(records, &kgo.Record{Topic: c.s.topic, Partition: int32(n % 8), Value: []byte("event")})
			}
			if err := c.s.client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
				c.s.tb.Error(err)
			}
			published += len(records)
		}
	})
	var members []*groupMember
	for c.joins < 18 || len(members) > 2 {
		if c.joins < 18 {
			members = append(members, c.s.member(6*time.Second, 20*time.Second, c.work))
			c.joins++
			pause(ctx, 1100*time.Millisecond)
		}
		if len(members) > 3 || c.joins == 18 {
			members[0].leave()
			members = members[1:]
			c.leaves++
			pause(ctx, 1100*time.Millisecond)
		}
	}
	publishing.Wait()
	return published
}

// work executes the events of each partition in order. It commits every second, and at the end if the run asks for it.
func (c *churn) work(ctx context.Context, gen *kafka.Generation) {
	var mu sync.Mutex
	next := make(map[int]int64)
	commit := func() {
		mu.Lock()
		defer mu.Unlock()
		if len(next) == 0 {
			return
		}
		if err := gen.CommitOffsets(map[string]map[int]int64{c.s.topic: maps.Clone(next)}); err != nil && c.drains {
			c.s.tb.Logf("commit: %v", err)
		}
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx)) // work under way outlives the generation
	var partitions sync.WaitGroup
	for _, a := range gen.Assignments[c.s.topic] {
		next[a.ID] = max(0, a.Offset)
	}
	for _, a := range gen.Assignments[c.s.topic] {
		partitions.Go(func() {
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: c.s.brokers, Topic: c.s.topic, Partition: a.ID, MaxWait: 100 * time.Millisecond})
			defer func() { _ = r.Close() }()
			_ = r.SetOffset(max(0, a.Offset)) // it fails only for a closed reader
			for {
				m, err := r.FetchMessage(work)
				if err != nil {
					return
				}
				c.d.do(a.ID, m.Offset)
				mu.Lock()
				next[a.ID] = m.Offset + 1
				mu.Unlock()
			}
		})
	}
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		default:
			pause(ctx, time.Second)
			if ctx.Err() == nil {
				commit()
			}
		}
	}
	cancel()
	if c.drains {
		partitions.Wait()
		commit()
		return
	}
	go partitions.Wait()
}
