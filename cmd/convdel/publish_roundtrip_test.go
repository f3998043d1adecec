package main

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// drawnLetter makes letters of every kind that ParseDeadLetter accepts.
func drawnLetter(t *rapid.T) *deadletter.Letter {
	anyBytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }))
	at := func(label string) time.Time {
		seconds := rapid.SampledFrom([]int64{-62_135_596_800, -62_167_219_200, 253_402_300_799, 0, 1_772_353_800}).Draw(t, label)
		return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, label+" ns")).UTC()
	}
	d := schema.DeadLetter{
		Class: rapid.SampledFrom(schema.Classes()).Draw(t, "class"), Code: rapid.Int().Draw(t, "code"), Error: rapid.String().Draw(t, "error"),
		Attempts: rapid.IntRange(0, math.MaxInt32).Draw(t, "attempts"), FirstAttempt: at("first"), LastAttempt: at("last"), Timestamp: at("timestamp"),
		Topic: schema.Topic, Partition: rapid.IntRange(0, math.MaxInt32).Draw(t, "partition"), Offset: rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset"),
		Key: anyBytes.Draw(t, "key"), Group: rapid.String().Draw(t, "group"), Replays: rapid.SampledFrom([]int{0, 1, 77, math.MaxInt32}).Draw(t, "replays"),
		ReplayOf: rapid.SampledFrom([]string{"", "t/0/0"}).Draw(t, "of"), NullValue: rapid.Bool().Draw(t, "null"),
	}
	event := schema.Event{Conversation: schema.Conversation{From: rapid.StringMatching(`[ -~]{1,32}`).Draw(t, "from"), Type: schema.C2C, To: "bob"}}
	if rapid.Bool().Draw(t, "cloud") {
		event.ID, event.Source, event.Time = rapid.StringMatching(`[ -~é]{1,9}`).Draw(t, "event's id"), "/app", time.Unix(1_772_353_800, 0)
	}
	whole, err := event.EncodeWhole()
	if err != nil {
		t.Fatal(err)
	}
	value := rapid.OneOf(rapid.Just(whole), anyBytes).Draw(t, "value")
	if rapid.Bool().Draw(t, "omitted") {
		d.Omitted, value = &schema.Omitted{Why: rapid.String().Draw(t, "why"), Size: 7, SHA256: strings.Repeat("0a", 32)}, nil
		if rapid.Bool().Draw(t, "kept") {
			d.Event = whole
		}
	}
	if rapid.Bool().Draw(t, "batch") {
		d.Batch = &schema.Batch{First: d.Offset, Last: d.Offset}
	}
	source := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) schema.Header {
		key := rapid.OneOf(rapid.SampledFrom([]string{"ce_id", "content-type", "trace", ""}), rapid.String(), rapid.Just("raw\xff")).Draw(t, "header")
		return schema.Header{Key: key, Value: anyBytes.Draw(t, "header's value")}
	}), 0, 4).Draw(t, "headers")
	l := &deadletter.Letter{Value: value, Headers: d.Headers(source), Written: time.UnixMilli(rapid.Int64().Draw(t, "written"))}
	if l.DeadLetter, err = schema.ParseDeadLetter(l.Headers); err != nil {
		t.Fatal(err)
	}
	switch {
	case l.NullValue:
		l.Value = nil
	case l.Value == nil:
		l.Value = []byte{}
	}
	return l
}

// TestWhatExportWritesIsPublishedAsAReplayWould: each line of export becomes the record that a replay publishes, or is
// refused with the letter's ID for one of these reasons: it is no event, nothing of it is left, it is a batch.
func TestWhatExportWritesIsPublishedAsAReplayWould(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawnLetter(t)
		line, err := appendLine(nil, exportOf(l))
		if err != nil {
			t.Fatal(err)
		}
		job := &publishing{topic: schema.Topic}
		got, err := job.record(inputLine{number: 1, text: bytes.TrimSpace(line)})
		want, wantErr := l.Source()
		if wantErr == nil {
			_, wantErr = schema.Decode(want.Value, want.Headers)
		}
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%s\npublish says %v, a replay %v", line, err, wantErr)
		}
		if err != nil {
			_, isDecode := errors.AsType[*schema.DecodeError](err)
			_, isReplay := errors.AsType[*schema.ReplayError](err)
			if !isDecode && !isReplay || !strings.Contains(err.Error(), l.ID()) {
				t.Fatalf("%s\npublish says %v", line, err)
			}
			return
		}
		if !same(got.Key, want.Key) || !same(got.Value, want.Value) || got.ID != l.ID() || !slices.EqualFunc(got.Headers, want.Headers,
			func(a, b schema.Header) bool { return a.Key == b.Key && same(a.Value, b.Value) }) {
			t.Fatalf("%s\npublished as %+v, a replay is %+v", line, got, want)
		}
	})
}

// same compares bytes and tells null from empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
