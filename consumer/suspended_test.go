package consumer_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// standing is a log that takes no line for a while, from the first line with a text on.
type standing struct {
	slog.Handler

	stands func(message string) time.Duration
}

func (s standing) Handle(ctx context.Context, r slog.Record) error {
	time.Sleep(s.stands(r.Message))
	return s.Handler.Handle(ctx, r)
}

func (s standing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return standing{s.Handler.WithAttrs(attrs), s.stands}
}

func (s standing) WithGroup(name string) slog.Handler {
	return standing{s.Handler.WithGroup(name), s.stands}
}

// standsAt has a replica's log stand for a time at each line with a text, once on is set.
func standsAt(text string, d time.Duration, on *atomic.Bool) func(*consumer.Config) {
	return func(c *consumer.Config) {
		c.Logger = slog.New(standing{c.Logger.Handler(), func(message string) time.Duration {
			if message == text && on.Load() {
				return d
			}
			return 0
		}})
	}
}

// TestMembershipThatStandsMakesNoCalls: what keeps a replica in the group stands still, since its log takes no line, while commits keep
// its session alive. Its calls end before others get its partitions, although nothing orders that.
func TestMembershipThatStandsMakesNoCalls(t *testing.T) {
	t.Parallel()
	for name, unbound := range map[string]func(*consumer.Config){
		"partitions": func(*consumer.Config) {},
		"local":      func(c *consumer.Config) { c.ShareByPartitions = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 2}, func(w *world) {
				w.coordinate()
				w.publishNumbered(2, 10_000)
				stands, api := new(atomic.Bool), newFakeAPI()
				w.start(unbound, standsAt("generation begins", 2*time.Minute, stands), func(c *consumer.Config) { c.API = api })
				time.Sleep(5 * time.Second)
				stands.Store(true)
				second := w.start(unbound)
				time.Sleep(5 * time.Second)
				third := w.start(unbound) // the rebalance ends without the first
				w.await(time.Minute, "the others have all partitions", func() bool { return second.Status().Partitions == 1 && third.Status().Partitions == 1 })
				alone := time.Now()
				time.Sleep(10 * time.Second)
				for _, c := range api.made() {
					if late := c.began.Sub(alone); late > 0 {
						w.t.Fatalf("a call %s after the other replicas have got all partitions", late)
					}
				}
				stands.Store(false)
			})
		})
	}
}

// heldAPI answers nothing before a call is cut off, and notes when that is.
type heldAPI struct{ began, cut chan time.Time }

func (a heldAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	c.Sent()
	a.began <- time.Now()
	<-ctx.Done()
	a.cut <- time.Now()
	return consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}
}

// TestLossComesBeforeItsLine: a log that takes no line does not hold up the end of the work on partitions that are lost.
func TestLossComesBeforeItsLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"the membership is lost", "work given up, another member will do it again"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				w.publish(0, eventValues(0, 1)...)
				stands, api := new(atomic.Bool), heldAPI{make(chan time.Time, 10), make(chan time.Time, 10)}
				stands.Store(true)
				w.start(standsAt(text, 10*time.Second, stands), func(c *consumer.Config) { c.API = api })
				<-api.began
				w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID, Count: 1})
				lost := time.Now()
				if late := (<-api.cut).Sub(lost); late > time.Second {
					w.t.Errorf("the call is cut off after %s", late)
				}
				stands.Store(false)
			})
		})
	}
}
