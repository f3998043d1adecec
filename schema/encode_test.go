package schema_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/schema"
)

// genConversation makes valid conversations.
func genConversation(t *rapid.T) schema.Conversation {
	c := schema.Conversation{
		From: rapid.StringMatching(`[ -~]{1,32}`).Draw(t, "from"),
		Type: rapid.SampledFrom([]schema.ConversationType{schema.C2C, schema.G2C}).Draw(t, "type"),
	}
	if c.Type == schema.C2C {
		c.To = rapid.StringMatching(`[ -~]{1,32}`).Draw(t, "to")
	} else {
		c.To = rapid.StringMatching(`[ -~]{1,48}`).Draw(t, "to")
	}
	return c
}

// genTime makes times that RFC 3339 can express, in UTC, sometimes zero.
func genTime(t *rapid.T, label string) time.Time {
	if rapid.Bool().Draw(t, label+" absent") {
		return time.Time{}
	}
	first, last := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	seconds := rapid.Int64Range(first.Unix(), last.Unix()).Draw(t, label)
	return time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, label+" ns")).UTC()
}

// genCloudEvent makes valid events with ID and Source.
func genCloudEvent(t *rapid.T) schema.Event {
	attribute := rapid.StringOfN(rapid.RuneFrom([]rune(`az09/:"\<&>{ é群`+"\u2028\U0001F600\uFFFD")), 1, 40, -1)
	return schema.Event{
		Conversation: genConversation(t),
		ClearRamble:  rapid.Bool().Draw(t, "clear ramble"),
		Time:         genTime(t, "time"),
		ID:           attribute.Draw(t, "id"),
		Source:       attribute.Draw(t, "source"),
		ErasureID:    rapid.OneOf(rapid.Just(""), attribute).Draw(t, "erasure ID"),
	}
}

func TestEncodeThenDecodeIsTheIdentity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		full := genCloudEvent(t)
		plain := schema.Event{Conversation: full.Conversation, ClearRamble: full.ClearRamble}
		checkDecodes := func(want schema.Event, value []byte, headers []schema.Header, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("encode %+v: %v", want, err)
			}
			if got, err := schema.Decode(value, headers); err != nil || got != want {
				t.Fatalf("Decode(%s) = %+v, %v; want %+v", value, got, err, want)
			}
		}
		value, err := full.Encode()
		checkDecodes(plain, value, nil, err)
		value, err = full.EncodeCloudEvent()
		checkDecodes(full, value, nil, err)
		checkDecodes(full, value, headersOf("content-type: "+schema.ContentTypeStructured), err)
		value, headers, err := full.EncodeCloudEventBinary()
		checkDecodes(full, value, headers, err)
	})
}

func TestEncodeBytes(t *testing.T) {
	t.Parallel()
	value, err := event().Encode()
	if err != nil || string(value) != object {
		t.Errorf("Encode = %s, %v; want %s", value, err, object)
	}
	value, err = schema.Event{Conversation: schema.Conversation{From: `a"\`, Type: schema.G2C, To: "<b>"}}.Encode()
	if want := `{"From_Account":"a\"\\","Type":2,"To_Account":"<b>","ClearRamble":0}`; err != nil || string(value) != want {
		t.Errorf("Encode = %s, %v; want %s", value, err, want)
	}
	value, err = cloudEvent().EncodeCloudEvent()
	if err != nil || string(value) != envelope {
		t.Errorf("EncodeCloudEvent = %s, %v; want %s", value, err, envelope)
	}
}

func TestEncodeLargestEventFits(t *testing.T) {
	t.Parallel()
	e := schema.Event{
		Conversation: schema.Conversation{From: strings.Repeat(`"`, 32), Type: schema.G2C, To: strings.Repeat(`\`, 48)},
		ID:           strings.Repeat(`"`, schema.MaxAttribute),
		Source:       strings.Repeat(`\`, schema.MaxAttribute),
		Time:         time.Date(2026, 3, 1, 0, 0, 0, 1, time.UTC),
	}
	value, err := e.EncodeCloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := schema.Decode(value, nil); err != nil || got != e {
		t.Errorf("largest event of %d bytes: %v", len(value), err)
	}
}

func TestValidateAndEncodeRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field  string
		change func(*schema.Event)
	}{
		{"From_Account", func(e *schema.Event) { e.From = "" }},
		{"From_Account", func(e *schema.Event) { e.From = strings.Repeat("x", 33) }},
		{"From_Account", func(e *schema.Event) { e.From = "a\x7f" }},
		{"From_Account", func(e *schema.Event) { e.From = "\xff" }},
		{"Type", func(e *schema.Event) { e.Type = 0 }},
		{"Type", func(e *schema.Event) { e.Type = 3 }},
		{"Type", func(e *schema.Event) { e.Type = -1 }},
		{"To_Account", func(e *schema.Event) { e.To = "" }},
		{"To_Account", func(e *schema.Event) { e.To = strings.Repeat("x", 33) }},
		{"To_Account", func(e *schema.Event) { e.Type, e.To = schema.G2C, strings.Repeat("x", 49) }},
		{"To_Account", func(e *schema.Event) { e.Type, e.To = schema.G2C, "é" }},
		{"id", func(e *schema.Event) { e.ID = "a\x00" }},
		{"id", func(e *schema.Event) { e.ID = strings.Repeat("x", schema.MaxAttribute+1) }},
		{"source", func(e *schema.Event) { e.Source = "\xc3\x28" }},
		{"time", func(e *schema.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"time", func(e *schema.Event) { e.Time = time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600)) }},
	} {
		e := cloudEvent()
		c.change(&e)
		_, bareErr := e.Encode()
		_, structuredErr := e.EncodeCloudEvent()
		_, _, binaryErr := e.EncodeCloudEventBinary()
		for _, err := range []error{e.Validate(), bareErr, structuredErr, binaryErr} {
			fieldErr, ok := errors.AsType[*schema.FieldError](err)
			if !ok || fieldErr.Field != c.field {
				t.Errorf("%+v: error %v does not name %s", e, err, c.field)
			}
		}
	}
}

func TestCloudEventNeedsSourceAndID(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*schema.Event){
		"id":     func(e *schema.Event) { e.ID = "" },
		"source": func(e *schema.Event) { e.Source = "" },
	} {
		e := cloudEvent()
		change(&e)
		if err := e.Validate(); err != nil {
			t.Errorf("Validate without %s: %v", field, err)
		}
		_, err := e.EncodeCloudEvent()
		_, _, binaryErr := e.EncodeCloudEventBinary()
		for _, err := range []error{err, binaryErr} {
			fieldErr, ok := errors.AsType[*schema.FieldError](err)
			if !ok || fieldErr.Field != field {
				t.Errorf("error %v does not name %s", err, field)
			}
		}
	}
}

func TestKey(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]schema.Conversation{
		"1:5:alice:bob":    {From: "alice", Type: schema.C2C, To: "bob"},
		"2:5:alice:bob":    {From: "alice", Type: schema.G2C, To: "bob"},
		"1:3:bob:alice":    {From: "bob", Type: schema.C2C, To: "alice"},
		"1:3:a:b:c":        {From: "a:b", Type: schema.C2C, To: "c"},
		"1:1:a:b:c":        {From: "a", Type: schema.C2C, To: "b:c"},
		"2:2:a::@TGS#:1:2": {From: "a:", Type: schema.G2C, To: "@TGS#:1:2"},
	} {
		if got := c.Key(); got != want {
			t.Errorf("key of %+v = %q, want %q", c, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		short := rapid.StringMatching(`[1:a]{1,3}`)
		gen := func(label string) schema.Conversation {
			return schema.Conversation{
				From: short.Draw(t, label+" from"), Type: schema.ConversationType(rapid.IntRange(1, 2).Draw(t, label)), To: short.Draw(t, label+" to"),
			}
		}
		a, b := gen("a"), gen("b")
		if (a == b) != (a.Key() == b.Key()) {
			t.Fatalf("keys %q and %q of %+v and %+v", a.Key(), b.Key(), a, b)
		}
	})
}

func TestConversationTypeString(t *testing.T) {
	t.Parallel()
	for want, kind := range map[string]schema.ConversationType{
		"C2C": schema.C2C, "G2C": schema.G2C, "ConversationType(0)": 0, "ConversationType(-7)": -7,
	} {
		if got := kind.String(); got != want {
			t.Errorf("String = %q, want %q", got, want)
		}
	}
}
