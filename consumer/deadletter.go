package consumer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// letterLanes is how many writes of dead letters go on at once: a partition of the dead-letter
	// topic that answers slowly holds up one of them.
	letterLanes = 4
	// letterTimeout is longer than the worst case of the writer's own attempts, so that a write is
	// not given up, and repeated, while it may still succeed.
	letterTimeout = 25 * time.Second
)

// letterWriter writes dead letters; *kafka.Writer is one.
type letterWriter interface {
	WriteMessages(ctx context.Context, messages ...kafka.Message) error
}

// letterWriters are the ways to write letters: many at once, one alone, and one alone and compressed, since it is the
// batch whose size a topic limits.
type letterWriters struct{ many, alone, compressed letterWriter }

// of returns the writer for letters of a form.
func (w letterWriters) of(f letterForm) letterWriter {
	switch f {
	case formWhole:
		return w.many
	case formAlone:
		return w.alone
	case formCompressed, formNoValue, formLeast:
	}
	return w.compressed
}

// writeLetters is one lane. It writes each letter until the broker has it, however long that
// takes: an event ends as a dead letter or not at all. Letters that failed wait their turn
// outside of the lane, and give their bytes back meanwhile, so that they hold up no other event.
func (s *session) writeLetters(ctx context.Context) {
	for {
		batch, err := s.letters.take(ctx)
		if err != nil {
			return
		}
		s.write(ctx, batch)
	}
}

// writeUnloaded is the lane of letters that have given their bytes back. It waits until there is room for them.
func (s *session) writeUnloaded(ctx context.Context) {
	for {
		l, err := s.letters.takeUnloaded(ctx)
		if err != nil {
			return
		}
		if err := s.load(ctx, l); err != nil {
			s.delayLetters(ctx, []*letter{l}, err)
			continue
		}
		s.write(ctx, []*letter{l})
	}
}

// write writes letters of one form, and each that is refused for its own sake in smaller ones. What fails otherwise is put
// off.
func (s *session) write(ctx context.Context, batch []*letter) {
	refused, failed, why := s.writeBatch(ctx, batch)
	for _, l := range refused {
		for reduced := true; reduced; {
			var again, lost []*letter
			var err error
			again, lost, err = s.writeBatch(ctx, []*letter{l})
			reduced = len(again) > 0
			if len(lost) > 0 {
				failed, why = append(failed, lost...), err
			}
		}
	}
	if len(failed) > 0 {
		s.delayLetters(ctx, failed, why)
	}
}

// delayLetters puts letters off that could not be written.
func (s *session) delayLetters(ctx context.Context, failed []*letter, why error) {
	for _, l := range failed {
		s.unload(l)
	}
	delay, kept := s.letters.delay(failed, why)
	if !kept {
		s.work.Add(-len(failed)) // given up: their events have not ended
		return
	}
	s.metrics.letterRetries.Add(float64(len(failed)))
	s.log.LogAttrs(ctx, slog.LevelError, "dead letters not written, will retry",
		slog.String("dead_letter_topic", s.cfg.DeadLetterTopic), slog.Int("letters", len(failed)), slog.String("first", s.letterID(failed[0])),
		slog.Duration("retry_in", delay), slog.Any("error", why))
}

// writeBatch writes letters of one form and ends the events of those acknowledged. Of the others, refused ones may be taken
// in the form that they have now, failed ones later, with the first of their errors.
func (s *session) writeBatch(ctx context.Context, batch []*letter) (refused, failed []*letter, first error) {
	messages := make([]kafka.Message, len(batch))
	for i, l := range batch {
		messages[i] = s.compose(l)
	}
	writeCtx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	err := s.writers.of(batch[0].form).WriteMessages(writeCtx, messages...)
	var each kafka.WriteErrors
	if err != nil && !errors.As(err, &each) {
		// kafka-go judges a message that is beyond its own bound before it writes any.
		each = slices.Repeat(kafka.WriteErrors{err}, len(batch))
	}
	for i, l := range batch {
		switch {
		case each == nil || each[i] == nil:
			s.buried(ctx, l)
		case ownFault(each[i]) && s.reduce(ctx, l, each[i]):
			refused = append(refused, l)
		default:
			failed, first = append(failed, l), cmp.Or(first, each[i])
		}
	}
	return refused, failed, first
}

// ownFault says whether a write may have failed for the sake of one letter in it.
func ownFault(err error) bool {
	var tooLarge kafka.MessageTooLargeError
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidRecord) || errors.Is(err, kafka.InvalidMessage) || errors.As(err, &tooLarge)
}

// reduce has a letter written in the next smaller form, and says whether there is one. If not, it is written whole when it is
// tried again: the topic may take more by then.
func (s *session) reduce(ctx context.Context, l *letter, why error) bool {
	if l.form == formLeast {
		if l.missing == "" {
			l.form = formWhole
		}
		return false
	}
	l.form++
	if l.form > formCompressed {
		s.log.LogAttrs(ctx, slog.LevelWarn, "the dead-letter topic takes no letter as large: it is written without all of its source record",
			slog.String("id", s.letterID(l)), slog.String("left_out", l.form.leftOut()), slog.Any("error", why))
	}
	return true
}

// buried ends an event whose dead letter the broker has.
func (s *session) buried(ctx context.Context, l *letter) {
	s.metrics.deadLetters.WithLabelValues(string(l.outcome)).Inc()
	s.log.LogAttrs(ctx, slog.LevelWarn, "dead letter",
		slog.String("id", s.letterID(l)), slog.String("class", string(l.outcome)), slog.Int("code", l.code),
		slog.Int("attempts", l.attempts.Counted), slog.Any("error", l.err))
	s.letters.written()
	if l.lent {
		l.size = 0 // its bytes have been given back already
	}
	s.end(l.event, l.outcome)
	s.work.Done()
}
