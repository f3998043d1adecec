package schema_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"convdel/schema"
)

// cloudEvent is [event] with attributes.
func cloudEvent() schema.Event {
	e := event()
	e.Source, e.ID = "/accounts", "5f0c"
	e.Time = time.Date(2026, 3, 1, 8, 30, 0, 250_000_000, time.UTC)
	return e
}

const envelope = `{"specversion":"1.0","type":"conversation.delete.requested","source":"/accounts","id":"5f0c",` +
	`"time":"2026-03-01T08:30:00.25Z","datacontenttype":"application/json","data":` + object + `}`

// headersOf makes headers from "key: value" lines.
func headersOf(lines ...string) []schema.Header {
	var headers []schema.Header
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		headers = append(headers, schema.Header{Key: key, Value: []byte(value)})
	}
	return headers
}

func TestDecodeStructured(t *testing.T) {
	t.Parallel()
	// Each case replaces one part of the envelope.
	for _, c := range []struct{ name, old, new, field, reason string }{
		{"as documented", "", "", "", ""},
		{"no time", `"time":"2026-03-01T08:30:00.25Z",`, ``, "", ""},
		{"time null", `"2026-03-01T08:30:00.25Z"`, `null`, "", ""},
		{"time with an offset", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01T08:30:00+08:00"`, "", ""},
		{"time in lower case", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01t08:30:00.25z"`, "", ""},
		{"time in lower case with an offset", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01t08:30:00+08:00"`, "", ""},
		{"time with a small z alone", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01T08:30:00.25z"`, "", ""},
		{"time of picoseconds", `00.25Z`, `00.123456789012Z`, "", ""},
		{"no datacontenttype", `"datacontenttype":"application/json",`, ``, "", ""},
		{"datacontenttype null", `"application/json"`, `null`, "", ""},
		{"datacontenttype with a suffix", `"application/json"`, `"Application/vnd.x+JSON ; charset=utf-8"`, "", ""},
		{"datacontenttype text/json", `"application/json"`, `"text/json"`, "", ""},
		{"extension attributes", `"id"`, `"traceparent":"00-1","From_Account":7,"id"`, "", ""},
		{"escaped names", `"specversion"`, `"spec\u0076ersion"`, "", ""},
		{"data_base64", `"data":` + object, `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(object)) + `"`, "", ""},
		{"fields of data that look like the envelope's", `{"From`, `{"specversion":"2","data":1,"From`, "", ""},

		{"specversion null", `"1.0"`, `null`, "specversion", "is missing"},
		{"specversion 0.3", `"1.0"`, `"0.3"`, "specversion", `must be "1.0", is "0.3"`},
		{"specversion number", `"1.0"`, `1.0`, "specversion", "must be a string, is a number"},
		{"specversion twice", `"1.0"`, `"1.0","specversion":"1.0"`, "specversion", "more than once"},
		{"type missing", `"type":"conversation.delete.requested",`, ``, "type", "is missing"},
		{"type another", `"conversation.delete.requested"`, `"conversation.created"`, "type", `is "conversation.created"`},
		{"type in another case", `"conversation.delete.requested"`, `"Conversation.Delete.Requested"`, "type", "must be"},
		{"type null, then right", `"type"`, `"type":null,"type"`, "type", "more than once"},
		{"type right, then null", `,"source"`, `,"type":null,"source"`, "type", "more than once"},
		{"source missing", `"source":"/accounts",`, ``, "source", "is missing"},
		{"source empty", `"/accounts"`, `""`, "source", "is empty"},
		{"source with a control character", `"/accounts"`, `"/a\u0085"`, "source", "control character U+0085 at position 2"},
		{"source too long", `"/accounts"`, `"` + strings.Repeat("s", 4097) + `"`, "source", "is 4097 bytes long, at most 4096"},
		{"source object", `"/accounts"`, `{}`, "source", "is an object"},
		{"id missing", `"id":"5f0c",`, ``, "id", "is missing"},
		{"id null", `"5f0c"`, `null`, "id", "is missing"},
		{"id number", `"5f0c"`, `7`, "id", "must be a string, is a number"},
		{"id twice", `"5f0c"`, `"5f0c","id":"6"`, "id", "more than once"},
		{"time empty", `"2026-03-01T08:30:00.25Z"`, `""`, "time", "must be an RFC 3339 time"},
		{"time number", `"2026-03-01T08:30:00.25Z"`, `1772353800`, "time", "must be a string"},
		{"time without a zone", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01T08:30:00"`, "time", `is "2026-03-01T08:30:00"`},
		{"time with a space", `"2026-03-01T08:30:00.25Z"`, `"2026-03-01 08:30:00Z"`, "time", "RFC 3339"},
		{"time on no day", `"2026-03-01T08:30:00.25Z"`, `"2026-02-29T08:30:00Z"`, "time", "RFC 3339"},
		{"time with a comma", `00.25Z`, `00,25Z`, "time", "RFC 3339"},
		{"time with a short hour", `T08:30`, `T8:30`, "time", "RFC 3339"},
		{"time with a day's offset", `00.25Z`, `00.25+24:00`, "time", "RFC 3339"},
		{"time with an hour's minutes", `00.25Z`, `00.25-01:60`, "time", "RFC 3339"},
		{"time with a leap second", `08:30:00.25Z`, `23:59:60Z`, "time", "RFC 3339"},
		{"time with a leap second in lower case", `T08:30:00.25Z`, `t23:59:60z`, "time", "RFC 3339"},
		{"time with a short hour in lower case", `T08:30:00.25Z`, `t8:30:00z`, "time", "RFC 3339"},
		{"time that is a small z", `"2026-03-01T08:30:00.25Z"`, `"z"`, "time", "RFC 3339"},
		{"time before the year 0", `"2026-03-01T08:30:00.25Z"`, `"0000-01-01T00:00:00+01:00"`, "time", "RFC 3339"},
		{"datacontenttype another", `"application/json"`, `"application/xml"`, "datacontenttype", "must be a JSON media type"},
		{"datacontenttype nearly JSON", `"application/json"`, `"json"`, "datacontenttype", "JSON media type"},
		{"datacontenttype with nothing but a suffix", `"application/json"`, `"application/+json"`, "datacontenttype", "JSON media type"},
		{"erasureid null", `"id"`, `"erasureid":null,"id"`, "", ""},
		{"erasureid number", `"id"`, `"erasureid":7,"id"`, "erasureid", "must be a string, is a number"},
		{"erasureid empty", `"id"`, `"erasureid":"","id"`, "erasureid", "is empty"},
		{"erasureid twice", `"id"`, `"erasureid":"R-1","erasureid":"R-1","id"`, "erasureid", "more than once"},
		{"erasureid too long", `"id"`, `"erasureid":"` + strings.Repeat("r", 4097) + `","id"`, "erasureid", "is 4097 bytes long, at most 4096"},
		{"data missing", `"data":` + object, `"x":1`, "data", "is missing"},
		{"data null", object, `null`, "data", "must be an object, is null"},
		{"data text", object, `"{}"`, "data", "is a string"},
		{"data twice", `"data":`, `"data":{},"data":`, "data", "more than once"},
		{"data beside data_base64", `"data":`, `"data_base64":"e30=","data":`, "data_base64", "beside data"},
		{"data_base64 twice", `"data":` + object, `"data_base64":"e30=","data_base64":"e30="`, "data_base64", "more than once"},
		{"data_base64 null", `"data":` + object, `"data_base64":null`, "data_base64", "is null"},
		{"data_base64 broken", `"data":` + object, `"data_base64":"e30"`, "data_base64", "is not base64"},
		{"data_base64 with bits to spare", `"data":` + object, `"data_base64":"e31="`, "data_base64", "is not base64"},
		{"data_base64 of an array", `"data":` + object, `"data_base64":"W10="`, "data_base64", "is an array"},
		{"data_base64 of nothing", `"data":` + object, `"data_base64":""`, "data_base64", "not JSON"},
		{"data_base64 of an empty object", `"data":` + object, `"data_base64":"e30="`, "From_Account", "is missing"},
		{"field of data", `"Type":1`, `"Type":"1"`, "Type", "not a valid CloudEvents structured event: Type: must be 1"},
		{"field of data twice", `"Type":1`, `"Type":1,"Type":2`, "Type", "more than once"},
		{"fields outside of data", object, `{}`, "From_Account", "is missing"},
	} {
		value := envelope
		if c.old != "" {
			value = strings.Replace(envelope, c.old, c.new, 1)
		}
		for wrapping, headers := range map[string][]schema.Header{
			"alone":                nil,
			"with content-type":    headersOf("content-type: application/cloudevents+json"),
			"with a parameter":     headersOf("content-type: Application/CloudEvents+JSON; charset=UTF-8"),
			"with ce headers too":  headersOf("ce_type: other", "ce_id: 1", "ce_id: 2", "content-type: application/cloudevents+json"),
			"with something alike": headersOf("CE_TYPE: other", "ce-type: other", "Content-Type: application/xml", "ce_subject: x"),
		} {
			t.Run(c.name+" "+wrapping, func(t *testing.T) {
				t.Parallel()
				e, err := schema.Decode([]byte(value), headers)
				checkRefusal(t, e, err, c.field, c.reason)
				if c.field == "" && e.Conversation != event().Conversation {
					t.Errorf("decoded %+v", e)
				}
			})
		}
	}
}

func TestDecodeBinary(t *testing.T) {
	t.Parallel()
	good := []string{
		"ce_specversion: 1.0", "ce_type: conversation.delete.requested", "ce_source: /accounts", "ce_id: 5f0c",
		"ce_time: 2026-03-01T08:30:00.25Z", "content-type: application/json",
	}
	// Each case replaces the line that begins with old, or adds a line.
	for _, c := range []struct{ name, old, new, field, reason string }{
		{"as documented", "", "", "", ""},
		{"no time", "ce_time", "", "", ""},
		{"no content-type", "content-type", "", "", ""},
		{"other headers", "", "traceparent: 00-1", "", ""},
		{"extension twice", "ce_time", "ce_x: 1", "", ""},
		{"erasureid empty", "", "ce_erasureid: ", "ce_erasureid", "is empty"},
		{"erasureid not UTF-8", "", "ce_erasureid: \xff", "ce_erasureid", "not valid UTF-8"},
		{"no specversion", "ce_specversion", "", "ce_specversion", "is missing"},
		{"specversion another", "ce_specversion", "ce_specversion: 1.1", "ce_specversion", `must be "1.0", is "1.1"`},
		{"specversion twice", "", "ce_specversion: 1.0", "ce_specversion", "more than once"},
		{"no type", "ce_type", "", "ce_type", "is missing"},
		{"type another", "ce_type", "ce_type: conversation.created", "ce_type", `is "conversation.created"`},
		{"type quoted", "ce_type", `ce_type: "conversation.delete.requested"`, "ce_type", "must be"},
		{"type in another case", "ce_type", "CE_TYPE: conversation.delete.requested", "ce_type", "is missing"},
		{"no source", "ce_source", "", "ce_source", "is missing"},
		{"source empty", "ce_source", "ce_source: ", "ce_source", "is empty"},
		{"source not UTF-8", "ce_source", "ce_source: \xff", "ce_source", "not valid UTF-8"},
		{"source twice", "", "ce_source: /accounts", "ce_source", "more than once"},
		{"no id", "ce_id", "", "ce_id", "is missing"},
		{"id with a newline", "ce_id", "ce_id: a\nb", "ce_id", "control character U+000A at position 1"},
		{"id too long", "ce_id", "ce_id: " + strings.Repeat("x", 5000), "ce_id", "is 5000 bytes long"},
		{"time empty", "ce_time", "ce_time: ", "ce_time", "RFC 3339"},
		{"time broken", "ce_time", "ce_time: yesterday", "ce_time", `is "yesterday"`},
		{"time twice", "", "ce_time: 2026-03-01T08:30:00Z", "ce_time", "more than once"},
		{"content-type another", "content-type", "content-type: text/plain", "content-type", "must be a JSON media type"},
		{"content-type twice", "", "content-type: application/json", "content-type", "more than once"},
		{"content-type of another format", "content-type", "content-type: application/cloudevents+avro", "content-type", "must be application/cloudevents+json"},
		{"content-type of a batch", "content-type", "content-type: application/cloudevents-batch+json", "content-type", "must be"},
		{"content-type structured", "content-type", "content-type: application/cloudevents+json", "specversion", "is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var lines []string
			for _, line := range good {
				if c.old == "" || !strings.HasPrefix(line, c.old+":") {
					lines = append(lines, line)
				}
			}
			if c.new != "" {
				lines = append(lines, c.new)
			}
			e, err := schema.Decode([]byte(object), headersOf(lines...))
			checkRefusal(t, e, err, c.field, c.reason)
		})
	}
	for _, c := range bareCases() {
		if strings.HasPrefix(c.name, "specversion") {
			continue // in a binary event this is an unknown field
		}
		t.Run("value: "+c.name, func(t *testing.T) {
			t.Parallel()
			e, err := schema.Decode([]byte(c.value), headersOf(good...))
			checkRefusal(t, e, err, c.field, c.reason)
		})
	}
}

func TestOneHeaderMakesARecordBinary(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"ce_specversion: 1.0", "ce_type: conversation.delete.requested", "ce_source: /a", "ce_id: 1", "ce_time: 2026-03-01T08:30:00Z",
	} {
		e, err := schema.Decode([]byte(object), headersOf(line))
		field := "ce_specversion"
		if strings.HasPrefix(line, field) {
			field = "ce_type"
		}
		checkRefusal(t, e, err, field, "not a valid CloudEvents binary event: "+field+": is missing")
	}
	if _, err := schema.Decode([]byte(object), headersOf("content-type: application/json", "ce_subject: x")); err != nil {
		t.Errorf("bare event with harmless headers refused: %v", err)
	}
}

// TestDecodeRefusesTwoContentTypes: with two content types, two readers could read two events from one record.
func TestDecodeRefusesTwoContentTypes(t *testing.T) {
	t.Parallel()
	for _, value := range []string{object, envelope} {
		e, err := schema.Decode([]byte(value), headersOf("content-type: application/cloudevents+json", "content-type: application/json"))
		checkRefusal(t, e, err, "content-type", "is given more than once")
	}
}

func TestDecodeTimeInUTC(t *testing.T) {
	t.Parallel()
	value := strings.Replace(envelope, "2026-03-01T08:30:00.25Z", "2026-03-01T16:30:00.25+08:00", 1)
	e, err := schema.Decode([]byte(value), nil)
	if err != nil || e != cloudEvent() {
		t.Errorf("decoded %+v, %v; want %+v", e, err, cloudEvent())
	}
}

// TestErasureIDIsRead: in both wrappings of CloudEvents. A header alone makes no event of a CloudEvent.
func TestErasureIDIsRead(t *testing.T) {
	t.Parallel()
	want := cloudEvent()
	want.ErasureID = "R-1"
	if e, err := schema.Decode([]byte(strings.Replace(envelope, `"id"`, `"erasureid":"R-1","id"`, 1)), nil); err != nil || e != want {
		t.Errorf("structured: %+v, %v", e, err)
	}
	value, headers, err := want.EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := schema.Decode(value, headers); err != nil || e != want {
		t.Errorf("binary: %+v, %v", e, err)
	}
	if e, err := schema.Decode([]byte(object), headersOf("ce_erasureid: R-1")); err != nil || e != event() {
		t.Errorf("bare: %+v, %v", e, err)
	}
}
