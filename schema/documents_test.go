package schema_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"convdel/schema"
)

// readSchema returns a JSON Schema, decoded.
func readSchema(t *testing.T, text string) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// compileSchema returns the JSON Schema of events.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("conversation-delete-requested.schema.json", readSchema(t, schema.JSONSchema())); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("conversation-delete-requested.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkAgree checks that Decode and the JSON Schema accept the same bare events.
func checkAgree(t interface {
	Helper()
	Errorf(string, ...any)
	Fatalf(string, ...any)
}, s *jsonschema.Schema, value string,
) {
	t.Helper()
	instance, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	schemaErr := s.Validate(instance)
	_, decodeErr := schema.Decode([]byte(value), nil)
	if (schemaErr == nil) != (decodeErr == nil) {
		t.Errorf("of %s the JSON Schema says %v, Decode says %v", value, schemaErr, decodeErr)
	}
}

func TestJSONSchemaAcceptsWhatDecodeAccepts(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	compared := 0
	for _, c := range bareCases() {
		// A JSON Schema cannot see repeated names, encodings and sizes.
		if c.reason == "more than once" || strings.Contains(c.reason, "UTF-8") || strings.Contains(c.reason, "at most 65536") {
			continue
		}
		if !json.Valid([]byte(c.value)) {
			continue
		}
		checkAgree(t, s, c.value)
		compared++
	}
	if compared < 50 {
		t.Errorf("only %d values compared", compared)
	}
}

// genNearlyValid makes a bare event and changes up to three of its members, or adds some.
func genNearlyValid(t *rapid.T) string {
	quote := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	account := rapid.Map(rapid.OneOf(
		rapid.StringMatching(`[ -~]{1,48}`), rapid.StringMatching(`[a-z]{31,34}`), rapid.StringMatching(`[a-z]{47,50}`), rapid.String(),
	), quote)
	number := rapid.SampledFrom([]string{"0", "1", "2", "3", "-0", "-1", "1.0", "2e0", "0.1e1", "20E-1", "0.0", "1.5", "10", "12", "1e1"})
	other := rapid.SampledFrom([]string{"null", "true", "false", "[]", "{}", `""`, `"1"`, "[1]", `{"Type":1}`})
	anything := rapid.OneOf(number, number, account, account, other)
	names := rapid.SampledFrom([]string{
		"From_Account", "Type", "To_Account", "ClearRamble", "From_Account", "Type", "To_Account", "ClearRamble",
		"from_account", "type", "id", "data", "x", "specversion",
	})
	c := genConversation(t)
	members := map[string]string{"From_Account": quote(c.From), "Type": strconv.Itoa(int(c.Type)), "To_Account": quote(c.To)}
	for range rapid.IntRange(0, 3).Draw(t, "changes") {
		name := names.Draw(t, "name")
		if rapid.IntRange(0, 4).Draw(t, "drop") == 4 {
			delete(members, name)
			continue
		}
		members[name] = anything.Draw(t, name)
	}
	var parts []string
	for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(members))).Draw(t, "order") {
		parts = append(parts, quote(name)+":"+members[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func TestJSONSchemaAcceptsWhatDecodeAcceptsOfAnything(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) { checkAgree(t, s, genNearlyValid(t)) })
}

func TestJSONSchemaAcceptsWhatEncodeWrites(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	rapid.Check(t, func(t *rapid.T) {
		value, err := schema.Event{Conversation: genConversation(t), ClearRamble: rapid.Bool().Draw(t, "clear")}.Encode()
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(value)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(instance); err != nil {
			t.Fatalf("%s: %v", value, err)
		}
	})
}

func TestJSONSchemaExamplesDecode(t *testing.T) {
	t.Parallel()
	var doc struct {
		Title      string
		Examples   []json.RawMessage
		Properties map[string]struct{ MaxLength int }
	}
	if err := json.Unmarshal([]byte(schema.JSONSchema()), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Title != schema.EventType || len(doc.Examples) == 0 {
		t.Errorf("title %q, %d examples", doc.Title, len(doc.Examples))
	}
	for _, example := range doc.Examples {
		if _, err := schema.Decode(example, nil); err != nil {
			t.Errorf("example %s: %v", example, err)
		}
	}
	if from, to := doc.Properties["From_Account"].MaxLength, doc.Properties["To_Account"].MaxLength; from != schema.MaxUserID || to != schema.MaxGroupID {
		t.Errorf("lengths %d and %d", from, to)
	}
}
