package schema

import "errors"

// Header is one header of a Kafka record. Kafka compares keys byte for byte, and a key may occur several times.
type Header struct {
	Key   string
	Value []byte
}

// Decode reads the event that a record carries. Its error is a [*DecodeError]. A [*FieldError] is inside if the error
// concerns one field, attribute or header. With an error the event is the zero value. Decode never panics, keeps no
// reference to its arguments and accepts nothing that [Event.Validate] refuses.
//
// The wrapping follows from these rules, in this order:
//
//   - A content-type header that begins with application/cloudevents means structured. Only the
//     JSON format is accepted, and ce_ headers are ignored.
//   - A ce_specversion, ce_type, ce_source, ce_id or ce_time header means binary.
//   - An object with a specversion member is structured.
//   - Everything else is bare.
//
// The object is the same in all wrappings:
//
//   - From_Account and To_Account are strings, see [Conversation]. Type is a number equal to 1 or
//     2. ClearRamble is a number equal to 0 or 1, or absent. JSON has only one kind of number, so
//     1.0 and 1e0 are 1. "1", true and null are refused.
//   - Names are compared byte for byte, after undoing JSON escapes, so from_account is an unknown
//     field. A known field that occurs twice is refused. Unknown fields are ignored.
//
// A CloudEvents event must have specversion 1.0, type [EventType], a source and an id. If time is present, it must be an
// RFC 3339 time; leap seconds, which Go's time cannot hold, are refused. If datacontenttype is present, it must be a JSON
// media type. If erasureid is present, it must be a string that is not empty. In a structured event a null attribute counts as absent, and the object is either in data or, as base64, in
// data_base64, not in both.
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

// readBare reads the object. It leaves lengths and characters to Validate.
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
