package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"convdel/internal/publish"
	"convdel/schema"
)

// This file publishes a line of `convdel deadletters export` as a replay publishes the dead letter.

// letterError says what is wrong with an exported dead letter.
type letterError struct {
	member string
	reason string
}

func (e *letterError) Error() string {
	return "not a valid exported dead letter: " + visible(e.member) + " " + e.reason
}

// lineError names the dead letter of a line that is not published.
type lineError struct {
	id  string
	err error
}

func (e *lineError) Error() string { return e.id + ": " + e.err.Error() }

func (e *lineError) Unwrap() error { return e.err }

// ofLetter adds a line's ID to an error, if the line has one.
func ofLetter(id string, err error) error {
	if _, _, _, wrong := schema.ParseID(id); err == nil || wrong != nil {
		return err
	}
	if _, named := errors.AsType[*schema.ReplayError](err); named {
		return err
	}
	return &lineError{id: id, err: err}
}

// beginningID finds the ID in the beginning of an exported dead letter's line, empty if there is none.
func beginningID(text []byte) string {
	rest, found := bytes.CutPrefix(text, []byte(`{"id":"`))
	id, _, ended := bytes.Cut(rest, []byte(`"`))
	if !found || !ended {
		return ""
	}
	return string(id)
}

// letter makes the record to publish from an exported dead letter. The errors name the letter.
func (p *publishing) letter(m lineMembers) (publish.Record, error) {
	var id string
	_ = json.Unmarshal(m["id"], &id) // an ID that is not a string names no letter
	r, err := p.replayOf(m)
	r.ID = id
	return r, ofLetter(id, err)
}

func (p *publishing) replayOf(m lineMembers) (publish.Record, error) {
	if p.wrap != "" {
		return publish.Record{}, errLetterWrap
	}
	d, headers, err := m.deadLetter()
	if err != nil {
		return publish.Record{}, err
	}
	value, err := m.bytes("value")
	if err != nil {
		return publish.Record{}, err
	}
	if d.Topic != p.topic {
		return publish.Record{}, &letterError{member: "topic", reason: fmt.Sprintf("is %s, and --topic is %s", d.Topic, p.topic)}
	}
	if d.Omitted != nil && d.Batch == nil && len(value) > 0 {
		return publish.Record{}, errBothValues
	}
	source, err := d.Replay(value, headers)
	if err != nil {
		return publish.Record{}, err
	}
	event, err := schema.Decode(source.Value, source.Headers)
	if err == nil {
		err = checkSides(event)
	}
	if err != nil {
		return publish.Record{}, err
	}
	return publish.Record{Key: source.Key, Value: source.Value, Headers: source.Headers, Event: event}, nil
}

var errBothValues = &letterError{member: "value", reason: "is given beside omitted: take omitted out of the line if the value is whole"}

var errLetterWrap = errors.New("an exported dead letter keeps its wrapping: not with --cloud-event")

// deadLetter reads everything but the value. It applies the rules for a dead letter's headers.
func (m lineMembers) deadLetter() (schema.DeadLetter, []schema.Header, error) {
	err := m.check([]string{
		"id", "class", "code", "error", "attempts", "first_attempt", "last_attempt", "written", "topic", "partition",
		"offset", "timestamp", "group", "replays", "replay_of", "headers", "omitted", "batch", "event",
	}, []string{"key", "value"})
	if err != nil {
		return schema.DeadLetter{}, nil, err
	}
	d, err := m.fields()
	if err != nil {
		return d, nil, err
	}
	if d.Key, err = m.bytes("key"); err != nil {
		return d, nil, err
	}
	if err := m.lacks(&d); err != nil {
		return d, nil, err
	}
	headers, err := m.headers()
	if err != nil {
		return d, nil, err
	}
	d, err = schema.ParseDeadLetter(d.Headers(headers))
	if field, ok := errors.AsType[*schema.FieldError](err); ok {
		err = &letterError{member: strings.TrimPrefix(field.Field, schema.HeaderPrefix), reason: field.Reason}
	}
	return d, headers, err
}

// fields reads the members that hold neither bytes nor headers.
func (m lineMembers) fields() (schema.DeadLetter, error) {
	var d schema.DeadLetter
	var id, class string
	for _, member := range []struct {
		name string
		into any
		what string
	}{
		{"id", &id, "a string"},
		{"class", &class, "a string"},
		{"code", &d.Code, "a whole number"},
		{"error", &d.Error, "a string"},
		{"attempts", &d.Attempts, "a whole number"},
		{"first_attempt", (*letterTime)(&d.FirstAttempt), "an RFC 3339 time"},
		{"last_attempt", (*letterTime)(&d.LastAttempt), "an RFC 3339 time"},
		{"written", new(letterTime), "an RFC 3339 time"},
		{"topic", &d.Topic, "a string"},
		{"partition", &d.Partition, "a whole number"},
		{"offset", &d.Offset, "a whole number"},
		{"timestamp", (*letterTime)(&d.Timestamp), "an RFC 3339 time"},
		{"group", &d.Group, "a string"},
		{"replays", &d.Replays, "a whole number"},
		{"replay_of", &d.ReplayOf, "a string"},
	} {
		if raw, ok := m[member.name]; ok && json.Unmarshal(raw, member.into) != nil {
			return d, &letterError{member: member.name, reason: "must be " + member.what}
		}
	}
	d.Class = schema.Class(class)
	switch {
	case id != d.ID():
		return d, &letterError{member: "id", reason: "must be that of topic, partition and offset, " + strconv.Quote(d.ID())}
	case d.Replays < 0 || d.Replays > math.MaxInt32:
		return d, &letterError{member: "replays", reason: "is out of range"}
	}
	return d, nil
}

// letterTime is a time that is read as the times of events are.
type letterTime time.Time

// UnmarshalJSON reads the time.
func (t *letterTime) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	at, err := schema.ParseTime(text)
	*t = letterTime(at)
	return err
}

// lacks reads the description of the missing part of the source record. The event counts only if a part is missing.
func (m lineMembers) lacks(d *schema.DeadLetter) error {
	if raw, ok := m["omitted"]; ok {
		d.Omitted = new(schema.Omitted)
		if err := readParts(raw, map[string]any{"why": &d.Omitted.Why, "size": &d.Omitted.Size, "sha256": &d.Omitted.SHA256}); err != nil {
			return &letterError{member: "omitted", reason: err.Error()}
		}
	}
	if raw, ok := m["batch"]; ok {
		d.Batch = new(schema.Batch)
		if err := readParts(raw, map[string]any{"first": &d.Batch.First, "last": &d.Batch.Last}); err != nil {
			return &letterError{member: "batch", reason: err.Error()}
		}
	}
	if raw, ok := m["event"]; ok {
		var event string
		if json.Unmarshal(raw, &event) != nil {
			return &letterError{member: "event", reason: "must be a string"}
		}
		d.Event = []byte(event)
	}
	return nil
}

// headers reads the headers of the source record.
func (m lineMembers) headers() ([]schema.Header, error) {
	var list []json.RawMessage
	if json.Unmarshal(m["headers"], &list) != nil {
		return nil, &letterError{member: "headers", reason: "must be a list"}
	}
	headers := make([]schema.Header, 0, len(list))
	for i, raw := range list {
		header, err := readHeader(raw)
		if err != nil {
			return nil, &letterError{member: fmt.Sprintf("headers[%d]", i), reason: "is wrong: " + err.Error()}
		}
		headers = append(headers, header)
	}
	return headers, nil
}

func readHeader(raw json.RawMessage) (schema.Header, error) {
	m, err := readMembers(raw)
	if err == nil {
		err = m.check(nil, []string{"key", "value"})
	}
	if err != nil {
		return schema.Header{}, err
	}
	key, err := m.bytes("key")
	if err != nil {
		return schema.Header{}, err
	}
	if key == nil || strings.HasPrefix(string(key), schema.HeaderPrefix) {
		return schema.Header{}, errHeaderKey
	}
	value, err := m.bytes("value")
	return schema.Header{Key: string(key), Value: value}, err
}

var errHeaderKey = errors.New("a header of a source record has a key, which does not start with " + schema.HeaderPrefix)
