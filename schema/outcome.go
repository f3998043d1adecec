package schema

import (
	"math"
	"strconv"
	"time"
)

// OutcomeType is the CloudEvents type of an outcome.
const OutcomeType = "conversation.delete.ended"

// OutcomeKind is how an event has ended, or how its dead letter was settled.
type OutcomeKind string

// These are the kinds of outcomes.
const (
	// OutcomeDeleted means that the API has deleted the conversation.
	OutcomeDeleted OutcomeKind = "deleted"
	// OutcomePermanent to OutcomeRevived mean that the event is a dead letter of the class of the same name.
	OutcomePermanent   OutcomeKind = "permanent"
	OutcomeExhausted   OutcomeKind = "exhausted"
	OutcomeUndecodable OutcomeKind = "undecodable"
	OutcomeExpired     OutcomeKind = "expired"
	OutcomeRevived     OutcomeKind = "revived"
	// OutcomeReplayed means that the dead letter's source record has been published again.
	OutcomeReplayed OutcomeKind = "replayed"
	// OutcomeDiscarded means that an operator has discarded the dead letter.
	OutcomeDiscarded OutcomeKind = "discarded"
)

// OutcomeKinds returns all kinds.
func OutcomeKinds() []OutcomeKind {
	return []OutcomeKind{
		OutcomeDeleted, OutcomePermanent, OutcomeExhausted, OutcomeUndecodable, OutcomeExpired, OutcomeRevived, OutcomeReplayed, OutcomeDiscarded,
	}
}

// known returns true for one of [OutcomeKinds].
func (k OutcomeKind) known() bool {
	switch k {
	case OutcomeDeleted, OutcomePermanent, OutcomeExhausted, OutcomeUndecodable, OutcomeExpired, OutcomeRevived, OutcomeReplayed, OutcomeDiscarded:
		return true
	}
	return false
}

// Settles returns true for an outcome that an operator gives to a dead letter: replayed and discarded. All others end an
// event.
func (k OutcomeKind) Settles() bool { return k == OutcomeReplayed || k == OutcomeDiscarded }

// Outcome is the evidence that an event has ended, or that its dead letter was settled. It is a record of the outcome topic:
// a structured CloudEvent whose key is [Outcome.Record].
type Outcome struct {
	// Topic, Partition and Offset are those of the event's record. Of a batch that can't be read they are those of its dead
	// letter.
	Topic     string
	Partition int
	Offset    int64
	// Kind is how the event has ended, Group the consumer group of the service that has ended it, made one line as
	// [DeadLetter.Error] is.
	Kind  OutcomeKind
	Group string
	// Code is the API's last code; 0 means success, or that the API gave none.
	Code int
	// Attempts is how many calls the event used up, its last one included. Shared says that its last call answered other
	// events as well.
	Attempts int
	Shared   bool
	// FirstAttempt is when the first of these calls began, zero if there was none. Ended is when the event ended.
	FirstAttempt, Ended time.Time

	// EventID, EventSource and ErasureID are those of the event, empty if it has none.
	EventID, EventSource, ErasureID string
	// Event is the conversation, with ClearRamble; nil if the record was no event, or if the service records no accounts.
	Event *Event
	// ReplayOf is the ID of the dead letter of which the record says that it is a replay; empty if it says nothing.
	ReplayOf string
	// By names who settled the dead letter, Reason is why it was discarded. Empty for the end of an event.
	By, Reason string
}

// Record returns TOPIC/PARTITION/OFFSET of the event's record. It is the key of the outcome's record. [ParseID] reads it.
func (o Outcome) Record() string {
	return DeadLetter{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}.ID()
}

// ID returns the CloudEvents id: the record's ID, a colon, the kind. So an outcome that is written twice, since the service was
// killed in between, is the same CloudEvent.
func (o Outcome) ID() string { return o.Record() + ":" + string(o.Kind) }

// outcomeSource, followed by the group, is the CloudEvents source.
const outcomeSource = "/convdel/"

// Encode returns the record of the outcome: its key, the CloudEvent, and a content-type header of [ContentTypeStructured]. The
// error is a [*FieldError] about the field of the data that [DecodeOutcome] would refuse.
func (o Outcome) Encode() (Record, error) {
	if err := o.validate(); err != nil {
		return Record{}, err
	}
	record, ended := o.Record(), formatTime(o.Ended)
	b := make([]byte, 0, 512+3*len(record)+len(o.EventID)+len(o.EventSource)+len(o.ErasureID)+len(o.Reason))
	b = append(b, `{"specversion":"`+cloudEventsVersion+`","type":"`+OutcomeType+`","source":`...)
	b = appendString(b, outcomeSource+oneLine(o.Group))
	b = append(b, `,"id":"`...)
	b = append(append(append(append(b, record...), ':'), o.Kind...), `","time":"`...)
	b = append(append(b, ended...), `","datacontenttype":"`+ContentTypeBinary+`","data":`...)
	b = append(o.appendData(b, record, ended), '}')
	return Record{
		Key: []byte(record), Value: b,
		Headers: []Header{{Key: ContentTypeHeader, Value: []byte(ContentTypeStructured)}},
	}, nil
}

// appendData appends the data of a valid outcome. Empty fields that are optional are left out.
func (o Outcome) appendData(b []byte, record, ended string) []byte {
	text := func(name, value string) {
		if value != "" {
			b = append(append(append(b, `,"`...), name...), `":`...)
			b = appendString(b, value)
		}
	}
	b = append(b, `{"record":`...)
	b = appendString(b, record)
	text("outcome", string(o.Kind))
	b = strconv.AppendInt(append(b, `,"code":`...), int64(o.Code), 10)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(o.Attempts), 10)
	b = strconv.AppendBool(append(b, `,"shared":`...), o.Shared)
	if !o.FirstAttempt.IsZero() {
		text("first_attempt", formatTime(o.FirstAttempt))
	}
	text("ended", ended)
	text("event_id", o.EventID)
	text("event_source", o.EventSource)
	text("erasure_id", o.ErasureID)
	if o.Event != nil {
		b = o.Event.appendObject(append(b, `,"conversation":`...))
	}
	text("replay_of", o.ReplayOf)
	text("by", oneLine(o.By))
	text("reason", oneLine(o.Reason))
	return append(b, '}')
}

// validate checks what Encode does not mend.
func (o Outcome) validate() error {
	switch {
	case !legalTopic(o.Topic) || o.Partition < 0 || o.Partition > math.MaxInt32 || o.Offset < 0:
		return &FieldError{Field: "record", Reason: "must be TOPIC/PARTITION/OFFSET, is " + quote(o.Record())}
	case !o.Kind.known():
		return &FieldError{Field: "outcome", Reason: "is no outcome: " + quote(string(o.Kind))}
	case o.Attempts < 0:
		return &FieldError{Field: "attempts", Reason: "is negative"}
	case o.Ended.IsZero():
		return &FieldError{Field: "ended", Reason: "is missing"}
	}
	for _, attribute := range [...]struct{ name, text string }{{"event_id", o.EventID}, {"event_source", o.EventSource}, {"erasure_id", o.ErasureID}} {
		if err := checkAttribute(attribute.name, attribute.text); err != nil {
			return err
		}
	}
	if o.ReplayOf != "" {
		if _, _, _, err := ParseID(o.ReplayOf); err != nil {
			return &FieldError{Field: "replay_of", Reason: "must be TOPIC/PARTITION/OFFSET, is " + quote(o.ReplayOf)}
		}
	}
	if o.Event != nil {
		if err := (Event{Conversation: o.Event.Conversation}).Validate(); err != nil {
			return &FieldError{Field: "conversation", Reason: err.Error()}
		}
	}
	return nil
}
