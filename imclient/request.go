package imclient

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// These are the types of conversations, the API's field Type.
const (
	// C2C is a conversation of two accounts.
	C2C = 1
	// G2C is an account's view of a group.
	G2C = 2
)

// DeleteRequest names a conversation to delete from an account's list.
type DeleteRequest struct {
	// From is the account whose conversation is deleted (From_Account).
	From string
	// Type is [C2C] or [G2C].
	Type int
	// To is the other side: an account, or a group's ID for [G2C] (To_Account). For G2C it is also sent as ToGroupid, the
	// name on the vendor's newer page.
	To string
	// ClearRamble also clears the messages that are stored for roaming.
	ClearRamble bool
	// Sent, if set, is called at most once, from any goroutine, but before DeleteConversation returns. It is called when
	// the whole request has been handed to the operating system, or when that is uncertain. If it is not called, the API
	// has not got this request. It must not block.
	Sent func()
}

// validate refuses a request whose meaning would change on the way, or for which the API has no form. The API itself checks
// how accounts look.
func (r *DeleteRequest) validate() error {
	switch {
	case r.Type != C2C && r.Type != G2C:
		return &RequestError{Field: "Type", Problem: strconv.Itoa(r.Type) + " is neither 1 (C2C) nor 2 (G2C)"}
	case r.From == "":
		return &RequestError{Field: "From_Account", Problem: "empty"}
	case r.To == "":
		return &RequestError{Field: "To_Account", Problem: "empty"}
	case !utf8.ValidString(r.From):
		return &RequestError{Field: "From_Account", Problem: "not UTF-8, which JSON cannot carry"}
	case !utf8.ValidString(r.To):
		return &RequestError{Field: "To_Account", Problem: "not UTF-8, which JSON cannot carry"}
	}
	return nil
}

// body returns the request's JSON, with the fields in the order of the vendor's example. It is written by hand, since it is
// most of the package's work for a call. The result is not reused, since net/http may still read it after a call that was
// given up.
func (r *DeleteRequest) body() []byte {
	b := make([]byte, 0, 96+len(r.From)+2*len(r.To))
	b = append(b, `{"From_Account":`...)
	b = appendString(b, r.From)
	b = append(b, `,"Type":`...)
	b = strconv.AppendInt(b, int64(r.Type), 10)
	b = append(b, `,"To_Account":`...)
	b = appendString(b, r.To)
	if r.Type == G2C {
		b = append(b, `,"ToGroupid":`...)
		b = appendString(b, r.To)
	}
	if r.ClearRamble {
		return append(b, `,"ClearRamble":1}`...)
	}
	return append(b, `,"ClearRamble":0}`...)
}

// appendString appends s as a JSON string. Only faulty events have accounts that are not printable ASCII, so escaping is
// left to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendEscaped(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendEscaped(b []byte, s string) []byte {
	escaped, err := json.Marshal(s)
	if err != nil {
		// Strings always marshal. If not, an empty string is valid JSON, and the API refuses it.
		return append(b, `""`...)
	}
	return append(b, escaped...)
}
