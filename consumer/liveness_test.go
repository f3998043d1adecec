package consumer_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
)

// TestLivez_NeverForOthers: neither an API that hangs or is down, nor a pause, nor brokers that fail, nor dead letters that nobody takes,
// nor an idle topic, nor a full memory makes a loop stand still.
func TestLivez_NeverForOthers(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{partitions: 2}, func(w *world) {
		r := w.start(func(c *consumer.Config) { c.MaxInFlight, c.MaxCalls = 8, 2 })
		alive := func(when string, d time.Duration) {
			w.t.Helper()
			for range 20 {
				time.Sleep(d / 20)
				if stuck := r.Stuck(); stuck != nil {
					w.t.Errorf("%s: %v", when, stuck)
				}
			}
		}
		alive("an idle topic", 10*time.Minute)
		w.api.set(10*time.Minute, nil)
		w.publish(0, eventValues(0, 30)...)
		alive("an API that hangs", 10*time.Minute)
		w.api.set(50*time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Halt, 60020) })
		w.publish(1, eventValues(30, 60)...)
		alive("a pause", 20*time.Minute)
		if r.Status().Paused == nil {
			w.t.Error("there was no pause")
		}
		w.api.set(50*time.Millisecond, nil)
		w.awaitDrained(10 * time.Minute)
		refused := w.refuseLetters()
		w.publish(0, []byte("garbage"))
		alive("dead letters that nobody takes", 10*time.Minute)
		refused.Remove()
		broken := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch, kmsg.OffsetCommit, kmsg.Metadata}, Err: kerr.KafkaStorageError, Count: -1})
		alive("brokers that fail", 10*time.Minute)
		broken.Remove()
		w.awaitDrained(10 * time.Minute)
	})
}

// lockedLog is a handler that takes lines until one with a message: that line is never written, as by a log whose reader does not read.
type lockedLog struct {
	slog.Handler
	message string
	free    chan struct{}
}

func (l lockedLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == l.message {
		<-l.free
	}
	return l.Handler.Handle(ctx, r)
}

func (l lockedLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lockedLog{l.Handler.WithAttrs(attrs), l.message, l.free}
}

// TestLivez_LoopThatStandsStill: a loop that can't go on is noticed after a minute, named, and no longer told of once it goes on.
func TestLivez_LoopThatStandsStill(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		free := make(chan struct{})
		r := w.start(func(c *consumer.Config) {
			c.Logger = slog.New(lockedLog{c.Logger.Handler(), "dead letter", free})
		})
		w.publish(0, []byte("garbage"))
		time.Sleep(50 * time.Second)
		if stuck := r.Stuck(); stuck != nil {
			w.t.Errorf("within the minute: %v", stuck)
		}
		time.Sleep(20 * time.Second)
		if stuck := r.Stuck(); len(stuck) != 1 || stuck[0].Name != "write dead letters" {
			w.t.Errorf("after a minute: %v", stuck)
		}
		close(free)
		w.awaitDrained(time.Minute)
		if stuck := r.Stuck(); stuck != nil {
			w.t.Errorf("when it goes on: %v", stuck)
		}
	})
}
