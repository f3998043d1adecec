package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// strictKeywords are the keywords that the JSON Schemas use, with the type of instance that each is about; empty for any. A validator in
// strict mode refuses others, since an unknown one is most likely misspelt.
var strictKeywords = map[string]string{
	"$schema": "", "$id": "", "$ref": "", "$defs": "", "title": "", "description": "", "examples": "", "default": "", "type": "", "enum": "", "const": "",
	"not": "", "if": "", "then": "", "allOf": "", "required": "object", "properties": "object", "minLength": "string", "maxLength": "string",
	"pattern": "string", "format": "string", "minimum": "integer",
}

// TestJSONSchemasAreStrict: validators that are strict about schemas, ajv for one, take these. .ci/publishing asks ajv itself.
func TestJSONSchemasAreStrict(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.schema.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		wantStrict(t, file, schema, "", nil)
	}
}

// wantStrict looks at a schema at a place. kind and known are the type and the properties that schemas above it give to the same instance.
func wantStrict(t *testing.T, at string, schema map[string]any, kind string, known []string) {
	t.Helper()
	if own, ok := schema["type"].(string); ok {
		kind = own
	}
	properties, _ := schema["properties"].(map[string]any)
	for name := range properties {
		known = append(known, name)
	}
	for keyword, value := range schema {
		about, ok := strictKeywords[keyword]
		if !ok || about != "" && about != kind {
			t.Errorf("%s: keyword %s, of instances of type %q", at, keyword, kind)
		}
		below := func(name string, value any, kind string, known []string) {
			if sub, ok := value.(map[string]any); ok {
				wantStrict(t, at+"/"+name, sub, kind, known)
			}
		}
		switch keyword {
		case "not", "if", "then":
			below(keyword, value, kind, known)
		case "allOf":
			for _, sub := range value.([]any) {
				below(keyword, sub, kind, known)
			}
		case "properties", "$defs":
			for name, sub := range value.(map[string]any) {
				below(name, sub, "", nil)
			}
		case "required":
			for _, name := range value.([]any) {
				if !slices.Contains(known, name.(string)) {
					t.Errorf("%s requires %s, which is no property", at, name)
				}
			}
		case "format":
			if value != "date-time" {
				t.Errorf("%s: format %s", at, value)
			}
		}
	}
}
