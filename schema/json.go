package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// encoding/json decides whether a value is JSON, but does not read it. Its structs match names without regard to case, take
// the last of several equal names and mend invalid UTF-8. Each of these could delete another conversation than the one
// intended. Reading a value that is known to be valid is simple, and takes no allocation here.

// These are the members of an object that have a meaning. The first seven are CloudEvents attributes, see [attributes]. In a
// bare event all but the last four are unknown fields.
const (
	memberSpecversion = iota
	memberType
	memberSource
	memberID
	memberTime
	memberContentType
	memberErasureID
	memberData
	memberDataBase64
	memberFrom
	memberConversation
	memberTo
	memberClearRamble
	memberCount
)

// indexOf returns the index of a member's name, -1 for an unknown one.
func indexOf(name []byte) int {
	switch string(name) {
	case "specversion":
		return memberSpecversion
	case "type":
		return memberType
	case "source":
		return memberSource
	case "id":
		return memberID
	case "time":
		return memberTime
	case "datacontenttype":
		return memberContentType
	case "erasureid":
		return memberErasureID
	case "data":
		return memberData
	case "data_base64":
		return memberDataBase64
	case "From_Account":
		return memberFrom
	case "Type":
		return memberConversation
	case "To_Account":
		return memberTo
	case "ClearRamble":
		return memberClearRamble
	}
	return -1
}

// member is the value of an object's member, undecoded; raw is nil if the member is missing.
type member struct {
	raw      []byte
	repeated bool
}

type members [memberCount]member

// checkObject returns value without surrounding space, if it is one JSON object.
func checkObject(value []byte) ([]byte, error) {
	switch {
	case len(value) > MaxValueSize:
		return nil, fmt.Errorf("the value has %d bytes, an event has at most %d", len(value), MaxValueSize)
	case !utf8.Valid(value):
		return nil, errors.New("the value is not valid UTF-8")
	case !json.Valid(value):
		return nil, syntaxError(value)
	}
	object := bytes.Trim(value, " \t\r\n")
	if object[0] != '{' {
		return nil, errors.New("the value must be a JSON object, is " + kindOf(object))
	}
	return object, nil
}

// syntaxError says why a value is not JSON, and at which byte.
func syntaxError(value []byte) error {
	var raw json.RawMessage
	err := json.Unmarshal(value, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the value is not JSON: %w, at byte %d", err, syntax.Offset)
	}
	return fmt.Errorf("the value is not JSON: %w", err)
}

// readMembers finds the members that have a meaning. checkObject has accepted the object.
func readMembers(object []byte) members {
	var found members
	for i := skip(object, 1); object[i] != '}'; i = skip(object, i) {
		end := endOfString(object, i)
		index := indexOf(unquote(object[i:end]))
		i = skip(object, end)
		end = endOfValue(object, i)
		if index >= 0 {
			found[index] = member{raw: object[i:end], repeated: found[index].raw != nil}
		}
		i = end
	}
	return found
}

// skip returns the index of the next byte, from i on, that is not a separator between members or their parts.
func skip(object []byte, i int) int {
	for {
		switch object[i] {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
		default:
			return i
		}
	}
}

// endOfString returns the index behind the string that begins at i.
func endOfString(object []byte, i int) int {
	for i++; object[i] != '"'; i++ {
		if object[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// endOfValue returns the index behind the value that begins at i. It counts brackets instead of recursing, so depth costs
// nothing.
func endOfValue(object []byte, i int) int {
	if object[i] != '{' && object[i] != '[' {
		return endOfScalar(object, i)
	}
	for depth := 0; ; {
		switch object[i] {
		case '"':
			i = endOfString(object, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}

func endOfScalar(object []byte, i int) int {
	if object[i] == '"' {
		return endOfString(object, i)
	}
	for {
		switch object[i] {
		case ' ', '\t', '\r', '\n', ',', '}', ']':
			return i
		}
		i++
	}
}

// unquote returns the content of a JSON string. Half of a surrogate pair becomes U+FFFD, which no account, group or field
// name can hold.
func unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return inner // it can't happen: the string is valid JSON
	}
	return []byte(s)
}

// text returns a member that must occur once and be a string.
func (m member) text(name string) ([]byte, error) {
	switch {
	case m.raw == nil:
		return nil, &FieldError{Field: name, Reason: "is missing"}
	case m.repeated:
		return nil, errRepeated(name)
	case m.raw[0] != '"':
		return nil, &FieldError{Field: name, Reason: "must be a string, is " + kindOf(m.raw)}
	}
	return unquote(m.raw), nil
}

// digit returns a member that must occur once and be a number equal to one or two.
func (m member) digit(name, want string, one, two int) (int, error) {
	switch {
	case m.raw == nil:
		return 0, &FieldError{Field: name, Reason: "is missing"}
	case m.repeated:
		return 0, errRepeated(name)
	}
	is := kindOf(m.raw)
	if is == "a number" {
		if n, ok := parseDigit(string(m.raw)); ok && (n == one || n == two) {
			return n, nil
		}
		is = string(m.raw[:min(len(m.raw), 20)])
	}
	return 0, &FieldError{Field: name, Reason: want + ", is " + is}
}

// parseDigit returns the number that a JSON number is equal to, if that is 0 to 9. It is exact and never computes with an
// exponent: 1e0 and 100e-2 are 1, while 1.0000000000000000000001 and 1e999999999 are refused.
func parseDigit(number string) (int, bool) {
	if len(number) == 1 {
		return int(number[0] - '0'), true
	}
	unsigned := strings.TrimPrefix(number, "-")
	mantissa, exponent := unsigned, "0"
	if i := strings.IndexAny(unsigned, "eE"); i >= 0 {
		mantissa, exponent = unsigned[:i], unsigned[i+1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	significant := strings.TrimRight(digits, "0")
	if significant == "" {
		return 0, true
	}
	power, err := strconv.Atoi(exponent)
	if err != nil || len(significant) != 1 || number[0] == '-' {
		return 0, false
	}
	power += len(digits) - len(significant) - len(fraction)
	return int(significant[0] - '0'), power == 0
}

// kindOf names the type of a JSON value.
func kindOf(raw []byte) string {
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

func errRepeated(name string) error {
	return &FieldError{Field: name, Reason: "is given more than once"}
}
