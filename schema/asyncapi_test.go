package schema_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"convdel/schema"
)

// These are the parts of the AsyncAPI document that the tests read.
type (
	asyncAPI struct {
		AsyncAPI string `yaml:"asyncapi"`
		Channels map[string]struct {
			Address  string             `yaml:"address"`
			Messages map[string]yamlRef `yaml:"messages"`
		} `yaml:"channels"`
		Components struct {
			Messages map[string]asyncMessage `yaml:"messages"`
			Schemas  map[string]asyncSchema  `yaml:"schemas"`
		} `yaml:"components"`
	}
	yamlRef struct {
		Ref string `yaml:"$ref"`
	}
	asyncMessage struct {
		Headers  asyncSchema    `yaml:"headers"`
		Payload  any            `yaml:"payload"`
		Examples []asyncExample `yaml:"examples"`
		Bindings struct {
			Kafka struct {
				Key yamlRef `yaml:"key"`
			} `yaml:"kafka"`
		} `yaml:"bindings"`
	}
	asyncExample struct {
		Name    string            `yaml:"name"`
		Headers map[string]string `yaml:"headers"`
		Payload any               `yaml:"payload"`
	}
	asyncSchema struct {
		Required   []string               `yaml:"required"`
		Properties map[string]asyncSchema `yaml:"properties"`
		Enum       []string               `yaml:"enum"`
		Const      any                    `yaml:"const"`
		Pattern    string                 `yaml:"pattern"`
		Examples   []string               `yaml:"examples"`
	}
)

func readAsyncAPI(t *testing.T) asyncAPI {
	t.Helper()
	var doc asyncAPI
	if err := yaml.Unmarshal([]byte(schema.AsyncAPI()), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// record makes the record of an example: an object is encoded as JSON, text is taken unchanged.
func (e asyncExample) record(t *testing.T) (value []byte, headers []schema.Header) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(e.Headers)) {
		headers = append(headers, schema.Header{Key: key, Value: []byte(e.Headers[key])})
	}
	switch payload := e.Payload.(type) {
	case nil:
		return nil, headers
	case string:
		return []byte(payload), headers
	}
	value, err := json.Marshal(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return value, headers
}

func TestAsyncAPITopics(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	if doc.AsyncAPI != "3.0.0" || len(doc.Channels) != 3 {
		t.Errorf("AsyncAPI %q with %d channels", doc.AsyncAPI, len(doc.Channels))
	}
	for channel, want := range map[string]struct {
		topic    string
		messages []string
	}{
		"events":      {schema.Topic, []string{"bare", "binary", "replayed", "structured"}},
		"deadLetters": {schema.DeadLetterTopic, []string{"deadLetter", "settled"}},
		"outcomes":    {"", []string{"outcome"}},
	} {
		got := doc.Channels[channel]
		if got.Address != want.topic || !slices.Equal(slices.Sorted(maps.Keys(got.Messages)), want.messages) {
			t.Errorf("channel %s has address %q and messages %v", channel, got.Address, got.Messages)
		}
		for name, ref := range got.Messages {
			if ref.Ref != "#/components/messages/"+name {
				t.Errorf("message %s of %s is %s", name, channel, ref.Ref)
			}
		}
	}
}

// TestAsyncAPIReferences: each reference leads to a file beside the document or to a part of the document.
func TestAsyncAPIReferences(t *testing.T) {
	t.Parallel()
	var root any
	if err := yaml.Unmarshal([]byte(schema.AsyncAPI()), &root); err != nil {
		t.Fatal(err)
	}
	checked := 0
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok {
				checkReference(t, root, ref)
				checked++
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(root)
	if checked < 20 {
		t.Errorf("only %d references found", checked)
	}
}

func checkReference(t *testing.T, root any, ref string) {
	t.Helper()
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		if ref != "./conversation-delete-requested.schema.json" && ref != "./conversation-delete-ended.schema.json" {
			t.Errorf("reference to %s", ref)
		}
		return
	}
	node := root
	for name := range strings.SplitSeq(path, "/") {
		object, ok := node.(map[string]any)
		if !ok || object[name] == nil {
			t.Errorf("reference %s leads nowhere", ref)
			return
		}
		node = object[name]
	}
}

func TestAsyncAPIKeys(t *testing.T) {
	t.Parallel()
	doc := readAsyncAPI(t)
	for message, want := range map[string]string{
		"bare": "conversationKey", "structured": "conversationKey", "binary": "conversationKey",
		"deadLetter": "deadLetterKey", "settled": "deadLetterKey", "outcome": "deadLetterKey",
	} {
		if got := doc.Components.Messages[message].Bindings.Kafka.Key.Ref; got != "#/components/schemas/"+want {
			t.Errorf("key of %s is %s", message, got)
		}
	}
	d := deadLetter()
	for name, keys := range map[string][]string{
		"conversationKey": {
			schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"}.Key(),
			schema.Conversation{From: "alice", Type: schema.G2C, To: "@TGS#2J4SZEAEL"}.Key(),
		},
		"deadLetterKey": {d.ID()},
	} {
		key := doc.Components.Schemas[name]
		if !slices.Equal(key.Examples, keys) {
			t.Errorf("examples of %s are %v, want %v", name, key.Examples, keys)
		}
		pattern := regexp.MustCompile(key.Pattern)
		for _, k := range keys {
			if !pattern.MatchString(k) {
				t.Errorf("%s is no %s by %s", k, name, key.Pattern)
			}
		}
	}
	longest := schema.Conversation{From: strings.Repeat("f", 32), Type: schema.G2C, To: strings.Repeat("t", 48)}
	if !regexp.MustCompile(doc.Components.Schemas["conversationKey"].Pattern).MatchString(longest.Key()) {
		t.Errorf("%s does not match", longest.Key())
	}
}
