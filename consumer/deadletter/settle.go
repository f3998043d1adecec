package deadletter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

// settleTimeout bounds one write. It is longer than the worst case of the writer's own attempts, so
// that a write is not given up while it may still succeed.
const settleTimeout = 25 * time.Second

// SettleError says how far a letter had come when a write failed. Nothing is lost, and the next run goes on.
type SettleError struct {
	ID string
	// Published says that the record was published again, but the letter is still open. The next replay publishes it once
	// more.
	Published bool
	Err       error
}

func (e *SettleError) Error() string {
	if e.Published {
		return fmt.Sprintf("dead letter %s: published again, but not settled (it stays open and would be published once more): %v", e.ID, e.Err)
	}
	return fmt.Sprintf("dead letter %s: not settled: %v", e.ID, e.Err)
}

// Unwrap returns the error of the write.
func (e *SettleError) Unwrap() error { return e.Err }

// PlanReplay returns what [Table.Replay] would do. It changes nothing.
func (t *Table) PlanReplay(ctx context.Context, c Choice) (Plan, error) {
	return t.settle(ctx, c, t.recorder(&c), c.leavesReplay, nil)
}

// PlanDiscard returns what [Table.Discard] would do. It changes nothing.
func (t *Table) PlanDiscard(ctx context.Context, c Choice) (Plan, error) {
	return t.settle(ctx, c, t.recorder(&c), c.leavesDiscard, nil)
}

// Replay publishes the source records of letters again, each with its own key, value and headers. It settles each letter
// once its record is acknowledged by every in-sync replica, and, if the letter names a topic for outcomes, once its outcome is, too.
// It goes letter by letter, in the order in which they were
// written, and calls done, which may be nil, after each. When ctx ends, it stops between two letters and returns what it
// has done with ctx's error. A failed write is a [*SettleError]. A record that the topic refuses because of the record
// itself is skipped, see [Choice].
func (t *Table) Replay(ctx context.Context, c Choice, done func(*Letter)) (Plan, error) {
	if c.Topic == "" {
		return Plan{}, errors.New("replay: the choice names no topic")
	}
	events, closeEvents := t.cluster.Writer(c.Topic)
	letters, closeLetters := t.tombstones()
	events.BatchSize = 1
	outcomes := t.recorder(&c)
	defer func() { _ = errors.Join(closeEvents(), closeLetters(), outcomes.close()) }()
	return t.settle(ctx, c, outcomes, c.leavesReplay, func(l *Letter, topic string) error {
		source, err := l.Source()
		if err != nil {
			return err // left alone before
		}
		if err := write(ctx, events, messageOf(source)); err != nil {
			return &SettleError{ID: l.ID(), Err: err}
		}
		settled := c.settlement("")
		err = outcomes.write(ctx, topic, l, schema.OutcomeReplayed, settled)
		if err == nil {
			err = write(ctx, letters, tombstonesOf(l, settled)...)
		}
		if err != nil {
			return &SettleError{ID: l.ID(), Published: true, Err: err}
		}
		if done != nil {
			done(l)
		}
		return nil
	})
}

// Discard settles letters without publishing anything. Their events are never executed. The tombstones carry the reason.
// Otherwise it is like [Table.Replay].
func (t *Table) Discard(ctx context.Context, c Choice, reason string, done func(*Letter)) (Plan, error) {
	if reason == "" {
		return Plan{}, errors.New("discard: no reason given")
	}
	letters, closeLetters := t.tombstones()
	outcomes := t.recorder(&c)
	defer func() { _ = errors.Join(closeLetters(), outcomes.close()) }()
	return t.settle(ctx, c, outcomes, c.leavesDiscard, func(l *Letter, topic string) error {
		settled := c.settlement(reason)
		err := outcomes.write(ctx, topic, l, schema.OutcomeDiscarded, settled)
		if err == nil {
			err = write(ctx, letters, tombstonesOf(l, settled)...)
		}
		if err != nil {
			return &SettleError{ID: l.ID(), Err: err}
		}
		if done != nil {
			done(l)
		}
		return nil
	})
}

// settlement is what the tombstones of a letter say that is settled now. A replay has no reason.
func (c *Choice) settlement(reason string) schema.Settlement {
	return schema.Settlement{By: c.By, At: time.Now(), Reason: reason}
}

// errLenient says that letters are not settled by a guess.
var errLenient = errors.New("a lenient filter settles nothing")

// settle goes through the chosen letters and calls act, unless nil, with each one that is not left alone, and with the topic of its
// outcome.
func (t *Table) settle(
	ctx context.Context, c Choice, outcomes *recorder, leaves func(*Letter, time.Time) Left, act func(l *Letter, topic string) error,
) (Plan, error) {
	plan := newPlan()
	if c.Filter.Lenient {
		return plan, errLenient
	}
	filter, now, pace := c.Filter, time.Now(), newPace(c.Rate)
	filter.Limit = 0
	ix, err := t.index(ctx)
	if err != nil {
		return plan, err
	}
	named := ix.named(filter.IDs, &plan)
	err = t.eachOf(ctx, ix, filter, func(l *Letter) error {
		delete(named, l.ID())
		if c.Planned != nil && !c.Planned.lists(l) {
			return nil
		}
		if why := leaves(l, now); why != "" {
			plan.Left[why]++
			return nil
		}
		topic, known, err := outcomes.topicOf(ctx, l)
		if err != nil || !known {
			plan.doubt(topic)
			return err
		}
		if act != nil {
			done, err := t.settleOne(ctx, ix, l, pace, func(l *Letter) error { return act(l, topic) })
			if refused(err) {
				plan.skip(&c, l, err)
				return c.enough(&plan)
			}
			if err != nil || !done {
				return err
			}
		}
		plan.count(l, topic, now)
		return c.enough(&plan)
	})
	plan.Totals = ix.totals()
	if err == nil && c.enough(&plan) == nil {
		plan.Unmatched = slices.Sorted(maps.Keys(named))
	}
	return plan, err
}

// settleOne calls act with a letter when its turn has come, if it is still open by then.
func (t *Table) settleOne(ctx context.Context, ix *index, l *Letter, pace *pace, act func(*Letter) error) (done bool, err error) {
	if err := pace.wait(ctx); err != nil {
		return false, err
	}
	open, err := t.stillOpen(ctx, ix, l)
	switch {
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, &SettleError{ID: l.ID(), Err: err}
	case !open:
		return false, nil
	}
	return true, act(l)
}

// named returns the IDs of open letters in a filter, and notes the others in the plan.
func (ix *index) named(ids []string, plan *Plan) map[string]bool {
	open := make(map[string]bool, len(ids))
	for _, id := range ids {
		if _, ok := ix.open[ix.key(id)]; ok {
			open[id] = true
		} else if !slices.Contains(plan.NotOpen, id) {
			plan.NotOpen = append(plan.NotOpen, id)
		}
	}
	return open
}

// refused returns true if a letter's record was refused because of the record itself.
func refused(err error) bool {
	failed, ok := errors.AsType[*SettleError](err)
	_, ofOutcome := errors.AsType[*OutcomeError](err)
	return ok && !failed.Published && !ofOutcome && RefusesRecord(failed.Err)
}

// RefusesRecord returns true if an error of a write means that the topic refuses the record itself, above all for its size.
// Neither time nor another attempt changes that, and the topic takes other records. If a batch was written, another record
// of it may be the reason.
func RefusesRecord(err error) bool {
	var tooLarge kafka.MessageTooLargeError // of the client's own bound
	return errors.As(err, &tooLarge) || errors.Is(err, kafka.MessageSizeTooLarge) || errors.Is(err, kafka.RecordListTooLarge) ||
		errors.Is(err, kafka.InvalidMessageSize) || errors.Is(err, kafka.InvalidRecord)
}

func messageOf(r schema.Record) kafka.Message {
	return kafka.Message{Key: r.Key, Value: r.Value, Headers: kafkaHeaders(r.Headers)}
}

func kafkaHeaders(headers []schema.Header) []kafka.Header {
	var list []kafka.Header
	for _, h := range headers {
		list = append(list, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return list
}

// tombstonesOf returns the tombstones of a letter and of the letters that it replaces, the oldest first. The letter stays
// open until its own tombstone, the last one, is written.
func tombstonesOf(l *Letter, settled schema.Settlement) []kafka.Message {
	headers := kafkaHeaders(settled.Headers())
	var all []kafka.Message
	for _, old := range slices.Backward(l.supersedes) {
		for _, at := range old.positions {
			all = append(all, kafka.Message{Key: []byte(old.id), Headers: headers, WriterData: int(at.partition)})
		}
	}
	for _, at := range l.positions {
		all = append(all, kafka.Message{Key: []byte(l.ID()), Headers: headers, WriterData: int(at.partition)})
	}
	return all
}

// tombstones returns a writer that puts each message into the partition in its WriterData. A tombstone has to be in the
// partition of its letter, even if partitions have been added since.
func (t *Table) tombstones() (*kafka.Writer, func() error) {
	w, closeAll := t.cluster.Writer(t.topic)
	w.BatchSize = 1
	w.Balancer = kafka.BalancerFunc(func(m kafka.Message, partitions ...int) int {
		if p, ok := m.WriterData.(int); ok {
			return p
		}
		return partitions[0]
	})
	return w, closeAll
}

// write writes messages one after the other. Only the timeout of a write ends it, since a write that was given up half-way
// can't be told from a finished one.
func write(ctx context.Context, w *kafka.Writer, messages ...kafka.Message) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	for _, m := range messages {
		err := w.WriteMessages(ctx, m)
		if each, ok := errors.AsType[kafka.WriteErrors](err); ok && len(each) == 1 {
			err = each[0] // errors.As does not look into the list
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// pace spaces letters.
type pace struct {
	interval time.Duration
	next     time.Time
}

func newPace(perSecond float64) *pace {
	p := &pace{}
	if perSecond > 0 {
		p.interval = time.Duration(float64(time.Second) / perSecond)
	}
	return p
}

func (p *pace) wait(ctx context.Context) error {
	if p.interval > 0 {
		if left := time.Until(p.next); left > 0 {
			timer := time.NewTimer(left)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		p.next = time.Now().Add(p.interval)
	}
	return ctx.Err()
}
