package schema_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"convdel/schema"
)

const someHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func omitted() *schema.Omitted {
	return &schema.Omitted{Why: "its value is over 8388608 bytes; it was not read", Size: 209_715_200, SHA256: someHash}
}

// genEvent makes events as Decode returns them: with all attributes of a CloudEvent, or with none.
func genEvent(t *rapid.T) schema.Event {
	e := schema.Event{Conversation: genConversation(t), ClearRamble: rapid.Bool().Draw(t, "clear")}
	if rapid.Bool().Draw(t, "cloud") {
		e.ID, e.Source, e.Time = rapid.StringMatching(`[ -~é群]{1,30}`).Draw(t, "id"), rapid.StringMatching(`[ -~]{1,30}`).Draw(t, "source"), genTime(t, "event")
	}
	return e
}

// genOmitted draws the missing part of a dead letter's source record.
func genOmitted(t *rapid.T, d *schema.DeadLetter) {
	if rapid.Bool().Draw(t, "omitted") {
		hash := sha256.Sum256(rapid.SliceOf(rapid.Byte()).Draw(t, "hashed"))
		d.Omitted = &schema.Omitted{Why: genLine(t, "why"), Size: rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"), SHA256: hex.EncodeToString(hash[:])}
	}
	if rapid.Bool().Draw(t, "batch") {
		first := rapid.Int64Range(0, math.MaxInt64).Draw(t, "first of batch")
		d.Batch = &schema.Batch{First: first, Last: rapid.Int64Range(first, math.MaxInt64).Draw(t, "last of batch")}
	}
	if d.Omitted != nil && d.Batch == nil && rapid.Bool().Draw(t, "event kept") {
		var err error
		if d.Event, err = genEvent(t).EncodeWhole(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEventEncodedWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(t)
		value, err := e.EncodeWhole()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := schema.Decode(value, nil); err != nil || got != e {
			t.Fatalf("%+v has become %+v, %v", e, got, err)
		}
	})
	longest := schema.Event{
		Conversation: schema.Conversation{From: strings.Repeat(`"`, schema.MaxUserID), Type: schema.G2C, To: strings.Repeat(`\`, schema.MaxGroupID)},
		ID:           strings.Repeat(`"`, schema.MaxAttribute), Source: strings.Repeat(`\`, schema.MaxAttribute),
	}
	value, err := longest.EncodeWhole()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Decode(value, nil); err != nil || got != longest {
		t.Errorf("the longest event: %v", err)
	}
	timed := event()
	timed.Time = cloudEvent().Time
	if _, err := timed.EncodeWhole(); err == nil {
		t.Error("an event with a time and no ID has been encoded without its time")
	}
}

func TestHeadersOfALetterThatHasNotAll(t *testing.T) {
	t.Parallel()
	d := schema.DeadLetter{Class: schema.ClassUndecodable, Topic: "t", Group: "g", Omitted: omitted(), Event: []byte(object)}
	got := d.Headers(nil)
	for header, want := range map[string]string{
		"dlt-omitted": "its value is over 8388608 bytes; it was not read; 209715200 bytes; sha256 " + someHash,
		"dlt-event":   object,
	} {
		if value, ok := get(got, header); !ok || string(value) != want {
			t.Errorf("%s is %q, want %q", header, value, want)
		}
	}
	d.Omitted = nil
	if _, ok := get(d.Headers(nil), "dlt-event"); ok {
		t.Error("the event is written twice")
	}
	d.Batch = &schema.Batch{First: 104, Last: 119}
	if value, ok := get(d.Headers(nil), "dlt-batch"); !ok || string(value) != "104-119" {
		t.Errorf("dlt-batch is %q", value)
	}
	d.Omitted = &schema.Omitted{Why: "two\nlines\x1b[2J" + strings.Repeat("x", 2000), SHA256: someHash}
	again, err := schema.ParseDeadLetter(d.Headers(nil))
	if err != nil || !strings.HasPrefix(again.Omitted.Why, "two lines [2Jxx") || len(again.Omitted.Why) != schema.MaxError {
		t.Errorf("%+v, %v", again.Omitted, err)
	}
}

func TestParseDeadLetterRefusesWhatIsOmittedWrongly(t *testing.T) {
	t.Parallel()
	whole := omitted().String()
	for _, c := range []struct{ header, value, reason string }{
		{"dlt-omitted", "", "must be WHY; SIZE bytes; sha256 HEX"},
		{"dlt-omitted", "why", "must be WHY"},
		{"dlt-omitted", strings.ToUpper(whole), "must be WHY"},
		{"dlt-omitted", whole + " ", "must be WHY"},
		{"dlt-omitted", whole[:len(whole)-1], "must be WHY"},
		{"dlt-omitted", whole + "00", "must be WHY"},
		{"dlt-omitted", strings.Replace(whole, "9f86d0", "9F86D0", 1), "must be WHY"},
		{"dlt-omitted", strings.Replace(whole, "209715200", "0209715200", 1), "must be WHY"},
		{"dlt-omitted", strings.Replace(whole, "209715200", "-1", 1), "must be WHY"},
		{"dlt-omitted", "1 bytes; sha256 " + someHash, "must be WHY"},
		{"dlt-batch", "", "must be FIRST-LAST"},
		{"dlt-batch", "7", "must be FIRST-LAST"},
		{"dlt-batch", "7-6", "must be FIRST-LAST"},
		{"dlt-batch", "-1-6", "must be FIRST-LAST"},
		{"dlt-batch", "07-8", "must be FIRST-LAST"},
		{"dlt-batch", "7-8-9", "must be FIRST-LAST"},
		{"dlt-batch", "7 - 8", "must be FIRST-LAST"},
		{"dlt-event", object, "is given for a record that is there"},
		{"dlt-event", "", "is not an event"},
		{"dlt-event", `{"From_Account":"alice"}`, "is not a valid bare event: Type: is missing"},
	} {
		checkHeaderError(t, append(deadLetter().Headers(nil), headersOf(c.header+": "+c.value)...), c.header, c.reason)
	}
	for header, value := range map[string]string{"dlt-omitted": whole, "dlt-batch": "1-2"} {
		line := header + ": " + value
		checkHeaderError(t, append(deadLetter().Headers(nil), headersOf(line, line)...), header, "more than once")
	}
	batch := headersOf("dlt-omitted: "+whole, "dlt-batch: 1-2", "dlt-event: "+object)
	checkHeaderError(t, append(deadLetter().Headers(nil), batch...), "dlt-event", "or for a batch")
}

// TestReplayOfWhatIsNotThere: a dead letter without its record's value replays the event. Headers that say how to read that
// value are left out, the others are kept.
func TestReplayOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	value, err := cloudEvent().EncodeWhole()
	if err != nil {
		t.Fatal(err)
	}
	d := deadLetter()
	d.Omitted, d.Event, d.Replays, d.NullValue = omitted(), value, 0, true
	source := headersOf("content-type: application/json", "ce_id: 1", "trace: 1", "ce_specversion: 1.0", "ce_type: x",
		"ce_source: y", "ce_time: z", "ce_erasureid: 7", "ce_subject: 7", "Content-Type: x")
	r, err := d.Replay([]byte("ignored"), d.Headers(source))
	if err != nil {
		t.Fatal(err)
	}
	want := append(headersOf("trace: 1", "ce_subject: 7", "Content-Type: x"), headersOf("dlt-topic: conversation.delete.requested",
		"dlt-partition: 3", "dlt-offset: 10457", "dlt-timestamp: 2026-03-01T08:29:59.25Z", "dlt-replays: 1")...)
	if !reflect.DeepEqual(r, schema.Record{Key: d.Key, Value: value, Headers: want}) {
		t.Errorf("replayed as %q", r)
	}
	if e, err := schema.Decode(r.Value, r.Headers); err != nil || e != cloudEvent() {
		t.Errorf("replayed event %+v, %v", e, err)
	}
}

func TestWhatCannotBeReplayed(t *testing.T) {
	t.Parallel()
	bare := deadLetter()
	bare.Omitted = omitted()
	batch := deadLetter()
	batch.Batch = &schema.Batch{First: 10457, Last: 10460}
	for want, d := range map[string]schema.DeadLetter{
		"its source record's value is not there, and no event is known of it (its value is over": bare,
		"it stands for a batch that can't be read, offsets 10457-10460":                          batch,
	} {
		r, err := d.Replay([]byte(object), d.Headers(nil))
		refused, ok := errors.AsType[*schema.ReplayError](err)
		if !ok || !reflect.DeepEqual(r, schema.Record{}) || refused.ID != d.ID() || !strings.Contains(err.Error(), want) {
			t.Errorf("replayed as %q, %v", r, err)
		}
	}
}

// TestReplay: every dead letter is replayed as its headers say, and the next dead letter knows its origin.
func TestReplay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, source, value := genDeadLetter(t), genHeaders(t), rapid.SliceOf(rapid.Byte()).Draw(t, "value")
		if rapid.Bool().Draw(t, "often") {
			d.Replays = math.MaxInt32
		}
		headers := d.Headers(source)
		r, err := d.Replay(value, headers)
		if refused := d.Batch != nil || d.Omitted != nil && d.Event == nil; refused != (err != nil) {
			t.Fatalf("%+v: %v", d, err)
		}
		if err != nil {
			return
		}
		origin, ok := schema.Origin(r.Headers)
		if !ok || origin.ID() != d.ID() || origin.Replays <= min(d.Replays, math.MaxInt32-1) || !bytes.Equal(r.Key, d.Key) || (r.Key == nil) != (d.Key == nil) {
			t.Fatalf("%+v is replayed as %q, origin %+v, %t", d, r, origin, ok)
		}
		switch {
		case d.Omitted != nil:
			if !bytes.Equal(r.Value, d.Event) {
				t.Fatalf("value %q", r.Value)
			}
		case d.NullValue:
			if r.Value != nil {
				t.Fatalf("value %q", r.Value)
			}
		case !bytes.Equal(r.Value, value) || !slices.EqualFunc(schema.SourceHeaders(source), schema.SourceHeaders(r.Headers), sameHeader):
			t.Fatalf("value %q, headers %q", r.Value, r.Headers)
		}
	})
}

func sameHeader(a, b schema.Header) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }
