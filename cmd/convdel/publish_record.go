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

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// The values of cloud-event.
const (
	wrapBare       = "bare"
	wrapStructured = "structured"
	wrapBinary     = "binary"
)

// String says which record that is, if that can be said, and why it is refused.
func (r refusedRecord) String() string {
	return ofLetter(r.record.id, fmt.Errorf("the topic refuses the record: %w", r.err)).Error()
}

// eventSource is the CloudEvents source of events that name no other.
const eventSource = "convdel/publish"

// record is what is published for one event.
type record struct {
	key     []byte // nil for null
	value   []byte
	headers []schema.Header
	// line is where it comes from, 0 if not from a line; id the dead letter that it is a replay of, if it is one.
	line int
	id   string
}

// sent is how a write went.
type sent struct {
	// written counts the records that are safely there, refused says why others never will be.
	written int
	refused []refusedRecord
}

// refusedRecord is one that the topic does not take for what it is.
type refusedRecord struct {
	record record
	err    error
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
	// write returns how many records are safely there; an error if not all of them are that the topic would take.
	write(ctx context.Context, records []record) (sent, error)
	close() error
}

// kafkaSink writes records to a topic.
type kafkaSink struct {
	writer *kafka.Writer
	done   func() error
}

// chunkTimeout is longer than the writer's own attempts can take: it is the one to give up.
const chunkTimeout = time.Minute

func newKafkaSink(cluster cluster.Config, topic string) *kafkaSink {
	writer, done := cluster.Writer(topic)
	writer.BatchSize = maxChunkLines
	return &kafkaSink{writer: writer, done: done}
}

func (k *kafkaSink) close() error { return k.done() }

// write finishes what it has begun even if ctx ends meanwhile: otherwise nobody could say what
// has been published.
//
// A batch is refused for any one of its records: which one that is shows when they go one by one.
func (k *kafkaSink) write(ctx context.Context, records []record) (sent, error) {
	failed, err := k.writeBatch(ctx, records)
	n := sent{written: len(records) - len(failed)}
	for _, f := range failed {
		if !deadletter.RefusesRecord(f.err) {
			continue
		}
		if len(records) > 1 {
			var alone sent
			var aloneErr error
			alone, aloneErr = k.write(ctx, []record{f.record})
			n.written += alone.written
			n.refused = append(n.refused, alone.refused...)
			err = errors.Join(err, aloneErr)
			continue
		}
		n.refused = append(n.refused, f)
	}
	return n, err
}

// writeBatch returns the records that are not there and why each is not, and the first error that is not a
// record's own.
func (k *kafkaSink) writeBatch(ctx context.Context, records []record) ([]refusedRecord, error) {
	if len(records) == 0 {
		return nil, nil
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.key, Value: r.value, Headers: kafkaHeaders(r.headers)}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	err := k.writer.WriteMessages(ctx, messages...)
	if err == nil {
		return nil, nil
	}
	each, ok := errors.AsType[kafka.WriteErrors](err)
	var failed []refusedRecord
	var first error
	for i, r := range records {
		one := err // of all of them
		if ok {
			one = each[i]
		}
		if one == nil {
			continue
		}
		failed = append(failed, refusedRecord{record: r, err: one})
		if first == nil && !deadletter.RefusesRecord(one) {
			first = fmt.Errorf("write to topic %s: %w", k.writer.Topic, one)
		}
	}
	return failed, first
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

func (d *dryRun) write(_ context.Context, records []record) (sent, error) {
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
			return sent{written: i}, err
		}
	}
	return sent{written: len(records)}, nil
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
