package schema_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"convdel/schema"
)

// compileSchema returns the JSON Schema that the package ships.
func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(schema.JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("conversation-delete-requested.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("conversation-delete-requested.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkAgree checks that Decode accepts a bare event exactly when the JSON Schema does.
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
		// Repeated names, encodings and sizes are beyond what a JSON Schema sees.
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

func TestJSONSchemaAcceptsWhatDecodeAcceptsOfAnything(t *testing.T) {
	t.Parallel()
	s := compileSchema(t)
	account := rapid.OneOf(
		rapid.StringMatching(`[ -~]{1,32}`), rapid.StringMatching(`[a-z]{31,34}`), rapid.StringMatching(`[a-z]{47,50}`), rapid.String(),
	)
	number := rapid.SampledFrom([]string{"0", "1", "2", "3", "-0", "-1", "1.0", "2e0", "0.1e1", "20E-1", "0.0", "1.5", "10", "12", "1e1"})
	other := rapid.SampledFrom([]string{"null", "true", "false", "[]", "{}", `""`, `"1"`, "[1]", `{"Type":1}`})
	text := rapid.Custom(func(t *rapid.T) string {
		b, err := json.Marshal(account.Draw(t, "account"))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	})
	mostly := func(likely *rapid.Generator[string]) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if rapid.IntRange(0, 9).Draw(t, "kind") > 0 {
				return likely.Draw(t, "likely")
			}
			return rapid.OneOf(number, other, text).Draw(t, "other")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		var members []string
		for _, m := range []struct {
			name  string
			value *rapid.Generator[string]
			odds  int
		}{
			{"From_Account", mostly(text), 19},
			{"Type", mostly(number), 19},
			{"To_Account", mostly(text), 19},
			{"ClearRamble", mostly(number), 10},
			{"from_account", mostly(other), 2},
			{"id", mostly(other), 2},
			{"data", mostly(other), 2},
			{"specversion", mostly(other), 1},
		} {
			if rapid.IntRange(0, 19).Draw(t, "odds of "+m.name) < m.odds {
				members = append(members, fmt.Sprintf("%q:%s", m.name, m.value.Draw(t, m.name)))
			}
		}
		rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0)).Shuffle(len(members), func(i, j int) {
			members[i], members[j] = members[j], members[i]
		})
		checkAgree(t, s, "{"+strings.Join(members, ",")+"}")
	})
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
