package consumer

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/schema"
)

// outcome is the evidence of an event's end. It is written before the event counts as ended.
type outcome struct {
	*event
	kind Outcome
	// since is when the event has come to this end.
	since time.Time
	writeState
	// apart says that it is written in a batch of its own.
	apart bool
}

func (o *outcome) alone() bool { return o.apart }

// incomplete is never true: an outcome needs nothing of the source record.
func (o *outcome) incomplete() bool { return false }

// outcomeSize is about the size of an outcome without what its event brings.
const outcomeSize = 600

// outcomesConfig is what outcomes work with.
type outcomesConfig struct {
	// from says whose outcomes they are, and what is in them.
	from provenance
	// to writes them; nil if outcomes are not recorded.
	to       messageWriter
	capacity *capacity
	metrics  *Metrics
	log      *slog.Logger
	loops    *loops
	// written is told of each event whose outcome the broker has acknowledged: it has ended. It is told at once if outcomes are not recorded.
	written func(*event, Outcome)
	// leave is told of each event that is left to its partition's next owner.
	leave func(*event)
}

// outcomes writes the outcomes of events until the broker has acknowledged them, however long that takes. An event whose outcome
// waits holds its place among the events in flight, and few bytes.
type outcomes struct {
	outcomesConfig
	*writes[*outcome]
	// waiting is the number of events that have come to their end and whose outcome is not acknowledged.
	waiting atomic.Int64
}

func newOutcomes(cfg outcomesConfig) *outcomes {
	o := &outcomes{outcomesConfig: cfg}
	o.writes = newWrites[*outcome](o, cfg.loops, "outcomes")
	return o
}

// add takes an event that has come to its end: it is deleted, or the broker has acknowledged its dead letter. Once the queue is
// closed it takes none: the event is delivered again.
func (o *outcomes) add(ev *event, kind Outcome) {
	if !o.recorded() {
		o.written(ev, kind)
		return
	}
	out := &outcome{event: ev, kind: kind, since: time.Now(), writeState: writeState{bytes: outcomeSize + ev.names.size()}}
	o.giveBack(ev)
	o.waiting.Add(1)
	o.metrics.outcomesWaiting.Inc()
	o.take(out)
}

// giveBack gives back what an event holds of the bytes in flight, and its source record with it. Large attributes keep their part.
func (o *outcomes) giveBack(ev *event) {
	kept := min(ev.names.size(), ev.size)
	if kept <= keptBytes {
		kept = 0
	}
	o.capacity.releaseBytes(ev.size, kept)
	ev.size, ev.key, ev.value, ev.headers, ev.err = kept, nil, nil, nil, nil
}

// recorded says whether outcomes are recorded.
func (o *outcomes) recorded() bool { return o.to != nil }

// run writes outcomes until ctx ends, if they are recorded.
func (o *outcomes) run(ctx context.Context) {
	if o.recorded() {
		o.writes.run(ctx)
	}
}

func (o *outcomes) send(ctx context.Context, batch []*outcome) error {
	messages := make([]kafka.Message, len(batch))
	for i, out := range batch {
		r, err := out.describe(o.from).Encode()
		if err != nil {
			return err
		}
		messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Headers: kafkaHeaders(r.Headers)}
	}
	return hand(ctx, o.to, messages)
}

// describe is what an outcome says of its event.
func (o *outcome) describe(from provenance) schema.Outcome {
	out := schema.Outcome{
		Topic: from.topic, Partition: o.partition.id, Offset: o.offset, Kind: schema.OutcomeKind(o.kind), Group: from.group,
		Code: o.code, Attempts: o.attempts.Counted, Shared: o.shared, FirstAttempt: o.first, Ended: o.since,
	}
	if n := o.names; n != nil {
		out.EventID, out.EventSource, out.ErasureID = n.id, n.source, n.erasure
	}
	if !from.hidesAccounts && o.decoded() {
		out.Event = &schema.Event{Conversation: o.conversation, ClearRamble: o.clearRamble}
	}
	if o.origin != nil {
		out.ReplayOf = o.origin.ID()
	}
	return out
}

func (o *outcomes) acknowledged(_ context.Context, out *outcome) {
	o.waiting.Add(-1)
	o.metrics.outcomesWaiting.Dec()
	o.metrics.outcomes.WithLabelValues(string(out.kind)).Inc()
	o.written(out.event, out.kind)
}

func (o *outcomes) dropped(out *outcome) {
	o.waiting.Add(-1)
	o.metrics.outcomesWaiting.Dec()
	o.leave(out.event)
}

// failed has nothing to give back.
func (o *outcomes) failed(*outcome) {}

// complete is not called, since no outcome is incomplete.
func (o *outcomes) complete(context.Context, *outcome) error { return nil }

// refused has an outcome written alone: others in its batch may have made that too large.
func (o *outcomes) refused(_ context.Context, out *outcome, _ error) bool {
	if out.apart {
		return false
	}
	out.apart = true
	return true
}

func (o *outcomes) putOff(ctx context.Context, failed []*outcome, delay time.Duration, why error) {
	o.metrics.outcomeRetries.Add(float64(len(failed)))
	o.log.LogAttrs(ctx, slog.LevelError, "outcomes not written, will retry: their events have not ended before",
		slog.String("outcome_topic", o.from.outcomeTopic), slog.Int("outcomes", len(failed)), slog.String("record", failed[0].id(o.from.topic)),
		slog.Duration("retry_in", delay), slog.Any("error", why))
}

func kafkaHeaders(headers []schema.Header) []kafka.Header {
	list := make([]kafka.Header, len(headers))
	for i, h := range headers {
		list[i] = kafka.Header{Key: h.Key, Value: h.Value}
	}
	return list
}
