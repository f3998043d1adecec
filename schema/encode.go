package schema

import "strconv"

// Encode returns the event in the bare wrapping, as the API's own request body:
//
//	{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}
//
// ClearRamble is always written, also as 0. The bare wrapping has no room for Time, ID, Source and ErasureID, so they are left
// out.
// The error is a [*FieldError] for every event that [Event.Validate] refuses.
func (e Event) Encode() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e.appendObject(make([]byte, 0, 256)), nil
}

// EncodeCloudEvent returns the event in the structured wrapping, CloudEvents 1.0 as JSON. ID and Source are required. The
// time is written in UTC, unless it is zero. A content-type header of [ContentTypeStructured] may go with the value;
// [Decode] does not need it. The error is a [*FieldError].
func (e Event) EncodeCloudEvent() ([]byte, error) {
	if err := e.validateCloudEvent(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 512)
	b = append(b, `{"specversion":"`+cloudEventsVersion+`","type":"`+EventType+`","source":`...)
	b = appendString(b, e.Source)
	b = append(b, `,"id":`...)
	b = appendString(b, e.ID)
	if !e.Time.IsZero() {
		b = append(b, `,"time":`...)
		b = appendString(b, formatTime(e.Time))
	}
	if e.ErasureID != "" {
		b = append(b, `,"erasureid":`...)
		b = appendString(b, e.ErasureID)
	}
	b = append(b, `,"datacontenttype":"`+ContentTypeBinary+`","data":`...)
	return append(e.appendObject(b), '}'), nil
}

// EncodeWhole returns a value from which [Decode] reads the same event without any headers. The value is bare if the event
// has neither ID nor Source nor Time nor ErasureID, otherwise structured. It becomes [DeadLetter.Event] if the record was decoded but
// can't be kept. It returns no error for an event that Decode has returned.
func (e Event) EncodeWhole() ([]byte, error) {
	if e.ID == "" && e.Source == "" && e.Time.IsZero() && e.ErasureID == "" {
		return e.Encode()
	}
	return e.EncodeCloudEvent()
}

// EncodeCloudEventBinary returns the event in the binary wrapping. The value is that of [Event.Encode]. The headers hold
// the CloudEvents attributes, and all of them must go with the value. ID and Source are required; ce_time and ce_erasureid are
// written unless they are empty. The error is a [*FieldError].
func (e Event) EncodeCloudEventBinary() ([]byte, []Header, error) {
	if err := e.validateCloudEvent(); err != nil {
		return nil, nil, err
	}
	names := headerNames()
	headers := make([]Header, 0, len(names))
	add := func(member int, value string) {
		headers = append(headers, Header{Key: names[member].name, Value: []byte(value)})
	}
	add(memberSpecversion, cloudEventsVersion)
	add(memberType, EventType)
	add(memberSource, e.Source)
	add(memberID, e.ID)
	if !e.Time.IsZero() {
		add(memberTime, formatTime(e.Time))
	}
	if e.ErasureID != "" {
		add(memberErasureID, e.ErasureID)
	}
	add(memberContentType, ContentTypeBinary)
	return e.appendObject(make([]byte, 0, 256)), headers, nil
}

// validateCloudEvent is Validate and the requirements of CloudEvents.
func (e Event) validateCloudEvent() error {
	if err := e.Validate(); err != nil {
		return err
	}
	if e.Source == "" {
		return &FieldError{Field: "source", Reason: "is empty, CloudEvents requires it"}
	}
	if e.ID == "" {
		return &FieldError{Field: "id", Reason: "is empty, CloudEvents requires it"}
	}
	return nil
}

// appendObject appends the request body of a valid event.
func (e Event) appendObject(b []byte) []byte {
	b = append(b, `{"From_Account":`...)
	b = appendString(b, e.From)
	b = append(b, `,"Type":`...)
	b = strconv.AppendInt(b, int64(e.Type), 10)
	b = append(b, `,"To_Account":`...)
	b = appendString(b, e.To)
	if e.ClearRamble {
		return append(b, `,"ClearRamble":1}`...)
	}
	return append(b, `,"ClearRamble":0}`...)
}

// appendString appends s, which is valid UTF-8 without control characters, as a JSON string.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
