package schema_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"convdel/schema"
)

// fuzzHeaders makes headers from lines, since a fuzz target takes no headers.
func fuzzHeaders(lines []byte) []schema.Header {
	if len(lines) == 0 {
		return nil
	}
	return headersOf(strings.Split(string(lines), "\n")...)
}

func FuzzDecode(f *testing.F) {
	for _, c := range bareCases() {
		if len(c.value) < 4096 {
			f.Add([]byte(c.value), []byte(nil))
		}
	}
	binary := "ce_specversion: 1.0\nce_type: conversation.delete.requested\nce_source: /a\nce_id: 1\nce_time: 2026-03-01T08:30:00.5+08:00"
	f.Add([]byte(object), []byte(binary))
	f.Add([]byte(object), []byte(binary+"\ncontent-type: application/json;charset=utf-8"))
	f.Add([]byte(object), []byte("ce_time: \nce_time: "))
	f.Add([]byte(envelope), []byte(nil))
	f.Add([]byte(envelope), []byte("content-type: application/cloudevents+json"))
	f.Add([]byte(envelope), []byte("content-type: application/cloudevents"))
	f.Add([]byte(envelope), []byte(binary))
	f.Add([]byte(strings.Replace(envelope, `"data":`+object, `"data_base64":"e30="`, 1)), []byte(nil))
	f.Add([]byte(strings.Replace(envelope, `/accounts`, `\ud83d\ude00\ud83d\"\\`, 1)), []byte(nil))
	f.Add([]byte(strings.Replace(envelope, `2026-03-01T08:30:00.25Z`, `0001-01-01T00:00:00Z`, 1)), []byte(nil))
	f.Add([]byte(strings.Replace(envelope, `2026-03-01T08:30:00.25Z`, `0000-01-01T00:00:00+00:01`, 1)), []byte(nil))
	f.Add([]byte(strings.Replace(envelope, `"id"`, `"erasureid":"R-1","id"`, 1)), []byte(nil))
	f.Add([]byte(object), []byte(binary+"\nce_erasureid: R-1"))
	f.Add([]byte(object), []byte("ce_erasureid: R-1"))
	f.Fuzz(func(t *testing.T, value, lines []byte) {
		headers := fuzzHeaders(lines)
		before := bytes.Clone(value)
		e, err := schema.Decode(value, headers)
		if !bytes.Equal(value, before) {
			t.Fatalf("value %q has become %q", before, value)
		}
		if err != nil {
			if e != (schema.Event{}) || len(err.Error()) > 1000 {
				t.Fatalf("event %+v, error %v", e, err)
			}
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("decoded %+v, which is refused: %v", e, err)
		}
		checkEncodings(t, e)
	})
}

// checkEncodings checks that a decoded event survives every wrapping that has room for it.
func checkEncodings(t *testing.T, e schema.Event) {
	t.Helper()
	plain := schema.Event{Conversation: e.Conversation, ClearRamble: e.ClearRamble}
	value, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Decode(value, nil); err != nil || got != plain {
		t.Fatalf("%+v has become %+v, %v", plain, got, err)
	}
	if e == plain {
		return
	}
	value, err = e.EncodeCloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Decode(value, nil); err != nil || got != e {
		t.Fatalf("structured: %+v has become %+v, %v", e, got, err)
	}
	value, headers, err := e.EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Decode(value, headers); err != nil || got != e {
		t.Fatalf("binary: %+v has become %+v, %v", e, got, err)
	}
}

func FuzzParseDeadLetter(f *testing.F) {
	lines := func(headers []schema.Header) []byte {
		var all []string
		for _, h := range headers {
			all = append(all, h.Key+": "+string(h.Value))
		}
		return []byte(strings.Join(all, "\n"))
	}
	f.Add([]byte(nil))
	f.Add(lines(deadLetter().Headers(nil)))
	f.Add(lines(deadLetter().Headers(headersOf("ce_id: 1", "dlt-x: 1"))))
	f.Add(lines(deadLetter().ReplayHeaders(nil)))
	f.Add(lines(schema.DeadLetter{Class: schema.ClassUndecodable, Topic: "t", Key: []byte{}, NullValue: true}.Headers(nil)))
	bare := schema.DeadLetter{Class: schema.ClassExhausted, Topic: "t", Omitted: omitted(), Event: []byte(object)}
	f.Add(lines(bare.Headers(headersOf("ce_id: 1"))))
	bare.Event = []byte(envelope)
	f.Add(lines(bare.Headers(nil)))
	bare.Omitted, bare.Batch = &schema.Omitted{Why: "a; 1 bytes; sha256 b", SHA256: someHash}, &schema.Batch{First: 1, Last: 9}
	f.Add(lines(bare.Headers(nil)))
	f.Add([]byte("dlt-replays: 2147483647\ndlt-topic: t\ndlt-partition: 2147483647\ndlt-offset: 9223372036854775807"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		headers := fuzzHeaders(lines)
		if origin, ok := schema.Origin(headers); ok {
			d := schema.DeadLetter{
				Topic: origin.Topic, Partition: origin.Partition, Offset: origin.Offset,
				Timestamp: origin.Timestamp, Replays: origin.Replays - 1,
			}
			if again, ok := schema.Origin(d.ReplayHeaders(headers)); !ok || again != origin {
				t.Fatalf("origin %+v has become %+v, %v", origin, again, ok)
			}
		}
		d, err := schema.ParseDeadLetter(headers)
		if err != nil {
			return
		}
		checkReplay(t, d, headers)
		written := d.Headers(headers)
		again, err := schema.ParseDeadLetter(written)
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("dead letter %+v has become %+v, %v", d, again, err)
		}
		if topic, partition, offset, err := schema.ParseID(d.ID()); err != nil || topic != d.Topic || partition != d.Partition || offset != d.Offset {
			t.Fatalf("ID %s read as %s, %d, %d, %v", d.ID(), topic, partition, offset, err)
		}
	})
}

// checkReplay checks the replay of a dead letter: the record names the dead letter and has its event, or the replay is
// refused.
func checkReplay(t *testing.T, d schema.DeadLetter, headers []schema.Header) {
	t.Helper()
	r, err := d.Replay([]byte(object), headers)
	if err != nil {
		if d.Batch == nil && (d.Omitted == nil || d.Event != nil) {
			t.Fatalf("%+v is not replayed: %v", d, err)
		}
		return
	}
	if origin, ok := schema.Origin(r.Headers); !ok || origin.ID() != d.ID() {
		t.Fatalf("%+v is replayed with origin %+v, %v", d, origin, ok)
	}
	if d.Event == nil {
		return
	}
	kept, err := schema.Decode(d.Event, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := schema.Decode(r.Value, r.Headers); err != nil || e != kept {
		t.Fatalf("event %+v is replayed as %+v, %v", kept, e, err)
	}
}

func FuzzDecodeOutcome(f *testing.F) {
	f.Add([]byte(outcomeValue))
	f.Add([]byte(strings.Replace(outcomeValue, `"code":0`, `"Code":1,"x":[{"a":[]},{"a":{}}]`, 1)))
	f.Add([]byte(`{"data":[`))
	f.Fuzz(func(t *testing.T, value []byte) {
		o, err := schema.DecodeOutcome([]byte("conversation.delete.requested/3/10457"), value)
		if err != nil {
			return
		}
		r, err := o.Encode()
		if err != nil {
			t.Fatalf("%+v can't be written: %v", o, err)
		}
		if again, err := schema.DecodeOutcome(r.Key, r.Value); err != nil || !reflect.DeepEqual(again, o) {
			t.Fatalf("%+v has become %+v, %v", o, again, err)
		}
	})
}
