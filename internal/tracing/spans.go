package tracing

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"convdel/consumer"
)

// callPath is what a call asks for. The rest of its URL has the signature and is in no span.
const callPath = "/v4/recentcontact/delete"

// operation is what the service does with a record, in the words of the conventions for messaging.
const operation = "process"

// These are the attributes that OpenTelemetry has no name for.
const (
	keyOutcome  = attribute.Key("convdel.outcome")
	keyAttempts = attribute.Key("convdel.attempts")
	keyAttempt  = attribute.Key("convdel.attempt")
	keyEvents   = attribute.Key("convdel.call.events")
	keyCode     = attribute.Key("tencent.im.error_code")
	keyClass    = attribute.Key("tencent.im.error_class")
)

// outcomeLeft is the outcome in the span of an event that has not ended.
const outcomeLeft = "left"

// Event begins the span of an event: a trace of its own, with a link to the publisher's span. The publisher's tracestate is not passed on.
func (t *Tracing) Event(e consumer.TracedEvent) consumer.EventSpan {
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(e.Fetched),
		trace.WithAttributes(
			semconv.MessagingSystemKafka, semconv.MessagingOperationName(operation), semconv.MessagingOperationTypeProcess,
			semconv.MessagingDestinationName(e.Topic), semconv.MessagingDestinationPartitionID(strconv.Itoa(e.Partition)),
			semconv.MessagingConsumerGroupName(e.Group), semconv.MessagingKafkaOffsetKey.Int64(e.Offset)),
	}
	if from := publisher(e.Parent); from.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
	}
	_, span := t.tracer.Start(context.Background(), operation+" "+e.Topic, options...)
	if !span.IsRecording() || !span.SpanContext().IsSampled() {
		return nil
	}
	return &eventSpan{span: span, of: t}
}

// publisher reads a traceparent. The result is not valid if the text is none.
func publisher(parent string) trace.SpanContext {
	if parent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": parent})
	return trace.SpanContextFromContext(ctx)
}

type eventSpan struct {
	span trace.Span
	of   *Tracing
}

func (s *eventSpan) Trace() string { return s.span.SpanContext().TraceID().String() }

// Call begins the span of a call.
func (s *eventSpan) Call(ctx context.Context, attempt, events int) (context.Context, consumer.CallSpan) {
	ctx, span := s.of.tracer.Start(trace.ContextWithSpan(ctx, s.span), "POST "+callPath, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(s.of.api...), trace.WithAttributes(keyAttempt.Int(attempt), keyEvents.Int(events)))
	return ctx, &callSpan{span}
}

// Shares adds a link to a call.
func (s *eventSpan) Shares(c consumer.CallSpan) {
	if call, ok := c.(*callSpan); ok {
		s.span.AddLink(trace.Link{SpanContext: call.span.SpanContext()})
	}
}

// End ends the span. A dead letter is an error; its class says which.
func (s *eventSpan) End(e consumer.TracedEnd) {
	outcome := string(e.Outcome)
	if outcome == "" {
		outcome = outcomeLeft
	}
	s.span.SetAttributes(keyOutcome.String(outcome), keyAttempts.Int(e.Attempts))
	if e.Outcome != consumer.OutcomeDeleted && e.Outcome != "" {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(semconv.ErrorTypeKey.String(outcome))
		if e.Code != 0 {
			s.span.SetAttributes(keyCode.Int(e.Code))
		}
	}
	s.span.End()
}

type callSpan struct{ span trace.Span }

// End ends the span with the answer. The API's text is not in it, since that may name accounts.
func (s *callSpan) End(a consumer.Answer) {
	if a.Verdict != consumer.Deleted {
		s.span.SetStatus(codes.Error, "")
		s.span.SetAttributes(semconv.ErrorTypeKey.String(errorType(a)), keyClass.String(className(a.Verdict)))
		if a.Code != 0 {
			s.span.SetAttributes(keyCode.Int(a.Code))
		}
	}
	s.span.End()
}

// Answered notes in the span of the call, which ctx has, the status of the HTTP answer; 0 means that there was none.
func Answered(ctx context.Context, status int) {
	if status != 0 {
		trace.SpanFromContext(ctx).SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
}

// errorType is a word for what has gone wrong: one of few.
func errorType(a consumer.Answer) string {
	switch {
	case a.Code != 0:
		return strconv.Itoa(a.Code)
	case a.Reason != "":
		return a.Reason
	}
	return semconv.ErrorTypeOther.Value.AsString()
}

// className is the class of an answer, as the documents have it.
func className(v consumer.Verdict) string {
	switch v {
	case consumer.Permanent:
		return "permanent"
	case consumer.Throttled:
		return "throttled"
	case consumer.Halt:
		return "halt"
	case consumer.Again:
		return "again"
	case consumer.Transient, consumer.Deleted:
	}
	return "transient"
}
