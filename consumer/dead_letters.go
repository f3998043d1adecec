package consumer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

const (
	// deadLetterWrites is how many writes of dead letters go on at once: a partition of the dead-letter
	// topic that answers slowly holds up one of them.
	deadLetterWrites = 4
	// deadLetterTimeout is longer than the worst case of kafka-go's own attempts, so that a write is
	// not given up, and repeated, while it may still succeed.
	deadLetterTimeout = 25 * time.Second
)

// messageWriter writes dead letters; [*kafka.Writer] is one.
type messageWriter interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
}

// deadLetterWriters are the ways to write dead letters: many at once, one alone, and one alone and compressed. They differ
// since a topic limits the size of a batch.
type deadLetterWriters struct{ many, alone, compressed messageWriter }

// of returns the writer for dead letters of a form.
func (w deadLetterWriters) of(f deadLetterForm) messageWriter {
	switch f {
	case formWhole:
		return w.many
	case formAlone:
		return w.alone
	case formCompressed, formNoValue, formLeast:
	}
	return w.compressed
}

// deadLettersConfig is what deadLetters works with.
type deadLettersConfig struct {
	// topic is the source records', group the consumer group, deadLetterTopic where the dead letters go.
	topic, group, deadLetterTopic string

	writers deadLetterWriters
	// source is the topic of events, to read records again.
	source   *recordlog.Log
	capacity *capacity
	metrics  *Metrics
	log      *slog.Logger
	loops    *loops
	// acknowledged is told of each event whose dead letter the broker has acknowledged. Until then the event has not ended.
	acknowledged func(*event, Outcome)
}

// deadLetters writes dead letters. It writes each until the broker has acknowledged it, however long that takes: an event
// ends as a dead letter or not at all. A dead letter whose write has failed waits without a writer and gives the bytes of its
// source record back, so that it holds up no other event.
type deadLetters struct {
	deadLettersConfig

	// mu guards queue. While it is held, nothing else is locked or waited for.
	mu    sync.Mutex
	queue deadLetterQueue
	// emptied is told when no dead letter is unacknowledged.
	emptied *sync.Cond
	// added wakes what waits for dead letters to write, unread what waits for source records to read again.
	added, unread chan struct{}
}

func newDeadLetters(cfg deadLettersConfig) *deadLetters {
	d := &deadLetters{deadLettersConfig: cfg, added: make(chan struct{}, 1), unread: make(chan struct{}, 1)}
	d.emptied = sync.NewCond(&d.mu)
	return d
}

// add takes an event that ends as a dead letter. Once the queue is closed it takes none: the event is delivered again.
func (d *deadLetters) add(ev *event, o Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queue.add(&deadLetter{event: ev, outcome: o, bytes: ev.size}) {
		wake(d.added)
	}
}

// close gives up what is not being written, and what fails from now on.
func (d *deadLetters) close() { d.change(d.queue.close) }

// change makes a change to the queue, and tells wait if nothing is unacknowledged then.
func (d *deadLetters) change(how func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	how()
	if d.queue.unacknowledged == 0 {
		d.emptied.Broadcast()
	}
}

// wait returns when each dead letter has been acknowledged or given up.
func (d *deadLetters) wait() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.queue.unacknowledged > 0 {
		d.emptied.Wait()
	}
}

// unacknowledged is how many dead letters are not acknowledged, and what the last failed write failed with; nil if none has.
func (d *deadLetters) unacknowledged() (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.unacknowledged, d.queue.why
}

// run writes dead letters until ctx ends.
func (d *deadLetters) run(ctx context.Context) {
	var writers sync.WaitGroup
	for range deadLetterWrites {
		writers.Go(func() {
			ctx, end := d.loops.begin(ctx, "write dead letters")
			defer end()
			for batch := d.next(ctx); batch != nil; batch = d.next(ctx) {
				d.write(ctx, batch)
			}
		})
	}
	writers.Go(func() {
		ctx, end := d.loops.begin(ctx, "read source records of dead letters again")
		defer end()
		for l := d.nextUnread(ctx); l != nil; l = d.nextUnread(ctx) {
			if err := d.restore(ctx, l); err != nil {
				d.putOff(ctx, []*deadLetter{l}, err)
			} else {
				d.write(ctx, []*deadLetter{l})
			}
		}
	})
	writers.Wait()
}

// next waits for dead letters to be written in one batch. It returns nil when ctx ends. Of the goroutines that wait, one is
// woken at a time, and wakes another one when it finds something.
func (d *deadLetters) next(ctx context.Context) []*deadLetter {
	for {
		d.mu.Lock()
		batch, due := d.queue.next(time.Now())
		d.mu.Unlock()
		if len(batch) > 0 {
			wake(d.added)
			return batch
		}
		if wait(ctx, due, d.added) != nil {
			return nil
		}
	}
}

// nextUnread waits for a dead letter whose source record is to be read again. It returns nil when ctx ends.
func (d *deadLetters) nextUnread(ctx context.Context) *deadLetter {
	for {
		d.mu.Lock()
		l, due := d.queue.nextUnread(time.Now())
		d.mu.Unlock()
		if l != nil {
			return l
		}
		if wait(ctx, due, d.unread) != nil {
			return nil
		}
	}
}

// write writes dead letters of one form, and at once in smaller forms what the topic does not take. The rest is put off.
func (d *deadLetters) write(ctx context.Context, batch []*deadLetter) {
	smaller, failed, why := d.writeOnce(ctx, batch)
	for len(smaller) > 0 {
		again, late, err := d.writeOnce(ctx, smaller[:1])
		smaller = append(again, smaller[1:]...)
		failed, why = append(failed, late...), cmp.Or(why, err)
	}
	if len(failed) > 0 {
		d.putOff(ctx, failed, why)
	}
}

// writeOnce writes dead letters of one form. It returns those to be written at once in the smaller form that they have now,
// those to be written later, and the first error of the latter.
func (d *deadLetters) writeOnce(ctx context.Context, batch []*deadLetter) (smaller, later []*deadLetter, why error) {
	messages := make([]kafka.Message, len(batch))
	for i, l := range batch {
		messages[i] = l.message(d.topic, d.group)
	}
	writeCtx, cancel := context.WithTimeout(ctx, deadLetterTimeout)
	defer cancel()
	at := loopOf(ctx)
	at.rests()
	err := d.writers.of(batch[0].form).WriteMessages(writeCtx, messages...)
	at.works()
	var each kafka.WriteErrors
	if err != nil && !errors.As(err, &each) {
		// kafka-go judges a message that is beyond its own bound before it writes any.
		each = slices.Repeat(kafka.WriteErrors{err}, len(batch))
	}
	for i, l := range batch {
		switch {
		case each == nil || each[i] == nil:
			d.end(ctx, l)
		case isRefusal(each[i]) && l.shrink():
			d.logShrunk(ctx, l, each[i])
			smaller = append(smaller, l)
		default:
			later, why = append(later, l), cmp.Or(why, each[i])
		}
	}
	return smaller, later, why
}

// end ends an event whose dead letter the broker has acknowledged.
func (d *deadLetters) end(ctx context.Context, l *deadLetter) {
	d.metrics.deadLetters.WithLabelValues(string(l.outcome)).Inc()
	d.log.LogAttrs(ctx, slog.LevelWarn, "dead letter",
		slog.String("id", l.id(d.topic)), slog.String("class", string(l.outcome)), slog.Int("code", l.code),
		slog.Int("attempts", l.attempts.Counted), slog.Any("error", l.err))
	d.acknowledged(l.event, l.outcome)
	d.change(d.queue.acknowledged)
}

// putOff has dead letters written later whose write has failed.
func (d *deadLetters) putOff(ctx context.Context, failed []*deadLetter, why error) {
	for _, l := range failed {
		d.giveBack(l)
	}
	var delay time.Duration
	kept := false
	random := rand.Float64() //nolint:gosec // it spreads retries
	d.change(func() { delay, kept = d.queue.putOff(failed, why, time.Now(), random) })
	if !kept {
		return
	}
	wake(d.added)
	wake(d.unread)
	d.metrics.deadLetterRetries.Add(float64(len(failed)))
	d.log.LogAttrs(ctx, slog.LevelError, "dead letters not written, will retry",
		slog.String("dead_letter_topic", d.deadLetterTopic), slog.Int("letters", len(failed)), slog.String("first", failed[0].id(d.topic)),
		slog.Duration("retry_in", delay), slog.Any("error", why))
}

// logShrunk says in the log that a dead letter lacks a part of its source record.
func (d *deadLetters) logShrunk(ctx context.Context, l *deadLetter, why error) {
	if l.form.leftOut() == "" {
		return
	}
	d.log.LogAttrs(ctx, slog.LevelWarn, "the dead-letter topic takes no letter as large: it is written without all of its source record",
		slog.String("id", l.id(d.topic)), slog.String("left_out", l.form.leftOut()), slog.Any("error", why))
}
