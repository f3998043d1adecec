package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// OutcomeError says why a record is no outcome.
type OutcomeError struct {
	// Err is the reason, a [*FieldError] if it concerns one attribute or field.
	Err error
}

// Error returns a line like "not an outcome: ended: is missing".
func (e *OutcomeError) Error() string { return "not an outcome: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *OutcomeError) Unwrap() error { return e.Err }

// outcomeData is the data of an outcome.
type outcomeData struct {
	Record       string          `json:"record"`
	Outcome      OutcomeKind     `json:"outcome"`
	Code         int             `json:"code"`
	Attempts     int             `json:"attempts"`
	Shared       bool            `json:"shared"`
	FirstAttempt string          `json:"first_attempt"`
	Ended        string          `json:"ended"`
	EventID      string          `json:"event_id"`
	EventSource  string          `json:"event_source"`
	ErasureID    string          `json:"erasure_id"`
	Conversation json.RawMessage `json:"conversation"`
	ReplayOf     string          `json:"replay_of"`
	By           string          `json:"by"`
	Reason       string          `json:"reason"`
}

// outcomeEnvelope is the CloudEvent around it.
type outcomeEnvelope struct {
	SpecVersion string          `json:"specversion"`
	Type        string          `json:"type"`
	Source      string          `json:"source"`
	ID          string          `json:"id"`
	Data        json.RawMessage `json:"data"`
}

// DecodeOutcome reads a record of the outcome topic. Unknown fields are ignored. The error is an [*OutcomeError]: the value is
// not such a CloudEvent, gives a name twice, or its key, its id and its data don't name the same record. Anybody who may write
// to the topic can write outcomes, so an outcome is worth as much as the topic's ACLs.
func DecodeOutcome(key, value []byte) (Outcome, error) {
	o, err := decodeOutcome(value)
	if err == nil && string(key) != o.Record() {
		err = &FieldError{Field: "record", Reason: "must be the record's key"}
	}
	if err != nil {
		return Outcome{}, &OutcomeError{Err: err}
	}
	return o, nil
}

func decodeOutcome(value []byte) (Outcome, error) {
	object, err := checkObject(value)
	if err != nil {
		return Outcome{}, err
	}
	if name, repeated := repeatedName(object); repeated {
		return Outcome{}, errRepeated(name)
	}
	var envelope outcomeEnvelope
	if err := unmarshal(object, &envelope); err != nil {
		return Outcome{}, err
	}
	group, found := strings.CutPrefix(envelope.Source, outcomeSource)
	switch {
	case envelope.SpecVersion != cloudEventsVersion:
		return Outcome{}, &FieldError{Field: "specversion", Reason: "must be " + cloudEventsVersion + ", is " + quote(envelope.SpecVersion)}
	case envelope.Type != OutcomeType:
		return Outcome{}, &FieldError{Field: "type", Reason: "must be " + OutcomeType + ", is " + quote(envelope.Type)}
	case !found:
		return Outcome{}, &FieldError{Field: "source", Reason: "must begin with " + outcomeSource + ", is " + quote(envelope.Source)}
	case len(envelope.Data) == 0:
		return Outcome{}, &FieldError{Field: "data", Reason: "is missing"}
	}
	var data outcomeData
	if err := unmarshal(envelope.Data, &data); err != nil {
		return Outcome{}, err
	}
	o, err := data.outcome()
	if err != nil {
		return Outcome{}, err
	}
	o.Group = oneLine(group)
	if envelope.ID != o.ID() {
		return Outcome{}, &FieldError{Field: "id", Reason: "must be " + quote(o.ID()) + ", is " + quote(envelope.ID)}
	}
	return o, nil
}

// outcome reads the fields of the data.
func (d *outcomeData) outcome() (Outcome, error) {
	o := Outcome{
		Kind: d.Outcome, Code: d.Code, Attempts: d.Attempts, Shared: d.Shared,
		EventID: d.EventID, EventSource: d.EventSource, ErasureID: d.ErasureID,
		ReplayOf: d.ReplayOf, By: oneLine(d.By), Reason: oneLine(d.Reason),
	}
	var err error
	if o.Topic, o.Partition, o.Offset, err = ParseID(d.Record); err != nil {
		return Outcome{}, &FieldError{Field: "record", Reason: "must be TOPIC/PARTITION/OFFSET, is " + quote(d.Record)}
	}
	for _, t := range []struct {
		name, text string
		into       *time.Time
	}{{"first_attempt", d.FirstAttempt, &o.FirstAttempt}, {"ended", d.Ended, &o.Ended}} {
		if t.text == "" {
			continue
		}
		at, ok := parseTime([]byte(t.text))
		if !ok {
			return Outcome{}, &FieldError{Field: t.name, Reason: "must be an RFC 3339 time, is " + quote(t.text)}
		}
		*t.into = at
	}
	if len(d.Conversation) > 0 {
		object, err := checkObject(d.Conversation)
		if err != nil {
			return Outcome{}, &FieldError{Field: "conversation", Reason: err.Error()}
		}
		found := readMembers(object)
		o.Event = new(Event)
		if err := o.Event.readBare(&found); err != nil {
			return Outcome{}, &FieldError{Field: "conversation", Reason: err.Error()}
		}
	}
	return o, o.validate()
}

// unmarshal reads known fields. An error about one field is a [*FieldError].
func unmarshal(object []byte, into any) error {
	err := json.Unmarshal(object, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &FieldError{Field: wrong.Field, Reason: "must not be a JSON " + wrong.Value}
	}
	return err
}

// repeatedName returns a name that an object, or an object inside it, gives twice. Names that differ only in case count as equal,
// since encoding/json takes one for the other. The value is valid JSON.
func repeatedName(object []byte) (name string, repeated bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		value bool            // the next token is a value
	}
	var open []level
	for {
		token, err := d.Token()
		if err != nil {
			return "", false // the end
		}
		at := len(open) - 1
		if text, ok := token.(string); ok && at >= 0 && open[at].names != nil && !open[at].value {
			folded := strings.ToLower(strings.ToUpper(text)) // the long s and the Kelvin sign, too
			if open[at].names[folded] {
				return text, true
			}
			open[at].names[folded], open[at].value = true, true
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{names: map[string]bool{}})
			continue
		case json.Delim('['):
			open = append(open, level{})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:at]
		}
		if at = len(open) - 1; at >= 0 {
			open[at].value = false
		}
	}
}
