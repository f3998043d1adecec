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

// These are the values of cloud-event.
const (
	wrapBare       = "bare"
	wrapStructured = "structured"
	wrapBinary     = "binary"
)

// String names the record, if possible, and says why it was refused.
func (r refusedRecord) String() string {
	return ofLetter(r.record.id, fmt.Errorf("the topic refuses the record: %w", r.err)).Error()
}

// eventSource is the CloudEvents source of events without a source.
const eventSource = "convdel/publish"

// record is the record to publish for one event.
type record struct {
	key     []byte // nil means null
	value   []byte
	headers []schema.Header
	event   schema.Event
	// line is the number of the record's line in the input, 0 if it has none. id is the ID of the dead letter that the
	// record replays, empty if it replays none.
	line int
	id   string
}

// sent is the result of a write.
type sent struct {
	// written counts the acknowledged records, and placed has them with their places. refused are
	// the records that the topic will never take, with the reasons.
	written int
	placed  []placedRecord
	refused []refusedRecord
}

// placedRecord is an acknowledged record.
type placedRecord struct {
	record    record
	partition int
	offset    int64
}

// refusedRecord is a record that the topic refuses because of the record itself.
type refusedRecord struct {
	record record
	err    error
}

// encodeRecord encodes an event. It adds an id, a source and a time to a CloudEvent that lacks them.
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
	r.event = event
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

// recordSink takes records.
type recordSink interface {
	// write returns how many records are acknowledged. It returns an error if a record is not, unless the topic refuses
	// that record itself.
	write(ctx context.Context, records []record) (sent, error)
	close() error
}

// kafkaSink writes records to a topic.
type kafkaSink struct {
	writer *kafka.Writer
	done   func() error
}

// chunkTimeout is longer than all of the writer's own attempts, so that the writer gives up first.
const chunkTimeout = time.Minute

func newKafkaSink(cluster cluster.Config, topic string) *kafkaSink {
	writer, done := cluster.Writer(topic)
	writer.BatchSize = maxChunkLines
	// A batch's messages have their places by the time at which their write returns.
	writer.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			if place, ok := m.WriterData.(*placedRecord); ok && err == nil {
				place.partition, place.offset = m.Partition, m.Offset
			}
		}
	}
	return &kafkaSink{writer: writer, done: done}
}

func (k *kafkaSink) close() error { return k.done() }

// write finishes a write that it has begun even if ctx ends meanwhile. Otherwise it would be unknown which records were
// published.
//
// A batch is refused as a whole for any one of its records. Writing the records one by one shows which one.
func (k *kafkaSink) write(ctx context.Context, records []record) (sent, error) {
	placed, failed, err := k.writeBatch(ctx, records)
	n := sent{written: len(records) - len(failed), placed: placed}
	for _, f := range failed {
		if !deadletter.RefusesRecord(f.err) {
			continue
		}
		if len(records) > 1 {
			var alone sent
			var aloneErr error
			alone, aloneErr = k.write(ctx, []record{f.record})
			n.written += alone.written
			n.placed = append(n.placed, alone.placed...)
			n.refused = append(n.refused, alone.refused...)
			err = errors.Join(err, aloneErr)
			continue
		}
		n.refused = append(n.refused, f)
	}
	return n, err
}

// writeBatch returns the records that were written and those that were not, each of these with its reason, and the first error that
// does not concern a single record.
func (k *kafkaSink) writeBatch(ctx context.Context, records []record) ([]placedRecord, []refusedRecord, error) {
	if len(records) == 0 {
		return nil, nil, nil
	}
	messages, places := make([]kafka.Message, len(records)), make([]*placedRecord, len(records))
	for i, r := range records {
		places[i] = &placedRecord{record: r}
		messages[i] = kafka.Message{Key: r.key, Value: r.value, Headers: kafkaHeaders(r.headers), WriterData: places[i]}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), chunkTimeout)
	defer cancel()
	err := k.writer.WriteMessages(ctx, messages...)
	each, ok := errors.AsType[kafka.WriteErrors](err)
	var placed []placedRecord
	var failed []refusedRecord
	var first error
	for i, r := range records {
		one := err // the same for all records
		if ok {
			one = each[i]
		}
		if one == nil {
			placed = append(placed, *places[i])
			continue
		}
		failed = append(failed, refusedRecord{record: r, err: one})
		if first == nil && !deadletter.RefusesRecord(one) {
			first = fmt.Errorf("write to topic %s: %w", k.writer.Topic, one)
		}
	}
	return placed, failed, first
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
