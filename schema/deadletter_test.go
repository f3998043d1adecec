package schema_test

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"convdel/schema"
)

func deadLetter() schema.DeadLetter {
	return schema.DeadLetter{
		Class: schema.ClassExhausted, Code: 50004, Error: "50004: 服务端内部错误", Attempts: 6,
		FirstAttempt: time.Date(2026, 3, 1, 8, 30, 0, 5, time.UTC),
		LastAttempt:  time.Date(2026, 3, 1, 8, 31, 0, 0, time.UTC),
		Topic:        "conversation.delete.requested", Partition: 3, Offset: 10457,
		Timestamp: time.Date(2026, 3, 1, 8, 29, 59, 250_000_000, time.UTC),
		Key:       []byte{0, 0xff}, Group: "convdel", Replays: 2, ReplayOf: "conversation.delete.requested/0/7",
		OutcomeTopic: "conversation.delete.ended",
	}
}

// get returns the only header with that key; ok is false if there is none or several.
func get(headers []schema.Header, key string) (value []byte, ok bool) {
	for _, h := range headers {
		if h.Key == key {
			if ok {
				return nil, false
			}
			value, ok = h.Value, true
		}
	}
	return value, ok
}

func TestDeadLetterHeaders(t *testing.T) {
	t.Parallel()
	source := headersOf("ce_id: 1", "dlt-class: stray", "b: 1", "dlt-future: x", "b: 2", "dlt-class: again", "DLT-x: 1")
	got := deadLetter().Headers(source)
	want := append(headersOf("ce_id: 1", "b: 1", "b: 2", "DLT-x: 1"), headersOf(
		"dlt-class: exhausted", "dlt-code: 50004", "dlt-error: 50004: 服务端内部错误", "dlt-attempts: 6",
		"dlt-first-attempt: 2026-03-01T08:30:00.000000005Z", "dlt-last-attempt: 2026-03-01T08:31:00Z",
		"dlt-topic: conversation.delete.requested", "dlt-partition: 3", "dlt-offset: 10457",
		"dlt-timestamp: 2026-03-01T08:29:59.25Z", "dlt-key: \x00\xff", "dlt-group: convdel", "dlt-replays: 2", "dlt-replay-of: conversation.delete.requested/0/7",
		"dlt-outcome-topic: conversation.delete.ended")...)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Headers = %q\nwant %q", got, want)
	}
	if own := schema.SourceHeaders(got); !reflect.DeepEqual(own, headersOf("ce_id: 1", "b: 1", "b: 2", "DLT-x: 1")) {
		t.Errorf("SourceHeaders = %q", own)
	}
	if id := deadLetter().ID(); id != "conversation.delete.requested/3/10457" {
		t.Errorf("ID = %q", id)
	}
}

func TestDeadLetterHeadersLeaveOutWhatIsNotThere(t *testing.T) {
	t.Parallel()
	d := schema.DeadLetter{Class: schema.ClassUndecodable, Topic: "t", Group: "g", Key: []byte{}, NullValue: true}
	got := d.Headers(nil)
	want := headersOf("dlt-class: undecodable", "dlt-code: 0", "dlt-error: ", "dlt-attempts: 0",
		"dlt-topic: t", "dlt-partition: 0", "dlt-offset: 0", "dlt-key: ", "dlt-group: g", "dlt-null-value: true")
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Headers = %q\nwant %q", got, want)
	}
	if key, ok := get(got, "dlt-key"); !ok || key == nil {
		t.Error("an empty key has become a null header")
	}
	d.Key = nil
	if _, ok := get(d.Headers(nil), "dlt-key"); ok {
		t.Error("a null key has a header")
	}
}

func genDeadLetter(t *rapid.T) schema.DeadLetter {
	d := schema.DeadLetter{
		Class:        rapid.SampledFrom(schema.Classes()).Draw(t, "class"),
		Code:         rapid.Int().Draw(t, "code"),
		Error:        genLine(t, "error"),
		Attempts:     rapid.IntRange(0, math.MaxInt32).Draw(t, "attempts"),
		FirstAttempt: genTime(t, "first"),
		LastAttempt:  genTime(t, "last"),
		Topic:        rapid.StringMatching(`[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}`).Draw(t, "topic"),
		Partition:    rapid.IntRange(0, math.MaxInt32).Draw(t, "partition"),
		Offset:       rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset"),
		Timestamp:    genTime(t, "timestamp"),
		Key:          rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte())).Draw(t, "key"),
		Group:        rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "group"),
		Replays:      rapid.IntRange(0, 1000).Draw(t, "replays"),
		ReplayOf:     rapid.SampledFrom([]string{"", "t/0/0", "a.b-c_d/2147483647/9223372036854775807"}).Draw(t, "of"),
		NullValue:    rapid.Bool().Draw(t, "null"),
		OutcomeTopic: rapid.SampledFrom([]string{"", "t.outcome"}).Draw(t, "outcomes"),
	}
	d.OutcomeHidesAccounts = d.OutcomeTopic != "" && rapid.Bool().Draw(t, "no accounts")
	genOmitted(t, &d)
	return d
}

func genLine(t *rapid.T, label string) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("az 09:;\"é群\U0001F600\uFFFD")), 0, 250, -1).Draw(t, label)
}

func genHeaders(t *rapid.T) []schema.Header {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) schema.Header {
		return schema.Header{
			Key: rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
				schema.HeaderTopic, schema.HeaderReplays, schema.HeaderKey, schema.HeaderClass, "dlt-", "dlt-x", "ce_id", "",
			})).Draw(t, "key"),
			Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
		}
	}), 0, 6).Draw(t, "headers")
}

func TestDeadLetterRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, source := genDeadLetter(t), genHeaders(t)
		before := slices.Clone(source)
		headers := d.Headers(source)
		got, err := schema.ParseDeadLetter(headers)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("ParseDeadLetter = %+v, %v\nwant %+v", got, err, d)
		}
		if again := d.Headers(headers); !reflect.DeepEqual(again, headers) {
			t.Fatalf("headers pile up: %q, then %q", headers, again)
		}
		if !reflect.DeepEqual(schema.SourceHeaders(headers), schema.SourceHeaders(source)) || !reflect.DeepEqual(source, before) {
			t.Fatalf("source headers %q have become %q", before, source)
		}
		topic, partition, offset, err := schema.ParseID(d.ID())
		if err != nil || topic != d.Topic || partition != d.Partition || offset != d.Offset {
			t.Fatalf("ParseID(%q) = %q, %d, %d, %v", d.ID(), topic, partition, offset, err)
		}
	})
}

func TestDeadLetterErrorText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                  "",
		"a\r\nb\x00c\x1b[31md\u202ee":       "a  b c [31md e",
		"\xff\xfe!":                         "\uFFFD!",
		strings.Repeat("x", 1024):           strings.Repeat("x", 1024),
		strings.Repeat("x", 2000):           strings.Repeat("x", 1024),
		"x" + strings.Repeat("\u7fa4", 400): "x" + strings.Repeat("\u7fa4", 341),
	} {
		d := deadLetter()
		d.Error = text
		headers := d.Headers(nil)
		got, ok := get(headers, schema.HeaderError)
		if !ok || string(got) != want {
			t.Errorf("error %q has become %q, want %q", text, got, want)
		}
		if d, err := schema.ParseDeadLetter(headers); err != nil || d.Error != want {
			t.Errorf("error %q read back as %q, %v", text, d.Error, err)
		}
		if !utf8.Valid(got) {
			t.Errorf("error %q is not valid UTF-8", got)
		}
	}
}

// TestDeadLetterWithATimeThatCannotBeWritten: a publisher that mistakes microseconds for milliseconds stamps its records
// with the year 57000.
func TestDeadLetterWithATimeThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for want, at := range map[string]time.Time{
		"9999-12-31T23:59:59.999999999Z": time.UnixMilli(1_772_353_800_000_000),
		"0000-01-01T00:00:00Z":           time.UnixMilli(-100_000_000_000_000),
	} {
		d := deadLetter()
		d.Timestamp = at
		headers := d.Headers(nil)
		if got, _ := get(headers, schema.HeaderTimestamp); string(got) != want {
			t.Errorf("timestamp %v has become %s, want %s", at, got, want)
		}
		if _, err := schema.ParseDeadLetter(headers); err != nil {
			t.Error(err)
		}
		if _, ok := schema.Origin(d.ReplayHeaders(headers)); !ok {
			t.Errorf("a replay of a record of %v has lost its origin", at)
		}
	}
}

func TestParseDeadLetterRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, value, reason string }{
		{"dlt-class", "lost", `is no class of dead letters: "lost"`},
		{"dlt-class", "", "is no class"},
		{"dlt-code", "", "must be a number"},
		{"dlt-code", "+1", "must be a number"},
		{"dlt-code", "x", `is "x"`},
		{"dlt-attempts", "-1", "must be a number from 0 to 2147483647"},
		{"dlt-attempts", "1.0", "must be a number"},
		{"dlt-first-attempt", "", "must be an RFC 3339 time"},
		{"dlt-last-attempt", "2026-03-01", "must be an RFC 3339 time"},
		{"dlt-topic", "", "is no legal topic"},
		{"dlt-topic", "a/b", "is no legal topic"},
		{"dlt-topic", "..", "is no legal topic"},
		{"dlt-topic", strings.Repeat("x", 250), "is no legal topic"},
		{"dlt-partition", "03", "must be a number"},
		{"dlt-partition", "2147483648", "must be a number"},
		{"dlt-offset", "9223372036854775808", "must be a number from 0 to 9223372036854775807"},
		{"dlt-offset", "-0", "must be a number"},
		{"dlt-timestamp", "yesterday\x00", `is "yesterday\x00"`},
		{"dlt-replays", "0", "must be at least 1"},
		{"dlt-replays", "many", "must be a number"},
		{"dlt-null-value", "false", "must be true or absent"},
		{"dlt-outcome-accounts", "true", "must be false or absent"},
	} {
		headers := deadLetter().Headers(nil)
		at := slices.IndexFunc(headers, func(h schema.Header) bool { return h.Key == c.header })
		if at < 0 {
			headers = append(headers, schema.Header{Key: c.header, Value: []byte(c.value)})
		} else {
			headers[at].Value = []byte(c.value)
		}
		checkHeaderError(t, headers, c.header, c.reason)
	}
	for _, header := range []string{
		"dlt-class", "dlt-code", "dlt-error", "dlt-attempts", "dlt-topic", "dlt-partition", "dlt-offset", "dlt-group",
	} {
		headers := slices.DeleteFunc(deadLetter().Headers(nil), func(h schema.Header) bool { return h.Key == header })
		checkHeaderError(t, headers, header, "is missing")
		checkHeaderError(t, append(deadLetter().Headers(nil), headersOf(header+": 1")...), header, "more than once")
	}
	checkHeaderError(t, nil, "dlt-class", "is missing")
}

func checkHeaderError(t *testing.T, headers []schema.Header, header, reason string) {
	t.Helper()
	d, err := schema.ParseDeadLetter(headers)
	fieldErr, ok := errors.AsType[*schema.FieldError](err)
	if !ok || fieldErr.Field != header || !strings.Contains(fieldErr.Reason, reason) {
		t.Errorf("error %v, want one that says of %s %q", err, header, reason)
	}
	if !reflect.DeepEqual(d, schema.DeadLetter{}) {
		t.Errorf("dead letter %+v beside error %v", d, err)
	}
}

func TestParseDeadLetterKeepsNothingOfItsArgument(t *testing.T) {
	t.Parallel()
	headers := deadLetter().Headers(nil)
	headers[slices.IndexFunc(headers, func(h schema.Header) bool { return h.Key == schema.HeaderKey })].Value = []byte("key")
	d, err := schema.ParseDeadLetter(headers)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		clear(h.Value)
	}
	if string(d.Key) != "key" {
		t.Errorf("key has become %q", d.Key)
	}
}

func TestParseIDRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "/", "//", "t", "t/1", "t/1/", "t//1", "/1/1", "t/1/1/1", "a/b/1/1", "t/-1/1", "t/1/-1", "t/01/1", "t/1/+1", "t/1/1 ",
		" t/1/1", "t t/1/1", "../1/1", "t/2147483648/1", "t/1/9223372036854775808", "té/1/1", "t/0x1/1",
	} {
		topic, partition, offset, err := schema.ParseID(s)
		fieldErr, ok := errors.AsType[*schema.FieldError](err)
		if !ok || fieldErr.Field != "id" || topic != "" || partition != 0 || offset != 0 {
			t.Errorf("ParseID(%q) = %q, %d, %d, %v", s, topic, partition, offset, err)
		}
	}
}
