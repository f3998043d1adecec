package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"convdel/internal/publish"
	"convdel/schema"
)

// These are the values of cloud-event.
const (
	wrapBare       = "bare"
	wrapStructured = "structured"
	wrapBinary     = "binary"
)

func wrappings() map[string]schema.Wrapping {
	return map[string]schema.Wrapping{wrapBare: schema.Bare, wrapStructured: schema.Structured, wrapBinary: schema.Binary}
}

// refusedText names a record that the topic refuses, if possible, and says why.
func refusedText(r publish.Refused) string {
	return ofLetter(r.Record.ID, fmt.Errorf("the topic refuses the record: %w", r.Err)).Error()
}

// recordSink takes records. It is a [publish.Writer], or prints what that would write.
type recordSink interface {
	Write(ctx context.Context, records []publish.Record) (publish.Sent, error)
	Close() error
}

// dryRun prints records, one JSON object a line.
type dryRun struct{ w io.Writer }

func (*dryRun) Close() error { return nil }

func (d *dryRun) Write(_ context.Context, records []publish.Record) (publish.Sent, error) {
	for i, r := range records {
		shown := struct {
			Key       any             `json:"key,omitempty"`
			KeyBase64 string          `json:"key_base64,omitempty"`
			Headers   any             `json:"headers,omitempty"`
			Value     json.RawMessage `json:"value"`
		}{Value: r.Value, Headers: shownHeaders(r.Headers)}
		shown.Key, shown.KeyBase64 = exportBytes(r.Key)
		line, err := appendLine(nil, shown)
		if err == nil {
			_, err = d.w.Write(line)
		}
		if err != nil {
			return publish.Sent{Written: i}, err
		}
	}
	return publish.Sent{Written: len(records)}, nil
}

// shownHeaders returns headers as an object. If an object can't hold them, because a key occurs twice or a value is not
// text, it returns a list as export writes it.
func shownHeaders(headers []schema.Header) any {
	object := map[string]string{}
	for _, h := range headers {
		if _, twice := object[h.Key]; twice || h.Value == nil || !utf8.ValidString(h.Key) || !utf8.Valid(h.Value) {
			return exportHeaders(headers)
		}
		object[h.Key] = string(h.Value)
	}
	if len(object) == 0 {
		return nil
	}
	return object
}
