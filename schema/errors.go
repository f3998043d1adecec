package schema

// Wrapping is the form in which a record carries an event.
type Wrapping string

// These are the wrappings that [Decode] knows.
const (
	// Bare is the object alone.
	Bare Wrapping = "bare"
	// Structured is a CloudEvents JSON event.
	Structured Wrapping = "CloudEvents structured"
	// Binary is a CloudEvents event whose attributes are headers.
	Binary Wrapping = "CloudEvents binary"
)

// DecodeError says why a record is not a valid event.
type DecodeError struct {
	// Wrapping is the wrapping for which the record was taken; empty if reading failed before that was known.
	Wrapping Wrapping
	// Err is the reason, a [*FieldError] if it concerns one field, attribute or header.
	Err error
}

// Error returns a line like "not a valid bare event: From_Account: is missing".
func (e *DecodeError) Error() string {
	if e.Wrapping == "" {
		return "not an event: " + e.Err.Error()
	}
	return "not a valid " + string(e.Wrapping) + " event: " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// FieldError says what is wrong with one field, attribute or header.
type FieldError struct {
	// Field is the name as it stands in the record: a field ("From_Account"), a CloudEvents
	// attribute ("time") or a record header ("ce_time", "dlt-class").
	Field string
	// Reason continues a sentence that begins with the name: "is missing".
	Reason string
}

// Error returns "FIELD: REASON".
func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }
