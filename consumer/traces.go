package consumer

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"convdel/schema"
)

// Traces makes a span of each event and of each call for it. It must be safe for concurrent use, and must not wait for anything.
type Traces interface {
	// Event begins the span of an event. It returns nil if that is not recorded.
	Event(e TracedEvent) EventSpan
}

// TracedEvent is what a span says of its event from the beginning. It has neither accounts nor the record's key.
type TracedEvent struct {
	Topic, Group string
	Partition    int
	Offset       int64
	// Fetched is when the record had been read.
	Fetched time.Time
	// Parent is the traceparent that the record names (W3C Trace Context), which need not be one. Empty: none.
	Parent string
}

// EventSpan is the span of an event, from its fetch to its end.
type EventSpan interface {
	// Trace is the ID of its trace, 32 hexadecimal digits.
	Trace() string
	// Call begins the span of a call for the event and those that share it, events in all. attempt counts the event's calls from 1. The
	// call is made with the context that it returns.
	Call(ctx context.Context, attempt, events int) (context.Context, CallSpan)
	// Shares notes that the call of another event answers this one, too.
	Shares(c CallSpan)
	// End ends the span.
	End(e TracedEnd)
}

// TracedEnd is how an event has ended.
type TracedEnd struct {
	// Outcome is empty if the event has not ended: the next owner of its partition does it again.
	Outcome Outcome
	// Code is the last answer's, Attempts the number of calls.
	Code, Attempts int
}

// CallSpan is the span of a call.
type CallSpan interface {
	// End ends the span with the answer.
	End(a Answer)
}

// eventTraces has the spans of a session's events. Nil makes none.
type eventTraces struct {
	traces       Traces
	topic, group string

	mu sync.Mutex
	// open are the events whose spans have not ended.
	open map[*event]struct{}
}

func newEventTraces(cfg Config) *eventTraces {
	if cfg.Traces == nil {
		return nil
	}
	return &eventTraces{traces: cfg.Traces, topic: cfg.Topic, group: cfg.Group, open: make(map[*event]struct{})}
}

// now is the time if spans are made, or else the zero time, which costs nothing.
func (t *eventTraces) now() time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Now()
}

// begin begins the span of an event that had been fetched at a time. The event belongs to the span's trace from then on.
func (t *eventTraces) begin(ev *event, fetched time.Time) {
	if t == nil {
		return
	}
	ev.span = t.traces.Event(TracedEvent{
		Topic: t.topic, Group: t.group, Partition: ev.partition.id, Offset: ev.offset, Fetched: fetched, Parent: parentOf(&ev.record),
	})
	if ev.span == nil {
		return
	}
	ev.trace = ev.span.Trace()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[ev] = struct{}{}
}

// end ends the span of an event that has ended.
func (t *eventTraces) end(ev *event, o Outcome) {
	if t == nil || ev.span == nil {
		return
	}
	t.mu.Lock()
	delete(t.open, ev)
	t.mu.Unlock()
	ev.span.End(TracedEnd{Outcome: o, Code: ev.code, Attempts: ev.calls})
}

// left ends the span of an event that is left to its partition's next owner.
func (t *eventTraces) left(ev *event) {
	if t == nil || ev.span == nil {
		return
	}
	t.mu.Lock()
	delete(t.open, ev)
	t.mu.Unlock()
	ev.span.End(TracedEnd{Code: ev.code, Attempts: ev.calls})
}

// leave ends the spans of the events that a session leaves to the next owner of their partitions.
func (t *eventTraces) leave() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for ev := range t.open {
		ev.span.End(TracedEnd{Code: ev.code, Attempts: ev.calls})
	}
	clear(t.open)
}

// beginCall begins the span of a call. The first event with a span has it in its trace, those of the others get a link. The span is nil if no
// event has one.
func beginCall(ctx context.Context, events []*event) (context.Context, CallSpan) {
	first := slices.IndexFunc(events, func(ev *event) bool { return ev.span != nil })
	if first < 0 {
		return ctx, nil
	}
	ctx, span := events[first].span.Call(ctx, events[first].calls, len(events))
	for _, ev := range events[first+1:] {
		if ev.span != nil {
			ev.span.Shares(span)
		}
	}
	return ctx, span
}

// parentMember is the member of a structured event that is its traceparent (CloudEvents' extension Distributed Tracing).
var parentMember = []byte(`"` + traceParent + `"`) //nolint:gochecknoglobals // a constant in all but type

// parentOf returns the traceparent that a record names: the header of the last hop before that of the event, which may be a header or a
// member. The last of several headers counts.
func parentOf(r *record) string {
	for _, key := range []string{traceParent, eventTraceParent} {
		for _, h := range slices.Backward(r.headers) {
			if h.Key == key {
				return string(h.Value)
			}
		}
	}
	if len(r.value) > schema.MaxValueSize || !bytes.Contains(r.value, parentMember) {
		return ""
	}
	var envelope struct {
		Version string `json:"specversion"`
		Parent  string `json:"traceparent"`
	}
	if json.Unmarshal(r.value, &envelope) != nil || envelope.Version == "" {
		return ""
	}
	return envelope.Parent
}
