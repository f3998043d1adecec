package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// lineMembers are the members of a JSON object by their exact names.
type lineMembers map[string]json.RawMessage

var errNoObject = errors.New("not a JSON object of different members")

// readMembers reads an object. encoding/json alone would accept names in any case, and the same name twice.
func readMembers(text []byte) (lineMembers, error) {
	if !utf8.Valid(text) {
		return nil, errNoObject
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errNoObject
	}
	members := lineMembers{}
	for decoder.More() {
		token, err := decoder.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, errNoObject
		}
		if _, twice := members[name]; twice {
			return nil, errNoObject
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return nil, errNoObject
		}
		members[name] = value
	}
	if _, err := decoder.Token(); err != nil || len(bytes.TrimSpace(text[decoder.InputOffset():])) > 0 {
		return nil, errNoObject
	}
	return members, nil
}

// letterMembers returns the members of a line that is an exported dead letter. A line that names an account, or is a
// CloudEvent, is taken for an event, even for an invalid one.
func letterMembers(line []byte) (lineMembers, bool) {
	m, err := readMembers(line)
	if err != nil || m.has("From_Account", "To_Account", "Type", "specversion") {
		return nil, false
	}
	return m, m.has("id") && m.has("class") && m.has("topic") && m.has("headers")
}

func (m lineMembers) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, ok := m[name]
		return ok
	})
}

// mayBeAbsent returns true for members that not every exported dead letter has.
func mayBeAbsent(name string) bool {
	return slices.Contains([]string{
		"first_attempt", "last_attempt", "written", "timestamp", "replay_of", "omitted", "batch", "event",
	}, name)
}

// check compares the names of members with those that export writes. A pair is a member as text, or the same one as base64.
// Exactly one of the two must exist.
func (m lineMembers) check(single, pairs []string) error {
	known := slices.Clone(single)
	for _, name := range single {
		if !m.has(name) && !mayBeAbsent(name) {
			return &letterError{member: name, reason: "is missing"}
		}
		if string(m[name]) == "null" {
			return &letterError{member: name, reason: "is null"}
		}
	}
	for _, name := range pairs {
		known = append(known, name, name+suffixBase64)
		switch {
		case m.has(name) && m.has(name+suffixBase64):
			return &letterError{member: name, reason: "is given beside " + name + suffixBase64}
		case !m.has(name, name+suffixBase64):
			return &letterError{member: name, reason: "is missing"}
		}
	}
	for name := range m {
		if !slices.Contains(known, name) {
			return &letterError{member: name, reason: "is unknown"}
		}
	}
	return nil
}

const suffixBase64 = "_base64"

// bytes returns a member that is text, null or base64.
func (m lineMembers) bytes(name string) ([]byte, error) {
	text := new(string)
	if raw, ok := m[name]; ok {
		if json.Unmarshal(raw, &text) != nil {
			return nil, &letterError{member: name, reason: "must be a string or null"}
		}
		if text == nil {
			return nil, nil
		}
		return []byte(*text), nil
	}
	name += suffixBase64
	if json.Unmarshal(m[name], text) != nil || string(m[name]) == "null" {
		return nil, &letterError{member: name, reason: "must be a string"}
	}
	data, err := base64.StdEncoding.Strict().DecodeString(*text)
	if err != nil {
		return nil, &letterError{member: name, reason: "must be base64"}
	}
	return data, nil
}

// readParts reads an object with exactly these members.
func readParts(raw json.RawMessage, parts map[string]any) error {
	m, err := readMembers(raw)
	if err != nil || len(m) != len(parts) {
		return errParts
	}
	for name, into := range parts {
		if value, ok := m[name]; !ok || string(value) == "null" || json.Unmarshal(value, into) != nil {
			return errParts
		}
	}
	return nil
}

var errParts = errors.New("must be an object as export writes it")
