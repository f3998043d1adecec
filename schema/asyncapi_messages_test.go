package schema_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"convdel/schema"
)

func TestAsyncAPIExamplesDecode(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	events := readSchema(t, schema.JSONSchema())
	want := schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"}
	for _, message := range []string{"bare", "structured", "binary", "replayed"} {
		if len(doc.Components.Messages[message].Examples) == 0 {
			t.Errorf("message %s has no example", message)
		}
		for _, example := range doc.Components.Messages[message].Examples {
			value, headers := example.record(t)
			e, err := schema.Decode(value, headers)
			if err != nil || e.From != want.From || e.Type == schema.C2C && e.Conversation != want {
				t.Errorf("example %s of %s: %+v, %v", example.Name, message, e, err)
			}
			if cloud := message == "structured" || message == "binary"; cloud != (e.ID != "") {
				t.Errorf("example %s of %s has ID %q", example.Name, message, e.ID)
			}
			checkPayload(t, doc, events, message, example)
		}
	}
	_, headers := doc.Components.Messages["replayed"].Examples[0].record(t)
	if origin, ok := schema.Origin(headers); !ok || origin.Replays != 1 || origin.Timestamp.IsZero() {
		t.Errorf("example of replayed has origin %+v, %v", origin, ok)
	}
}

// checkPayload checks an example's payload against its schema in the document.
func checkPayload(t *testing.T, doc asyncAPI, events any, message string, example asyncExample) {
	t.Helper()
	var whole map[string]any
	if err := yaml.Unmarshal([]byte(schema.AsyncAPI()), &whole); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	whole["payload"] = doc.Components.Messages[message].Payload
	for name, resource := range map[string]any{
		"https://schemas.test/asyncapi.yaml":                             throughJSON(t, whole),
		"https://schemas.test/conversation-delete-requested.schema.json": events,
		"https://schemas.test/conversation-delete-ended.schema.json":     readSchema(t, schema.OutcomeJSONSchema()),
		"urn:convdel:conversation.delete.requested":                      events,
	} {
		if err := compiler.AddResource(name, resource); err != nil {
			t.Fatal(err)
		}
	}
	s, err := compiler.Compile("https://schemas.test/asyncapi.yaml#/payload")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(throughJSON(t, example.Payload)); err != nil {
		t.Errorf("example %s of %s: %v", example.Name, message, err)
	}
}

// throughJSON converts values as YAML decodes them into values as JSON decodes them.
func throughJSON(t *testing.T, v any) any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	v, err = jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAsyncAPIEventHeaders(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	part := cloudEvent()
	part.ErasureID = "R-1"
	_, headers, err := part.EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	binary := doc.Components.Messages["binary"].Headers
	checkSameHeaders(t, "binary", binary, headers)
	if v, kind := binary.Properties["ce_specversion"].Const, binary.Properties["ce_type"].Const; v != "1.0" || kind != schema.EventType {
		t.Errorf("ce_specversion %v, ce_type %v", v, kind)
	}
	for _, required := range binary.Required {
		left := slices.DeleteFunc(slices.Clone(headers), func(h schema.Header) bool { return h.Key == required })
		if _, err := schema.Decode([]byte(object), left); err == nil {
			t.Errorf("binary event decoded without %s", required)
		}
	}
	checkSameHeaders(t, "structured", doc.Components.Messages["structured"].Headers, headersOf(schema.ContentTypeHeader+": "))
	replayed := doc.Components.Messages["replayed"].Headers
	checkSameHeaders(t, "replayed", replayed, deadLetter().ReplayHeaders(nil))
	for _, required := range replayed.Required {
		left := slices.DeleteFunc(deadLetter().ReplayHeaders(nil), func(h schema.Header) bool { return h.Key == required })
		if _, ok := schema.Origin(left); ok {
			t.Errorf("record replayed without %s", required)
		}
	}
}

func TestAsyncAPIDeadLetters(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	message := doc.Components.Messages["deadLetter"]
	all := deadLetter()
	all.OutcomeHidesAccounts = true
	all.NullValue, all.Omitted, all.Event = true, omitted(), []byte(object)
	written := append(all.Headers(nil), headersOf(schema.HeaderBatch+": 1-2")...)
	checkSameHeaders(t, "deadLetter", message.Headers, written)
	for header, value := range map[string]string{
		schema.HeaderOmitted: omitted().String(), schema.HeaderBatch: schema.Batch{First: 0, Last: 77}.String(),
	} {
		if pattern := message.Headers.Properties[header].Pattern; !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%s %q does not match %s", header, value, pattern)
		}
	}
	checkSameHeaders(t, "settled", doc.Components.Messages["settled"].Headers,
		schema.Settlement{By: "alice", At: time.Now(), Reason: "account closed"}.Headers())

	var least []string // the headers of a dead letter whose optional fields are all empty
	for _, h := range (schema.DeadLetter{}).Headers(nil) {
		least = append(least, h.Key)
	}
	if !slices.Equal(slices.Sorted(slices.Values(least)), slices.Sorted(slices.Values(message.Headers.Required))) {
		t.Errorf("required are %v, always there are %v", message.Headers.Required, least)
	}
	var classes []string
	for _, class := range schema.Classes() {
		classes = append(classes, string(class))
	}
	if got := message.Headers.Properties[schema.HeaderClass].Enum; !slices.Equal(got, classes) {
		t.Errorf("classes %v, want %v", got, classes)
	}
	for _, example := range message.Examples {
		_, headers := example.record(t)
		d, err := schema.ParseDeadLetter(headers)
		if err != nil {
			t.Errorf("example %s: %v", example.Name, err)
		}
		written := make(map[string]string)
		for _, h := range d.Headers(nil) {
			written[h.Key] = string(h.Value)
		}
		if !maps.Equal(written, example.Headers) {
			t.Errorf("example %s is written as %v", example.Name, written)
		}
	}
}

// checkSameHeaders checks that a message has the headers of the document, no more and no less.
func checkSameHeaders(t *testing.T, message string, documented asyncSchema, written []schema.Header) {
	t.Helper()
	var names []string
	for _, h := range written {
		names = append(names, h.Key)
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(documented.Properties)); !slices.Equal(got, names) {
		t.Errorf("headers of %s are %v, want %v", message, got, names)
	}
}
