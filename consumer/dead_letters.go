package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// deadLetter is an event that ends as a dead letter, once that is acknowledged.
type deadLetter struct {
	*event
	outcome Outcome
	// form is the one that it is written in next.
	form deadLetterForm
	// Its bytes are the size of the source record. The event's own size is what it holds of the capacity, which is 0 while the dead
	// letter waits.
	writeState
	// digest describes the source record while that is not in memory. It is nil while it is.
	digest *recordDigest
	// gone says that the source record is no longer in its topic.
	gone bool
}

// alone says that others in the batch may make that too large.
func (l *deadLetter) alone() bool { return l.form != formWhole }

// incomplete says that the source record is not in memory.
func (l *deadLetter) incomplete() bool { return l.digest != nil }

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
	from provenance
	// topic is where the dead letters go.
	topic   string
	writers deadLetterWriters
	// source is the topic of events, to read records again.
	source   *recordlog.Log
	capacity *capacity
	metrics  *Metrics
	log      *slog.Logger
	loops    *loops
	// written is told of each event whose dead letter the broker has acknowledged, leave of each that is left to its partition's next owner.
	written func(*event, Outcome)
	leave   func(*event)
}

// deadLetters writes dead letters. It writes each until the broker has acknowledged it, however long that takes: an event
// ends as a dead letter or not at all. A dead letter whose write has failed waits without a goroutine and gives the bytes of its
// source record back, so that it holds up no other event.
type deadLetters struct {
	deadLettersConfig
	*writes[*deadLetter]
}

func newDeadLetters(cfg deadLettersConfig) *deadLetters {
	d := &deadLetters{deadLettersConfig: cfg}
	d.writes = newWrites[*deadLetter](d, cfg.loops, "dead letters")
	return d
}

// add takes an event that ends as a dead letter. Once the queue is closed it takes none: the event is delivered again.
func (d *deadLetters) add(ev *event, o Outcome) {
	d.take(&deadLetter{event: ev, outcome: o, writeState: writeState{bytes: ev.size}})
}

func (d *deadLetters) send(ctx context.Context, batch []*deadLetter) error {
	messages := make([]kafka.Message, len(batch))
	for i, l := range batch {
		messages[i] = l.message(d.from)
	}
	return hand(ctx, d.writers.of(batch[0].form), messages)
}

func (d *deadLetters) acknowledged(ctx context.Context, l *deadLetter) {
	d.metrics.deadLettered(l.event, l.outcome)
	d.log.LogAttrs(ctx, slog.LevelWarn, "dead letter", l.told(d.from.topic, slog.String("class", string(l.outcome)), slog.Int("code", l.code),
		slog.Int("attempts", l.attempts.Counted), slog.Any("error", l.err))...)
	d.written(l.event, l.outcome)
}

func (d *deadLetters) dropped(l *deadLetter) { d.leave(l.event) }

// failed gives the bytes of the source record back.
func (d *deadLetters) failed(l *deadLetter) { d.giveBack(l) }

func (d *deadLetters) putOff(ctx context.Context, failed []*deadLetter, delay time.Duration, why error) {
	d.metrics.deadLetterRetries.Add(float64(len(failed)))
	d.log.LogAttrs(ctx, slog.LevelError, "dead letters not written, will retry",
		slog.String("dead_letter_topic", d.topic), slog.Int("letters", len(failed)), slog.String("record", failed[0].id(d.from.topic)),
		slog.Duration("retry_in", delay), slog.Any("error", why))
}

// refused gives a dead letter its next form, and says in the log if it lacks a part of its source record then.
func (d *deadLetters) refused(ctx context.Context, l *deadLetter, why error) bool {
	if !l.shrink() {
		return false
	}
	if l.form.leftOut() != "" {
		d.log.LogAttrs(ctx, slog.LevelWarn, "the dead-letter topic takes no letter as large: it is written without all of its source record",
			l.told(d.from.topic, slog.String("left_out", l.form.leftOut()), slog.Any("error", why))...)
	}
	return true
}
