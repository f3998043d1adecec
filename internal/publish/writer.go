package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// Record is the record to publish for one event.
type Record struct {
	Key     []byte // nil means null
	Value   []byte
	Headers []schema.Header
	Event   schema.Event
	// Line is the number of the record's line in the input, 0 if it has none. ID is the ID of the dead letter that the
	// record replays, empty if it replays none.
	Line int
	ID   string
}

// Sent is the result of a write.
type Sent struct {
	// Written counts the acknowledged records, and Placed has them with their places. Refused are
	// the records that the topic will never take, with the reasons.
	Written int
	Placed  []Placed
	Refused []Refused
}

// Placed is an acknowledged record.
type Placed struct {
	Record    Record
	Partition int
	Offset    int64
}

// Refused is a record that the topic refuses because of the record itself.
type Refused struct {
	Record Record
	Err    error
}

// Writer writes records to a topic. Make it with [NewWriter], and close it.
type Writer struct {
	writer *kafka.Writer
	done   func() error
}

const (
	// MaxRecords is how many records are written at once.
	MaxRecords = 1000
	// writeTimeout is longer than all of the client's own attempts, so that the client gives up first.
	writeTimeout = time.Minute
)

// NewWriter makes a writer of records to a topic.
func NewWriter(cluster cluster.Config, topic string) *Writer {
	writer, done := cluster.Writer(topic)
	writer.BatchSize = MaxRecords
	// A batch's messages have their places by the time at which their write returns.
	writer.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			if place, ok := m.WriterData.(*Placed); ok && err == nil {
				place.Partition, place.Offset = m.Partition, m.Offset
			}
		}
	}
	return &Writer{writer: writer, done: done}
}

// Close closes all connections. Each write was acknowledged by then, or has failed.
func (w *Writer) Close() error { return w.done() }

// Write returns which records are acknowledged. It returns an error if a record is not, unless the topic refuses that record itself.
//
// It finishes a write that it has begun even if ctx ends meanwhile. Otherwise it would be unknown which records were published.
//
// A batch is refused as a whole for any one of its records. Writing the records one by one shows which one.
func (w *Writer) Write(ctx context.Context, records []Record) (Sent, error) {
	placed, failed, err := w.writeBatch(ctx, records)
	n := Sent{Written: len(records) - len(failed), Placed: placed}
	for _, f := range failed {
		if !deadletter.RefusesRecord(f.Err) {
			continue
		}
		if len(records) > 1 {
			var alone Sent
			var aloneErr error
			alone, aloneErr = w.Write(ctx, []Record{f.Record})
			n.Written += alone.Written
			n.Placed = append(n.Placed, alone.Placed...)
			n.Refused = append(n.Refused, alone.Refused...)
			err = errors.Join(err, aloneErr)
			continue
		}
		n.Refused = append(n.Refused, f)
	}
	return n, err
}

// writeBatch returns the records that were written and those that were not, each of these with its reason, and the first error that
// does not concern a single record.
func (w *Writer) writeBatch(ctx context.Context, records []Record) ([]Placed, []Refused, error) {
	if len(records) == 0 {
		return nil, nil, nil
	}
	messages, places := make([]kafka.Message, len(records)), make([]*Placed, len(records))
	for i, r := range records {
		places[i] = &Placed{Record: r}
		messages[i] = kafka.Message{Key: r.Key, Value: r.Value, Headers: headersOf(r.Headers), WriterData: places[i]}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	err := w.writer.WriteMessages(ctx, messages...)
	each, ok := errors.AsType[kafka.WriteErrors](err)
	var placed []Placed
	var failed []Refused
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
		failed = append(failed, Refused{Record: r, Err: one})
		if first == nil && !deadletter.RefusesRecord(one) {
			first = fmt.Errorf("write to topic %s: %w", w.writer.Topic, one)
		}
	}
	return placed, failed, first
}

func headersOf(headers []schema.Header) []kafka.Header {
	var list []kafka.Header
	for _, h := range headers {
		list = append(list, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return list
}
