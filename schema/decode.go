package schema

import "errors"

// Header is one header of a Kafka record. Kafka compares keys byte for byte and lets one key come
// several times.
type Header struct {
	Key   string
	Value []byte
}

// Decode reads the event that a record carries. Its error is a [*DecodeError], with a [*FieldError]
// inside where one thing can be named; the event is then the zero value. It never panics, keeps no
// reference to its arguments and accepts nothing that [Event.Validate] refuses.
//
// The wrapping is told by these rules, in this order:
//
//   - a content-type header that starts with application/cloudevents means structured; only the
//     JSON format is accepted, and ce_ headers are ignored;
//   - a ce_specversion, ce_type, ce_source, ce_id or ce_time header means binary;
//   - an object with a specversion member is structured;
//   - anything else is bare.
//
// The object in any of them:
//
//   - From_Account and To_Account are strings, see [Conversation]. Type is a number equal to 1 or
//     2, ClearRamble one equal to 0 or 1, or absent. JSON has only one kind of number, so 1.0 and
//     1e0 are 1; "1", true and null are refused.
//   - Names are compared byte for byte, after undoing JSON escapes: from_account is an unknown
//     field. A known field that comes twice is refused, unknown fields are ignored.
//
// A CloudEvents event must have specversion 1.0, type [EventType], a source and an id; time, when
// present, must be RFC 3339 (leap seconds, which Go's time cannot hold, are refused), and
// datacontenttype, when present, must be a JSON media type. In a structured event a null attribute
// counts as absent, and the object may come as data or, in base64, as data_base64, not both.
func Decode(value []byte, headers []Header) (Event, error) {
	if value == nil {
		return Event{}, &DecodeError{Err: errors.New("the value is null")}
	}
	object, err := checkObject(value)
	if err != nil {
		return Event{}, &DecodeError{Err: err}
	}
	given, wrapping, err := readHeaders(headers)
	if err != nil {
		return Event{}, &DecodeError{Wrapping: wrapping, Err: err}
	}
	found := readMembers(object)
	if wrapping == "" {
		wrapping = Bare
		if found[memberSpecversion].raw != nil {
			wrapping = Structured
		}
	}
	var e Event
	switch wrapping {
	case Bare:
		err = e.readBare(&found)
	case Structured:
		err = e.readStructured(&found)
	case Binary:
		if err = e.readAttributes(&given); err == nil {
			err = e.readBare(&found)
		}
	}
	if err == nil {
		err = e.Validate()
	}
	if err != nil {
		return Event{}, &DecodeError{Wrapping: wrapping, Err: err}
	}
	return e, nil
}

// readBare reads the object itself. Lengths and characters are left to Validate.
func (e *Event) readBare(found *members) error {
	from, err := found[memberFrom].text("From_Account")
	if err != nil {
		return err
	}
	kind, err := found[memberConversation].digit("Type", "must be 1 (C2C) or 2 (G2C)", 1, 2)
	if err != nil {
		return err
	}
	to, err := found[memberTo].text("To_Account")
	if err != nil {
		return err
	}
	clearRamble := 0
	if found[memberClearRamble].raw != nil {
		if clearRamble, err = found[memberClearRamble].digit("ClearRamble", "must be 0 or 1", 0, 1); err != nil {
			return err
		}
	}
	e.Conversation = Conversation{From: string(from), Type: ConversationType(kind), To: string(to)}
	e.ClearRamble = clearRamble == 1
	return nil
}
