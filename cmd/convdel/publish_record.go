package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/segmentio/kafka-go"

	"convdel/consumer"
	"convdel/schema"
)

// The values of cloud-event.
const (
	wrapBare       = "bare"
	wrapStructured = "structured"
	wrapBinary     = "binary"
)

// eventSource is the CloudEvents source of events that name no other.
const eventSource = "convdel/publish"

// record is what is published for one event.
type record struct {
	key     []byte // nil for null
	value   []byte
	headers []schema.Header
}

// encodeRecord wraps an event. A CloudEvent that has no id, source or time gets them.
func encodeRecord(event schema.Event, wrap string) (record, error) {
	r := record{key: []byte(event.Key())}
	if wrap != wrapBare {
		if event.ID == "" {
			event.ID = rand.Text()
		}
		if event.Source == "" {
			event.Source = eventSource
		}
		if event.Time.IsZero() {
			event.Time = time.Now()
		}
	}
	var err error
	switch wrap {
	case wrapStructured:
		r.value, err = event.EncodeCloudEvent()
		r.headers = []schema.Header{{Key: schema.ContentTypeHeader, Value: []byte(schema.ContentTypeStructured)}}
	case wrapBinary:
		r.value, r.headers, err = event.EncodeCloudEventBinary()
	default:
		r.value, err = event.Encode()
	}
	return r, err
}

// recordSink is where records go.
type recordSink interface {
	// write returns how many records are safely there; an error if not all of them are.
	write(ctx context.Context, records []record) (int, error)
	close() error
}

// kafkaSink writes records to a topic.
type kafkaSink struct {
	writer *kafka.Writer
	done   func() error
}

// chunkTimeout is longer than the writer's own attempts can take: it is the one to give up.
const chunkTimeout = time.Minute

func newKafkaSink(cluster consumer.Cluster, topic string) *kafkaSink {
	writer, done := cluster.Writer(topic)
	writer.BatchSize = maxChunkLines
	return &kafkaSink{writer: writer, done: done}
}

func (k *kafkaSink) close() error { return k.done() }

// write finishes what it has begun even if ctx ends meanwhile: otherwise nobody could say what
// has been published.
func (k *kafkaSink) write(ctx context.Context, records []record) (int, error) {
	if len(records) == 0 {
		return 0, nil
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.key, Value: r.value, Headers: kafkaHeaders(r.headers)}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	err := k.writer.WriteMessages(ctx, messages...)
	var each kafka.WriteErrors
	switch {
	case err == nil:
		return len(records), nil
	case !errors.As(err, &each):
		return 0, fmt.Errorf("write to topic %s: %w", k.writer.Topic, err)
	}
	written := 0
	var first error
	for _, one := range each {
		if one == nil {
			written++
		} else if first == nil {
			first = one
		}
	}
	return written, fmt.Errorf("write to topic %s: %w", k.writer.Topic, first)
}

func kafkaHeaders(headers []schema.Header) []kafka.Header {
	var list []kafka.Header
	for _, h := range headers {
		list = append(list, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return list
}

// dryRun prints records, one JSON object a line.
type dryRun struct{ w io.Writer }

func (*dryRun) close() error { return nil }

func (d *dryRun) write(_ context.Context, records []record) (int, error) {
	for i, r := range records {
		shown := struct {
			Key       any             `json:"key,omitempty"`
			KeyBase64 string          `json:"key_base64,omitempty"`
			Headers   any             `json:"headers,omitempty"`
			Value     json.RawMessage `json:"value"`
		}{Value: r.value, Headers: shownHeaders(r.headers)}
		shown.Key, shown.KeyBase64 = exportBytes(r.key)
		line, err := appendLine(nil, shown)
		if err == nil {
			_, err = d.w.Write(line)
		}
		if err != nil {
			return i, err
		}
	}
	return len(records), nil
}

// shownHeaders are headers as an object; as a list, as they are exported, where an object could not hold
// them: a key twice, what is not text.
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
