package schema

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// These content types tell the two modes of CloudEvents apart (Kafka protocol binding 1.0.2, section 3).
const (
	// ContentTypeHeader is the record header that holds the content type.
	ContentTypeHeader = "content-type"
	// ContentTypeStructured is the content type of a value made by [Event.EncodeCloudEvent].
	ContentTypeStructured = "application/cloudevents+json"
	// ContentTypeBinary is the content type of a value made by [Event.EncodeCloudEventBinary].
	ContentTypeBinary = "application/json"
)

const (
	// anyCloudEvents is the prefix of the content types of all CloudEvents formats.
	anyCloudEvents = "application/cloudevents"
	// cloudEventsVersion is the specversion of CloudEvents 1.0, 1.0.1 and 1.0.2.
	cloudEventsVersion = "1.0"
)

// attribute is a CloudEvents attribute. Its name is that of the member or header in the record.
type attribute struct {
	name     string
	value    []byte
	set      bool
	repeated bool
}

// attributes are those that convdel reads, indexed by memberSpecversion to memberErasureID.
type attributes [memberErasureID + 1]attribute

// attributeNames returns the attributes' names in a structured event.
func attributeNames() attributes {
	return attributes{
		memberSpecversion: {name: "specversion"}, memberType: {name: "type"}, memberSource: {name: "source"},
		memberID: {name: "id"}, memberTime: {name: "time"}, memberContentType: {name: "datacontenttype"},
		memberErasureID: {name: "erasureid"},
	}
}

// headerNames returns the attributes' names in a binary event.
func headerNames() attributes {
	return attributes{
		memberSpecversion: {name: "ce_specversion"}, memberType: {name: "ce_type"}, memberSource: {name: "ce_source"},
		memberID: {name: "ce_id"}, memberTime: {name: "ce_time"}, memberContentType: {name: ContentTypeHeader},
		memberErasureID: {name: "ce_erasureid"},
	}
}

// readHeaders reads the CloudEvents headers. The wrapping is empty if the headers don't decide it; then the value does.
func readHeaders(headers []Header) (attributes, Wrapping, error) {
	if len(headers) == 0 {
		return attributes{}, "", nil
	}
	a := headerNames()
	wrapping := Wrapping("")
	for _, h := range headers {
		for i := range a {
			if a[i].name != h.Key {
				continue
			}
			a[i].repeated, a[i].set, a[i].value = a[i].set, true, h.Value
			if i != memberContentType && i != memberErasureID {
				wrapping = Binary
			}
		}
	}
	media := a[memberContentType]
	if media.repeated {
		return a, "", errRepeated(ContentTypeHeader)
	}
	if len(media.value) < len(anyCloudEvents) || !strings.EqualFold(string(media.value[:len(anyCloudEvents)]), anyCloudEvents) {
		return a, wrapping, nil
	}
	if !strings.EqualFold(mediaType(media.value), ContentTypeStructured) {
		return a, Structured, &FieldError{Field: ContentTypeHeader, Reason: fmt.Sprintf(
			"must be %s for a structured event, is %.60q", ContentTypeStructured, media.value)}
	}
	return a, Structured, nil
}

// readStructured reads an envelope. It reads the attributes first, so that the error for an event of another type names the
// type.
func (e *Event) readStructured(found *members) error {
	a := attributeNames()
	for i := range a {
		m := found[i]
		if m.raw == nil || string(m.raw) == "null" && !m.repeated {
			continue
		}
		text, err := m.text(a[i].name)
		if err != nil {
			return err
		}
		a[i].value, a[i].set = text, true
	}
	if err := e.readAttributes(&a); err != nil {
		return err
	}
	object, err := structuredData(found)
	if err != nil {
		return err
	}
	inner := readMembers(object)
	return e.readBare(&inner)
}

// structuredData returns the object of an envelope from the one of two members that holds it.
func structuredData(found *members) ([]byte, error) {
	plain, encoded := found[memberData], found[memberDataBase64]
	switch {
	case plain.raw == nil && encoded.raw == nil:
		return nil, &FieldError{Field: "data", Reason: "is missing"}
	case plain.repeated:
		return nil, errRepeated("data")
	case plain.raw != nil && encoded.raw != nil:
		return nil, &FieldError{Field: "data_base64", Reason: "is given beside data, only one of them may be"}
	case plain.raw != nil:
		if plain.raw[0] != '{' {
			return nil, &FieldError{Field: "data", Reason: "must be an object, is " + kindOf(plain.raw)}
		}
		return plain.raw, nil
	}
	text, err := encoded.text("data_base64")
	if err != nil {
		return nil, err
	}
	decoded := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(decoded, text)
	if err != nil {
		return nil, &FieldError{Field: "data_base64", Reason: "is not base64: " + err.Error()}
	}
	object, err := checkObject(decoded[:n])
	if err != nil {
		return nil, &FieldError{Field: "data_base64", Reason: "does not hold an event: " + err.Error()}
	}
	return object, nil
}

// readAttributes checks the attributes and copies those that an Event keeps.
func (e *Event) readAttributes(a *attributes) error {
	for i := range a {
		if a[i].repeated {
			return errRepeated(a[i].name)
		}
	}
	if err := a[memberSpecversion].mustBe(cloudEventsVersion); err != nil {
		return err
	}
	if err := a[memberType].mustBe(EventType); err != nil {
		return err
	}
	var err error
	if e.Source, err = a[memberSource].required(); err != nil {
		return err
	}
	if e.ID, err = a[memberID].required(); err != nil {
		return err
	}
	if e.Time, err = a[memberTime].time(); err != nil {
		return err
	}
	if a[memberErasureID].set {
		if e.ErasureID, err = a[memberErasureID].required(); err != nil {
			return err
		}
	}
	return a[memberContentType].mustBeJSON()
}

// mustBe checks an attribute that has only one valid value.
func (a *attribute) mustBe(want string) error {
	switch {
	case !a.set:
		return &FieldError{Field: a.name, Reason: "is missing"}
	case string(a.value) != want:
		return &FieldError{Field: a.name, Reason: fmt.Sprintf("must be %q, is %.60q", want, a.value)}
	}
	return nil
}

// required returns an attribute that must exist and must not be empty.
func (a *attribute) required() (string, error) {
	switch {
	case !a.set:
		return "", &FieldError{Field: a.name, Reason: "is missing"}
	case len(a.value) == 0:
		return "", &FieldError{Field: a.name, Reason: "is empty"}
	}
	s := string(a.value)
	return s, checkAttribute(a.name, s)
}

// time returns an attribute that is a time, or the zero time if the attribute is missing.
func (a *attribute) time() (time.Time, error) {
	if !a.set {
		return time.Time{}, nil
	}
	t, ok := parseTime(a.value)
	if !ok {
		return time.Time{}, &FieldError{Field: a.name, Reason: fmt.Sprintf("must be an RFC 3339 time, is %.60q", a.value)}
	}
	return t, nil
}

// mustBeJSON checks a content type by CloudEvents' rule for JSON: the subtype is json or ends in +json.
func (a *attribute) mustBeJSON() error {
	if !a.set {
		return nil
	}
	_, subtype, _ := strings.Cut(mediaType(a.value), "/")
	if strings.EqualFold(subtype, "json") || len(subtype) > 5 && strings.EqualFold(subtype[len(subtype)-5:], "+json") {
		return nil
	}
	return &FieldError{Field: a.name, Reason: fmt.Sprintf("must be a JSON media type, is %.60q", a.value)}
}

// mediaType returns a content type without its parameters.
func mediaType(contentType []byte) string {
	media, _, _ := strings.Cut(string(contentType), ";")
	return strings.TrimSpace(media)
}
