package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

const (
	// letterLanes is how many writes of dead letters go on at once: a partition of the dead-letter
	// topic that answers slowly holds up one of them.
	letterLanes = 4
	// letterTimeout is longer than the worst case of the writer's own attempts, so that a write is
	// not given up, and repeated, while it may still succeed.
	letterTimeout = 25 * time.Second
)

// writeLetters is one lane. It writes each letter until the broker has it, however long that
// takes: an event ends as a dead letter or not at all. Letters that failed wait their turn
// outside of the lane, so that they hold up no other.
func (s *session) writeLetters(ctx context.Context) {
	for {
		batch, err := s.letters.take(ctx)
		if err != nil {
			return
		}
		failed, err := s.writeBatch(ctx, batch)
		if err == nil {
			continue
		}
		delay, kept := s.letters.delay(failed)
		if !kept {
			s.work.Add(-len(failed)) // given up: their events have not ended
			continue
		}
		s.metrics.letterRetries.Add(float64(len(failed)))
		s.log.LogAttrs(ctx, slog.LevelError, "dead letters not written, will retry",
			slog.Int("letters", len(failed)), slog.String("first", failed[0].id()),
			slog.Duration("retry_in", delay), slog.Any("error", err))
	}
}

// writeBatch writes letters and ends the events of those acknowledged. It returns the others
// with the first of their errors.
func (s *session) writeBatch(ctx context.Context, batch []*letter) ([]*letter, error) {
	messages := make([]kafka.Message, len(batch))
	for i, l := range batch {
		if l.message.Key == nil {
			l.message = s.compose(l)
		}
		messages[i] = l.message
	}
	writer := s.writer
	if batch[0].alone {
		writer = s.loneWriter
	}
	writeCtx, cancel := context.WithTimeout(ctx, letterTimeout)
	defer cancel()
	err := writer.WriteMessages(writeCtx, messages...)
	var each kafka.WriteErrors
	if err != nil && !errors.As(err, &each) {
		return batch, err
	}
	var failed []*letter
	var first error
	for i, l := range batch {
		if each != nil && each[i] != nil {
			l.alone = l.alone || ownFault(each[i])
			failed = append(failed, l)
			if first == nil {
				first = each[i]
			}
			continue
		}
		s.buried(ctx, l)
	}
	return failed, first
}

// ownFault says whether a write may have failed for the sake of one letter in it.
func ownFault(err error) bool {
	var tooLarge kafka.MessageTooLargeError
	return errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidRecord) || errors.Is(err, kafka.InvalidMessage) || errors.As(err, &tooLarge)
}

// buried ends an event whose dead letter the broker has.
func (s *session) buried(ctx context.Context, l *letter) {
	s.metrics.deadLetters.WithLabelValues(string(l.outcome)).Inc()
	s.log.LogAttrs(ctx, slog.LevelWarn, "dead letter",
		slog.String("id", l.id()), slog.String("class", string(l.outcome)), slog.Int("code", l.code),
		slog.Int("attempts", l.attempts), slog.Any("error", l.err))
	s.end(l.event, l.outcome)
	s.work.Done()
}

func (l *letter) id() string { return string(l.message.Key) }

// compose makes the dead-letter record: the source record's bytes with headers that say why. The
// letter of a replayed record names the one that it replaces.
func (s *session) compose(l *letter) kafka.Message {
	d := schema.DeadLetter{
		Class:        schema.Class(l.outcome),
		Code:         l.code,
		Attempts:     l.attempts,
		FirstAttempt: l.first,
		LastAttempt:  l.last,
		Topic:        s.cfg.Topic,
		Partition:    l.partition.id,
		Offset:       l.offset,
		Timestamp:    l.time,
		Key:          l.key,
		Group:        s.cfg.Group,
		NullValue:    l.value == nil,
	}
	if l.err != nil {
		d.Error = l.err.Error()
	}
	if origin, ok := schema.Origin(l.headers); ok && origin.Topic == s.cfg.Topic {
		d.Timestamp, d.Replays, d.ReplayOf = origin.Timestamp, origin.Replays, origin.ID()
	}
	value := l.value
	if value == nil {
		value = []byte{} // a null value would mean that the letter is settled
	}
	headers := d.Headers(l.headers)
	message := kafka.Message{Key: []byte(d.ID()), Value: value, Headers: make([]kafka.Header, len(headers))}
	for i, h := range headers {
		message.Headers[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return message
}
