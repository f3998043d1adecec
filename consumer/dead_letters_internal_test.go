package consumer

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
)

// writerFunc is a [messageWriter].
type writerFunc func(ctx context.Context, messages ...kafka.Message) error

func (f writerFunc) WriteMessages(ctx context.Context, messages ...kafka.Message) error {
	return f(ctx, messages...)
}

// writing is dead letters at work in virtual time.
type writing struct {
	*deadLetters
	// ended has the offsets of events that have ended, in order.
	ended chan int64
	stop  context.CancelFunc
}

// startWriting writes dead letters with a function for each way to write them, all with the same one if there is only one.
func startWriting(t *testing.T, write ...writerFunc) *writing {
	t.Helper()
	write = append(write, write[0], write[0])
	w := &writing{ended: make(chan int64, 100)}
	w.deadLetters = newDeadLetters(deadLettersConfig{
		from: provenance{topic: "events", group: "group"}, topic: "dead",
		writers:  deadLetterWriters{many: write[0], alone: write[1], compressed: write[2]},
		capacity: testCapacity(100, 1<<20), metrics: NewMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler),
		written: func(ev *event, _ Outcome) { w.ended <- ev.offset },
	})
	ctx, cancel := context.WithCancel(t.Context())
	w.stop = cancel
	go w.run(ctx)
	return w
}

func (w *writing) addNumbered(offsets ...int64) {
	for _, o := range offsets {
		w.add(&event{record: record{partition: &partition{id: 3}, offset: o}}, OutcomePermanent)
	}
}

// TestDeadLettersEndWhenAcknowledged: no event ends before the write of its dead letter has returned without an error, and each
// ends once.
func TestDeadLettersEndWhenAcknowledged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := true
		w := startWriting(t, func(ctx context.Context, _ ...kafka.Message) error {
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			if broken {
				return errRefused
			}
			return nil
		})
		defer w.stop()
		w.addNumbered(1, 2, 3)
		time.Sleep(time.Minute)
		if n, why := w.unacknowledged(); n != 3 || why == nil || len(w.ended) > 0 {
			t.Errorf("%d are not acknowledged, because of %v; %d have ended", n, why, len(w.ended))
		}
		broken = false
		w.wait()
		ended := []int64{<-w.ended, <-w.ended, <-w.ended}
		slices.Sort(ended)
		if n, _ := w.unacknowledged(); n != 0 || !slices.Equal(ended, []int64{1, 2, 3}) || len(w.ended) > 0 {
			t.Errorf("%v have ended, and %d more; %d are not acknowledged", ended, len(w.ended), n)
		}
	})
}

// TestDeadLettersRefusedOneByOne: where a broker refuses one of a batch, the others end at once, and that one is written smaller
// without a wait.
func TestDeadLettersRefusedOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var ways []string
		refuse := func(way string) writerFunc {
			return func(_ context.Context, messages ...kafka.Message) error {
				ways = append(ways, way)
				errs := make(kafka.WriteErrors, len(messages))
				for i, m := range messages {
					if string(m.Key) == "events/3/2" && (way != "compressed" || len(ways) < 5) {
						errs[i] = kafka.MessageSizeTooLarge
					}
				}
				if errs.Count() == 0 {
					return nil
				}
				return errs
			}
		}
		w := startWriting(t, refuse("many"), refuse("alone"), refuse("compressed"))
		defer w.stop()
		w.addNumbered(1, 2, 3)
		w.wait()
		if got := []int64{<-w.ended, <-w.ended, <-w.ended}; !slices.Equal(got, []int64{1, 3, 2}) {
			t.Errorf("ended in the order %v", got)
		}
		if want := []string{"many", "alone", "compressed", "compressed", "compressed"}; !slices.Equal(ways, want) || time.Since(began) > 0 {
			t.Errorf("written as %v within %s, want %v", ways, time.Since(began), want)
		}
	})
}

// TestDeadLettersGivenUp: once closed, what waits and what fails is given up without an end, and nothing is taken.
func TestDeadLettersGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := startWriting(t, func(ctx context.Context, _ ...kafka.Message) error { return pause(ctx, time.Hour) })
		for offset := range int64(50) {
			w.addNumbered(offset)
			synctest.Wait()
		}
		if n, _ := w.unacknowledged(); n != 50 {
			t.Fatalf("%d are not acknowledged, want 50", n)
		}
		w.stop()
		w.close()
		w.wait()
		w.addNumbered(50)
		if n, _ := w.unacknowledged(); n != 0 || len(w.ended) > 0 {
			t.Errorf("%d are not acknowledged, %d have ended", n, len(w.ended))
		}
	})
}

// TestCutBetweenAttempts: a partition is cut off while its dead letter waits for its next attempt. There is none, the letter is given up, and its write counts
// until then.
func TestCutBetweenAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w := startWriting(t, func(context.Context, ...kafka.Message) error {
			attempts++
			return kafka.WriteErrors{kafka.NotLeaderForPartition}
		})
		defer w.stop()
		left := 0
		w.leave = func(*event) { left++ }
		p := &partition{id: 3}
		w.add(&event{record: record{partition: p, offset: 1}}, OutcomePermanent)
		time.Sleep(attemptPause / 2)
		written := p.cut()
		synctest.Wait()
		select {
		case <-written:
			t.Error("it does not count between two attempts")
		default:
		}
		<-written
		w.wait()
		if time.Sleep(time.Minute); attempts != 1 || left != 1 {
			t.Errorf("%d attempts, %d left to the next owner", attempts, left)
		}
	})
}
