package schema

import _ "embed" // for the documents

//go:embed conversation-delete-requested.schema.json
var jsonSchema string

//go:embed conversation-delete-ended.schema.json
var outcomeSchema string

//go:embed asyncapi.yaml
var asyncAPI string

// JSONSchema returns the JSON Schema (draft 2020-12) of the bare event, and of the data of a CloudEvents event. It accepts
// the same values as [Decode], except that JSON Schema cannot see repeated names, invalid UTF-8 and the size of the value.
func JSONSchema() string { return jsonSchema }

// OutcomeJSONSchema returns the JSON Schema (draft 2020-12) of the data of an [Outcome].
func OutcomeJSONSchema() string { return outcomeSchema }

// AsyncAPI returns the AsyncAPI 3.0 document (YAML) of the topics: their records, headers and keys, with examples. It refers to the
// JSON Schemas as ./conversation-delete-requested.schema.json and ./conversation-delete-ended.schema.json.
func AsyncAPI() string { return asyncAPI }
