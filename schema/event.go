package schema

import (
	"fmt"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// These names are shared by publishers, the service and operators.
const (
	// Topic is the default name of the topic of events.
	Topic = "conversation.delete.requested"
	// DeadLetterTopic is the default name of the topic of dead letters.
	DeadLetterTopic = Topic + ".dead-letter"
	// EventType is the CloudEvents type of the event; any other type is refused.
	EventType = "conversation.delete.requested"
)

// These are the limits of an event. The service keeps a record that exceeds one as a dead letter.
const (
	// MaxValueSize is the largest size of an event's value, in bytes. A bare event without unknown fields has fewer than
	// 250. CloudEvents has the same limit, 64 KiB.
	MaxValueSize = 64 << 10
	// MaxUserID is the largest size of a UserID, in bytes (public limits of the IM REST API).
	MaxUserID = 32
	// MaxGroupID is the largest size of a group ID, in bytes (public limits of the IM REST API).
	MaxGroupID = 48
	// MaxAttribute is the largest size of [Event.ID], of [Event.Source] and of [Event.ErasureID], in bytes.
	MaxAttribute = 4 << 10
)

// ConversationType is the API's Type: the kind of the other side of a conversation. The zero value is no type.
type ConversationType int

// These are the API's types of conversation.
const (
	// C2C is a conversation of two users: To is a UserID.
	C2C ConversationType = 1
	// G2C is a group's conversation, as one user sees it: To is a group ID.
	G2C ConversationType = 2
)

// String returns "C2C", "G2C" or, for anything else, "ConversationType(N)".
func (t ConversationType) String() string {
	switch t {
	case C2C:
		return "C2C"
	case G2C:
		return "G2C"
	}
	return "ConversationType(" + strconv.Itoa(int(t)) + ")"
}

// Conversation names an entry of an account's conversation list. It is comparable. Each side of a C2C conversation has an
// entry of its own, so swapping From and To gives another Conversation.
type Conversation struct {
	// From is the UserID of the account whose conversation is deleted (From_Account): 1 to [MaxUserID] bytes of printable
	// ASCII, 0x20 to 0x7E. A space is a character like any other and is never trimmed.
	From string
	// Type is the type of To.
	Type ConversationType
	// To is the other side (To_Account). For [C2C] it is a UserID, with the same rules as From. For [G2C] it is a group ID,
	// 1 to [MaxGroupID] bytes of printable ASCII. Both group IDs assigned by the vendor ("@TGS#…") and those chosen by apps
	// are valid.
	To string
}

// Key returns the key for the conversation's records: TYPE:LENGTH:FROM:TO, where LENGTH is that of FROM in bytes, as in
// "1:5:alice:bob". The length makes the key unambiguous, since IDs may hold colons. The form will not change.
//
// The service does not read keys and needs no order. But if all events of a conversation are in one partition, the service
// can answer repeated ones with a single call.
func (c Conversation) Key() string {
	return strconv.Itoa(int(c.Type)) + ":" + strconv.Itoa(len(c.From)) + ":" + c.From + ":" + c.To
}

// Event asks for one conversation to be deleted.
type Event struct {
	Conversation
	// ClearRamble asks to clear the conversation's roaming messages, too. An absent field is the same as 0, "do not clear".
	// Encode always writes the field.
	ClearRamble bool

	// Time is when the event happened (CloudEvents time). It is zero if unknown: in a bare event, and if the optional
	// attribute is absent. Decode returns it in UTC.
	Time time.Time
	// ID names the event (CloudEvents id), unique within Source. Empty in a bare event.
	ID string
	// Source names the publisher (CloudEvents source). It is a URI reference, but only its length and characters are
	// checked. It is empty in a bare event.
	Source string
	// ErasureID is the request, such as to erase an account, of which the event is a part (the CloudEvents extension erasureid).
	// Empty if it is part of none, and in a bare event.
	ErasureID string
}

// Validate returns nil for an event that the service accepts, otherwise a [*FieldError] about the first field that is
// wrong. ID, Source, Time and ErasureID may be absent; [Event.EncodeCloudEvent] needs the first two.
func (e Event) Validate() error {
	if err := checkID("From_Account", e.From, "a UserID", MaxUserID); err != nil {
		return err
	}
	switch e.Type {
	case C2C:
		if err := checkID("To_Account", e.To, "a UserID", MaxUserID); err != nil {
			return err
		}
	case G2C:
		if err := checkID("To_Account", e.To, "a group ID", MaxGroupID); err != nil {
			return err
		}
	default:
		return &FieldError{Field: "Type", Reason: fmt.Sprintf("must be 1 (C2C) or 2 (G2C), is %d", int(e.Type))}
	}
	if err := checkAttribute("id", e.ID); err != nil {
		return err
	}
	if err := checkAttribute("source", e.Source); err != nil {
		return err
	}
	if err := checkAttribute("erasureid", e.ErasureID); err != nil {
		return err
	}
	if !expressible(e.Time) {
		return &FieldError{Field: "time", Reason: fmt.Sprintf(
			"is in the year %d, RFC 3339 has only 0 to 9999", e.Time.UTC().Year())}
	}
	return nil
}

// checkID checks an account or a group. Its errors do not repeat the ID, which is a person's name.
func checkID(field, id, what string, most int) error {
	switch {
	case id == "":
		return &FieldError{Field: field, Reason: "is empty"}
	case len(id) > most:
		return &FieldError{Field: field, Reason: fmt.Sprintf("is %d bytes long, %s has at most %d", len(id), what, most)}
	}
	for i := range len(id) {
		if id[i] < 0x20 || id[i] > 0x7e {
			return &FieldError{Field: field, Reason: fmt.Sprintf(
				"has byte 0x%02X at position %d, only printable ASCII (0x20 to 0x7E) is allowed", id[i], i)}
		}
	}
	return nil
}

// checkAttribute checks a CloudEvents attribute of type String, which may hold no control characters.
func checkAttribute(field, s string) error {
	if len(s) > MaxAttribute {
		return &FieldError{Field: field, Reason: fmt.Sprintf("is %d bytes long, at most %d are allowed", len(s), MaxAttribute)}
	}
	if !utf8.ValidString(s) {
		return &FieldError{Field: field, Reason: "is not valid UTF-8"}
	}
	for i, r := range s {
		if unicode.IsControl(r) {
			return &FieldError{Field: field, Reason: fmt.Sprintf("has control character %U at position %d", r, i)}
		}
	}
	return nil
}
