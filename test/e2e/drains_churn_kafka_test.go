//go:build kafka

package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/imclient/imtest"
)

// churn is a run in which members join and leave, with 3,000 events a second keyed to eight partitions. Each member makes one call
// after the other, so that the events of a partition are called in order.
type churn struct {
	s      *stage
	d      *deeds
	drains bool
	lasts  time.Duration
	// most is how many members join. Two of them stay.
	most          int
	joins, leaves int
}

// churner is a member of a churn. Its calls have no effect once it is killed.
type churner struct {
	*hosted
	killed context.CancelFunc
}

// mortal is the API of a churner.
type mortal struct {
	*deeds
	life context.Context
}

// Delete implements [consumer.API].
func (m mortal) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	if m.life.Err() != nil {
		<-ctx.Done()
		return consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}
	}
	return m.deeds.Delete(ctx, c)
}

// TestDrains_Churn has 18 joins and 16 leaves in 39 s. With a drain and a last commit no event is repeated and all are in order.
// Without them, as after a kill, the events since the last commit are repeated: 9 joins show that.
func TestDrains_Churn(t *testing.T) {
	t.Parallel()
	for _, drains := range []bool{false, true} {
		t.Run(map[bool]string{false: "without", true: "with"}[drains], func(t *testing.T) {
			t.Parallel()
			c := &churn{s: newStage(t, 8, imtest.Config{}), d: newDeeds(t), drains: drains, lasts: 39 * time.Second, most: 18}
			if !drains {
				c.lasts, c.most = c.lasts/2, c.most/2
			}
			published := c.run()
			c.s.await(2*time.Minute, "all events done", func() bool { n, _, _ := c.d.count(); return n == published && c.s.drained() })
			_, again, calledAgain := c.d.count()
			t.Logf("%d joins, %d leaves, %d events, %d done again, %d out of order", c.joins, c.leaves, published, again, c.d.disordered)
			if drains && (again != 0 || calledAgain != 0 || c.d.disordered != 0) {
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
	ctx, cancel := context.WithTimeout(c.s.tb.Context(), c.lasts)
	defer cancel()
	var publishing sync.WaitGroup
	publishing.Go(func() { published = c.publish(ctx) })
	var members []*churner
	for c.joins < c.most || len(members) > 2 {
		if c.joins < c.most {
			members = append(members, c.join())
			c.joins++
			pause(ctx, 1100*time.Millisecond)
		}
		if len(members) > 3 || c.joins == c.most {
			c.leave(members[0])
			members = members[1:]
			c.leaves++
			pause(ctx, 1100*time.Millisecond)
		}
	}
	publishing.Wait()
	return published
}

// publish publishes until ctx ends.
func (c *churn) publish(ctx context.Context) (published int) {
	began, next := time.Now(), make(map[int]int)
	for i := 0; pause(ctx, 20*time.Millisecond); i++ {
		var records []*kgo.Record
		for n := range 60 {
			p := n % 8
			records = append(records, c.s.numbered(began, p, next[p], 1)...)
			next[p]++
		}
		if err := c.s.client.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr(); err != nil {
			c.s.tb.Error(err)
		}
		published += len(records)
	}
	return published
}

func (c *churn) join() *churner {
	life, end := context.WithCancel(context.Background())
	h := c.s.host(mortal{c.d, life}, func(cfg *consumer.Config) {
		cfg.SessionTimeout, cfg.DrainTimeout, cfg.MaxCalls = shortSession, 5*time.Second, 1
	})
	return &churner{h, end}
}

func (c *churn) leave(m *churner) {
	if c.drains {
		m.stop()
		return
	}
	m.killed()
	m.wire.Sever()
	m.cancel()
}
