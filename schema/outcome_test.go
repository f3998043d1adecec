package schema_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"convdel/schema"
)

// outcome is a deleted event with everything that one can have.
func outcome() schema.Outcome {
	e := event()
	return schema.Outcome{
		Topic: "conversation.delete.requested", Partition: 3, Offset: 10457, Kind: schema.OutcomeDeleted, Group: "convdel",
		Attempts: 1, FirstAttempt: time.Date(2026, 3, 1, 8, 30, 0, 123_000_000, time.UTC), Ended: time.Date(2026, 3, 1, 8, 30, 0, 201_000_000, time.UTC),
		EventID: "5f0c", EventSource: "/accounts", ErasureID: "R-1", Event: &e, ReplayOf: "conversation.delete.requested/0/7",
	}
}

const outcomeValue = `{"specversion":"1.0","type":"conversation.delete.ended","source":"/convdel/convdel",` +
	`"id":"conversation.delete.requested/3/10457:deleted","time":"2026-03-01T08:30:00.201Z","datacontenttype":"application/json",` +
	`"data":{"record":"conversation.delete.requested/3/10457","outcome":"deleted","code":0,"attempts":1,"shared":false,` +
	`"first_attempt":"2026-03-01T08:30:00.123Z","ended":"2026-03-01T08:30:00.201Z","event_id":"5f0c","event_source":"/accounts",` +
	`"erasure_id":"R-1","conversation":{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1},` +
	`"replay_of":"conversation.delete.requested/0/7"}}`

func TestOutcomeIsWritten(t *testing.T) {
	t.Parallel()
	r, err := outcome().Encode()
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != "conversation.delete.requested/3/10457" || string(r.Value) != outcomeValue {
		t.Errorf("%s: %s, want %s", r.Key, r.Value, outcomeValue)
	}
	if value, ok := get(r.Headers, schema.ContentTypeHeader); !ok || string(value) != schema.ContentTypeStructured {
		t.Errorf("headers %q", r.Headers)
	}
	o := outcome()
	o.Event, o.EventID, o.EventSource, o.ErasureID, o.ReplayOf, o.FirstAttempt = nil, "", "", "", "", time.Time{}
	o.Kind, o.Code, o.Shared, o.By, o.Reason = schema.OutcomeDiscarded, 50004, true, "alice", "account\nclosed <soon>"
	if r, err = o.Encode(); err != nil {
		t.Fatal(err)
	}
	want := `"data":{"record":"conversation.delete.requested/3/10457","outcome":"discarded","code":50004,"attempts":1,"shared":true,` +
		`"ended":"2026-03-01T08:30:00.201Z","by":"alice","reason":"account closed <soon>"}}`
	if !strings.HasSuffix(string(r.Value), want) {
		t.Errorf("%s, want the end %s", r.Value, want)
	}
}

// genOutcome makes any outcome that can be written.
func genOutcome(t *rapid.T) schema.Outcome {
	e := event()
	e.ClearRamble = rapid.Bool().Draw(t, "clear")
	at := func(name string) time.Time {
		return time.Unix(rapid.Int64Range(0, math.MaxInt32).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" ns")).UTC()
	}
	text := rapid.StringOfN(rapid.RuneFrom([]rune("aZ0\"\\<>&é:/ \u2028")), 1, 30, -1)
	o := schema.Outcome{
		Topic: "t.1", Partition: rapid.IntRange(0, math.MaxInt32).Draw(t, "partition"), Offset: rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset"),
		Kind: rapid.SampledFrom(schema.OutcomeKinds()).Draw(t, "kind"), Group: "g", Code: rapid.IntRange(-1, 70000).Draw(t, "code"),
		Attempts: rapid.IntRange(0, 1000).Draw(t, "attempts"), Shared: rapid.Bool().Draw(t, "shared"), Ended: at("ended"),
	}
	if rapid.Bool().Draw(t, "called") {
		o.FirstAttempt = at("first")
	}
	if rapid.Bool().Draw(t, "event") {
		o.Event, o.EventID, o.EventSource, o.ErasureID = &e, text.Draw(t, "id"), text.Draw(t, "source"), text.Draw(t, "erasure")
	}
	return o
}

func TestOutcomesReadBack(t *testing.T) {
	t.Parallel()
	s := compileOutcomes(t)
	rapid.Check(t, func(t *rapid.T) {
		o := genOutcome(t)
		r, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil || !reflect.DeepEqual(got, o) {
			t.Fatalf("%s read as %+v, %v", r.Value, got, err)
		}
		whole, err := jsonschema.UnmarshalJSON(strings.NewReader(string(r.Value)))
		if err != nil {
			t.Fatal(err)
		}
		envelope, _ := whole.(map[string]any)
		if err := s.Validate(envelope["data"]); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
	})
}

func compileOutcomes(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	for name, text := range map[string]string{
		"urn:convdel:conversation.delete.ended": schema.OutcomeJSONSchema(), "urn:convdel:conversation.delete.requested": schema.JSONSchema(),
	} {
		if err := compiler.AddResource(name, readSchema(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := compiler.Compile("urn:convdel:conversation.delete.ended")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOutcomesThatAreRefused: what could be read in two ways, or says that another record has ended, is no evidence.
func TestOutcomesThatAreRefused(t *testing.T) {
	t.Parallel()
	const key = "conversation.delete.requested/3/10457"
	for _, c := range []struct{ name, old, new, reason string }{
		{"as written", "", "", ""},
		{"with unknown fields", `"code":0`, `"code":0,"later":{"a":[1,{"b":2}]}`, ""},
		{"an outcome twice", `"outcome":"deleted"`, `"outcome":"exhausted","outcome":"deleted"`, "more than once"},
		{"an outcome twice in another case", `"outcome":"deleted"`, `"Outcome":"exhausted","outcome":"deleted"`, "more than once"},
		{"a conversation twice in letters that fold to one", `"conversation":`, `"converſation":{"From_Account":"alice","Type":1,"To_Account":"carol"},"conversation":`, "more than once"},
		{"a conversation's field twice", `"To_Account":"bob"`, `"To_Account":"bob","To_Account":"carol"`, "more than once"},
		{"another record's id", `10457:deleted`, `10458:deleted`, "id: must be"},
		{"another outcome's id", `10457:deleted`, `10457:expired`, "id: must be"},
		{"another record", `"record":"conversation.delete.requested/3/10457"`, `"record":"conversation.delete.requested/3/1"`, "id: must be"},
		{"no record", `"record":"conversation.delete.requested/3/10457"`, `"record":"/3/1"`, "record: must be"},
		{"an unknown outcome", `deleted"`, `gone"`, "is no outcome"},
		{"another type", `conversation.delete.ended`, `conversation.ended`, "type: must be"},
		{"another source", `/convdel/convdel`, `/accounts`, "source: must begin"},
		{"another version", `"1.0"`, `"0.3"`, "specversion: must be"},
		{"attempts as text", `"attempts":1`, `"attempts":"1"`, "must not be a JSON string"},
		{"negative attempts", `"attempts":1`, `"attempts":-1`, "is negative"},
		{"no time", `"ended":"2026-03-01T08:30:00.201Z"`, `"ended":""`, "ended: is missing"},
		{"a time that is none", `"ended":"2026-03-01T08:30:00.201Z"`, `"ended":"now"`, "ended: must be"},
		{"a conversation that is none", `"Type":1`, `"Type":3`, "conversation: "},
		{"a null conversation", `{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}`, `null`, "conversation: "},
		{"a replay of nothing", `requested/0/7`, `requested/0/x`, "replay_of: must be"},
		{"no data", `"data":`, `"date":`, "data: is missing"},
		{"no JSON", `"specversion"`, `specversion`, "not JSON"},
	} {
		value := strings.ReplaceAll(outcomeValue, c.old, c.new)
		if c.old == "" {
			value = outcomeValue
		}
		_, err := schema.DecodeOutcome([]byte(key), []byte(value))
		var refused *schema.OutcomeError
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.reason)
		}
	}
	if _, err := schema.DecodeOutcome([]byte("conversation.delete.requested/3/1"), []byte(outcomeValue)); err == nil {
		t.Error("an outcome under another record's key is read")
	}
	if _, err := schema.DecodeOutcome([]byte(key), nil); err == nil {
		t.Error("a tombstone is an outcome")
	}
	value := strings.ReplaceAll(outcomeValue, "/convdel/convdel", "/convdel/\\u001b[2J")
	if o, err := schema.DecodeOutcome([]byte(key), []byte(value)); err != nil || strings.ContainsRune(o.Group, 0x1b) {
		t.Errorf("group %q, %v", o.Group, err)
	}
}

// partIDOfR1 is the ID of the part of R-1 that [event] is.
const partIDOfR1 = "39133a72-2b9a-5939-88bc-1d377744c5d0"

// TestPartID: one request asks for one part with one ID, for ever, and for another part with another.
func TestPartID(t *testing.T) {
	t.Parallel()
	c := event().Conversation
	if id := schema.PartID("R-1", c); id != partIDOfR1 {
		t.Errorf("ID %s, want %s: those who have published parts would publish them again", id, partIDOfR1)
	}
	swapped := schema.Conversation{From: c.To, Type: c.Type, To: c.From}
	for name, id := range map[string]string{"another request": schema.PartID("R-2", c), "another conversation": schema.PartID("R-1", swapped)} {
		if id == partIDOfR1 {
			t.Errorf("%s has the same ID", name)
		}
	}
}
