package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

const (
	// newestOutcomes is how many of the newest records of each partition show whether a topic is one of outcomes.
	newestOutcomes = 16
	// maxJudged is how many topics are looked at for that. Letters that name further ones are left alone.
	maxJudged = 16
)

// OutcomeError says that the outcome of a settlement was not written.
type OutcomeError struct {
	Topic string
	Err   error
}

func (e *OutcomeError) Error() string {
	return fmt.Sprintf("outcome not written to topic %s: %v", e.Topic, e.Err)
}

// Unwrap returns the error of the write.
func (e *OutcomeError) Unwrap() error { return e.Err }

// recorder writes the outcomes of settlements.
//
// A letter names the topic for its outcome, and anybody who may write letters may name any topic. An operator may be allowed to write
// to more topics than the letter's writer. So the name alone does not count: either the choice names the topic, or the newest
// records of the topic are outcomes already, as those of an honest letter's topic are, since its event's outcome is there.
type recorder struct {
	table *Table
	// given is the choice's topic; empty if each letter's own counts.
	given string
	// judged says of topics whether their newest records are outcomes.
	judged map[string]bool
	// writers has a writer for each topic that has been written to, closers what ends them.
	writers map[string]*kafka.Writer
	closers []func() error
}

func (t *Table) recorder(c *Choice) *recorder {
	return &recorder{table: t, given: c.OutcomeTopic, judged: make(map[string]bool), writers: make(map[string]*kafka.Writer)}
}

// close ends the writers.
func (r *recorder) close() error {
	var all error
	for _, closeOne := range r.closers {
		all = errors.Join(all, closeOne())
	}
	return all
}

// topicOf returns where the outcome of a letter goes, empty if nowhere. known is false if the letter names a topic that nothing shows
// to be one of outcomes.
func (r *recorder) topicOf(ctx context.Context, l *Letter) (topic string, known bool, err error) {
	switch {
	case l.OutcomeTopic == "":
		return "", true, nil
	case r.given != "":
		return r.given, true, nil
	}
	known, seen := r.judged[l.OutcomeTopic]
	if !seen && len(r.judged) < maxJudged {
		if known, err = r.table.holdsOutcomes(ctx, l.OutcomeTopic); err != nil {
			return "", false, err
		}
		r.judged[l.OutcomeTopic] = known
	}
	return l.OutcomeTopic, known, nil
}

// errNoOutcome ends the reading of a topic with another record.
var errNoOutcome = errors.New("a record that is no outcome")

// holdsOutcomes returns true if the newest records of a topic are outcomes, and there are any. It returns false if there is no such
// topic, or if brokers refuse to show it.
func (t *Table) holdsOutcomes(ctx context.Context, topic string) (bool, error) {
	other, err := Open(ctx, t.cluster, topic)
	if _, missing := errors.AsType[*consumer.TopicError](err); missing || cluster.Refusal(err) != nil {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("outcome topic %s: %w", topic, err)
	}
	defer other.Close()
	found := 0
	for p := range other.partitions {
		n, err := other.newestOutcomes(ctx, p)
		found += n
		switch {
		case errors.Is(err, errNoOutcome) || cluster.Refusal(err) != nil:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("outcome topic %s: %w", topic, err)
		}
	}
	return found > 0, nil
}

// newestOutcomes counts the newest records of a partition. The error is errNoOutcome if one of them is no outcome.
func (t *Table) newestOutcomes(ctx context.Context, partition int) (found int, err error) {
	span, err := t.in.Span(ctx, partition)
	if err != nil {
		return 0, err
	}
	part := pass.Part{Partition: partition, From: max(span.First, span.Stable-newestOutcomes), To: span.Stable, MaxBytes: pickBytes}
	unread := false
	_, err = t.in.Each(ctx, part, func(rec *recordlog.Record) error {
		if _, err := schema.DecodeOutcome(rec.Key, rec.Value); err != nil {
			return errNoOutcome
		}
		found++
		return nil
	}, func(Gap) { unread = true })
	if err == nil && unread {
		err = errNoOutcome
	}
	return found, err
}

// write writes the outcomes of a letter that is settled, and of those that are settled along with it, to a topic. It writes none if
// the topic is empty. The error is an [*OutcomeError].
func (r *recorder) write(ctx context.Context, topic string, l *Letter, how schema.OutcomeKind, settled schema.Settlement) error {
	if topic == "" {
		return nil
	}
	to := r.writers[topic]
	if to == nil {
		w, closeAll := r.table.cluster.Writer(topic)
		w.BatchSize = 1
		to, r.writers[topic], r.closers = w, w, append(r.closers, closeAll)
	}
	var messages []kafka.Message
	for _, o := range outcomesOf(l, how, settled) {
		record, err := o.Encode()
		if err != nil {
			return &OutcomeError{Topic: topic, Err: err}
		}
		messages = append(messages, messageOf(record))
	}
	if err := write(ctx, to, messages...); err != nil {
		return &OutcomeError{Topic: topic, Err: err}
	}
	return nil
}

// outcomesOf returns the outcomes of a letter that is settled, and of the letters that it replaces, the oldest first. Those have the
// same event. What their calls were is not known any more.
func outcomesOf(l *Letter, how schema.OutcomeKind, settled schema.Settlement) []schema.Outcome {
	own := schema.Outcome{
		Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Kind: how, Group: l.Group,
		Code: l.Code, Attempts: l.Attempts, FirstAttempt: l.FirstAttempt, Ended: settled.At,
		ReplayOf: l.ReplayOf, By: settled.By, Reason: settled.Reason,
	}
	if e, err := l.Event(); err == nil {
		own.EventID, own.EventSource, own.ErasureID = e.ID, e.Source, e.ErasureID
		if !l.OutcomeHidesAccounts {
			own.Event = &schema.Event{Conversation: e.Conversation, ClearRamble: e.ClearRamble}
		}
	}
	var all []schema.Outcome
	for _, old := range slices.Backward(l.supersedes) {
		along := own
		along.Topic, along.Partition, along.Offset, _ = schema.ParseID(old.id) // it is one, the index has read it
		along.Code, along.Attempts, along.FirstAttempt, along.ReplayOf = 0, 0, time.Time{}, ""
		all = append(all, along)
	}
	return append(all, own)
}
