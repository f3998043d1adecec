package schema_test

import (
	"errors"
	"strings"
	"testing"

	"convdel/schema"
)

// object is the bare event of most tests; event is the same event decoded.
const object = `{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}`

func event() schema.Event {
	return schema.Event{
		Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
		ClearRamble:  true,
	}
}

// bare is a value without headers, and the expected result of Decode. field is the field of the FieldError, "-" for an
// error without one, and "" for no error.
type bare struct {
	name, value, field, reason string
}

func bareCases() []bare {
	long := func(n int) string { return strings.Repeat("x", n) }
	return []bare{
		{"as documented", object, "", ""},
		{"space around", " \t\r\n" + object + "\n", "", ""},
		{"space within", `{ "From_Account" : "alice" , "Type" : 1 , "To_Account" : "bob" }`, "", ""},
		{"no ClearRamble", `{"From_Account":"a","Type":1,"To_Account":"b"}`, "", ""},
		{"another order", `{"ClearRamble":0,"To_Account":"b","Type":2,"From_Account":"a"}`, "", ""},
		{"escaped name", `{"From\u005fAccount":"a","Type":1,"To_Account":"b"}`, "", ""},
		{"escaped value", `{"From_Account":"\u0061\"\\\/","Type":1,"To_Account":"b"}`, "", ""},
		{"unknown fields", `{"x":{"From_Account":["}",{"y":"\\"}]},"From_Account":"a","n":-1.5e+3,"Type":1,"b":true,"To_Account":"b","z":null}`, "", ""},
		{"unknown field twice", `{"x":1,"x":2,"id":1,"id":2,"From_Account":"a","Type":1,"To_Account":"b"}`, "", ""},
		{"name in another case is unknown", `{"from_account":"mallory","From_Account":"a","Type":1,"type":2,"To_Account":"b"}`, "", ""},
		{"spaces in IDs", `{"From_Account":" a b ","Type":1,"To_Account":" "}`, "", ""},
		{"all printable", `{"From_Account":" !\"#$%&'()*+,-./:;<=>?@[\\]^_{|}~","Type":2,"To_Account":"@TGS#_@TGS#cQVFZH"}`, "", ""},
		{"longest UserIDs", `{"From_Account":"` + long(32) + `","Type":1,"To_Account":"` + long(32) + `"}`, "", ""},
		{"longest group ID", `{"From_Account":"a","Type":2,"To_Account":"` + long(48) + `"}`, "", ""},
		{"integers in other spellings", `{"From_Account":"a","Type":1.0,"To_Account":"b","ClearRamble":10e-1}`, "", ""},
		{"zero in other spellings", `{"From_Account":"a","Type":0.2E+1,"To_Account":"b","ClearRamble":-0.0e5}`, "", ""},

		{"From_Account missing", `{"Type":1,"To_Account":"b"}`, "From_Account", "is missing"},
		{"From_Account in another case", `{"from_account":"a","Type":1,"To_Account":"b"}`, "From_Account", "is missing"},
		{"From_Account empty", `{"From_Account":"","Type":1,"To_Account":"b"}`, "From_Account", "is empty"},
		{"From_Account number", `{"From_Account":1,"Type":1,"To_Account":"b"}`, "From_Account", "must be a string, is a number"},
		{"From_Account null", `{"From_Account":null,"Type":1,"To_Account":"b"}`, "From_Account", "is null"},
		{"From_Account object", `{"From_Account":{},"Type":1,"To_Account":"b"}`, "From_Account", "is an object"},
		{"From_Account twice", `{"From_Account":"a","Type":1,"To_Account":"b","From_Account":"a"}`, "From_Account", "more than once"},
		{"From_Account twice, escaped", `{"From_Account":"a","Type":1,"To_Account":"b","From\u005fAccount":"c"}`, "From_Account", "more than once"},
		{"From_Account too long", `{"From_Account":"` + long(33) + `","Type":1,"To_Account":"b"}`, "From_Account", "is 33 bytes long, a UserID has at most 32"},
		{"From_Account not ASCII", `{"From_Account":"zoë","Type":1,"To_Account":"b"}`, "From_Account", "byte 0xC3 at position 2"},
		{"From_Account tab", `{"From_Account":"a\tb","Type":1,"To_Account":"b"}`, "From_Account", "byte 0x09 at position 1"},
		{"From_Account DEL", `{"From_Account":"a\u007f","Type":1,"To_Account":"b"}`, "From_Account", "byte 0x7F at position 1"},
		{"From_Account NUL", `{"From_Account":"\u0000","Type":1,"To_Account":"b"}`, "From_Account", "byte 0x00 at position 0"},
		{"From_Account half a surrogate pair", `{"From_Account":"\ud800","Type":1,"To_Account":"b"}`, "From_Account", "byte 0xEF"},
		{"Type missing", `{"From_Account":"a","To_Account":"b"}`, "Type", "is missing"},
		{"Type string", `{"From_Account":"a","Type":"1","To_Account":"b"}`, "Type", "must be 1 (C2C) or 2 (G2C), is a string"},
		{"Type null", `{"From_Account":"a","Type":null,"To_Account":"b"}`, "Type", "is null"},
		{"Type true", `{"From_Account":"a","Type":true,"To_Account":"b"}`, "Type", "is a boolean"},
		{"Type array", `{"From_Account":"a","Type":[1],"To_Account":"b"}`, "Type", "is an array"},
		{"Type 0", `{"From_Account":"a","Type":0,"To_Account":"b"}`, "Type", "is 0"},
		{"Type 3", `{"From_Account":"a","Type":3,"To_Account":"b"}`, "Type", "is 3"},
		{"Type negative", `{"From_Account":"a","Type":-1,"To_Account":"b"}`, "Type", "is -1"},
		{"Type 12", `{"From_Account":"a","Type":12,"To_Account":"b"}`, "Type", "is 12"},
		{"Type 10", `{"From_Account":"a","Type":10,"To_Account":"b"}`, "Type", "is 10"},
		{"Type fraction", `{"From_Account":"a","Type":1.5,"To_Account":"b"}`, "Type", "is 1.5"},
		{"Type nearly 1", `{"From_Account":"a","Type":1.00000000000000000000001,"To_Account":"b"}`, "Type", "is 1.000000000"},
		{"Type 1e1", `{"From_Account":"a","Type":1e1,"To_Account":"b"}`, "Type", "is 1e1"},
		{"Type twice", `{"Type":1,"From_Account":"a","Type":1,"To_Account":"b"}`, "Type", "more than once"},
		{"To_Account missing", `{"From_Account":"a","Type":1}`, "To_Account", "is missing"},
		{"To_Account empty", `{"From_Account":"a","Type":2,"To_Account":""}`, "To_Account", "is empty"},
		{"To_Account boolean", `{"From_Account":"a","Type":1,"To_Account":false}`, "To_Account", "must be a string, is a boolean"},
		{"To_Account twice", `{"From_Account":"a","Type":1,"To_Account":"b","To_Account":"c"}`, "To_Account", "more than once"},
		{"To_Account too long for a UserID", `{"From_Account":"a","Type":1,"To_Account":"` + long(33) + `"}`, "To_Account", "a UserID has at most 32"},
		{"To_Account too long for a group ID", `{"From_Account":"a","Type":2,"To_Account":"` + long(49) + `"}`, "To_Account", "a group ID has at most 48"},
		{"To_Account not ASCII", `{"From_Account":"a","Type":2,"To_Account":"群"}`, "To_Account", "printable ASCII"},
		{"To_Account newline", `{"From_Account":"a","Type":2,"To_Account":"room\n"}`, "To_Account", "byte 0x0A at position 4"},
		{"ClearRamble 2", `{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":2}`, "ClearRamble", "must be 0 or 1, is 2"},
		{"ClearRamble true", `{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":true}`, "ClearRamble", "is a boolean"},
		{"ClearRamble null", `{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":null}`, "ClearRamble", "is null"},
		{"ClearRamble string", `{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":"0"}`, "ClearRamble", "is a string"},
		{"ClearRamble twice", `{"ClearRamble":0,"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":1}`, "ClearRamble", "more than once"},
		{"specversion makes it structured", `{"specversion":"1.0","From_Account":"a","Type":1,"To_Account":"b"}`, "type", "is missing"},
		{"empty object", `{}`, "From_Account", "is missing"},

		{"empty", ``, "-", "not JSON"},
		{"spaces", `   `, "-", "not JSON"},
		{"text", `delete alice`, "-", "not JSON"},
		{"cut off", object[:40], "-", "not JSON"},
		{"trailing data", object + ` {}`, "-", "at byte 70"},
		{"two objects", object + object, "-", "not JSON"},
		{"trailing comma", `{"From_Account":"a","Type":1,"To_Account":"b",}`, "-", "not JSON"},
		{"number with a leading zero", `{"From_Account":"a","Type":01,"To_Account":"b"}`, "-", "not JSON"},
		{"control character in a string", "{\"From_Account\":\"a\n\",\"Type\":1,\"To_Account\":\"b\"}", "-", "not JSON"},
		{"byte order mark", "\ufeff" + object, "-", "not JSON"},
		{"array", `[` + object + `]`, "-", "must be a JSON object, is an array"},
		{"string", `"x"`, "-", "is a string"},
		{"null", `null`, "-", "is null"},
		{"invalid UTF-8 in a value", "{\"From_Account\":\"a\xff\",\"Type\":1,\"To_Account\":\"b\"}", "-", "not valid UTF-8"},
		{"invalid UTF-8 in an unknown field", "{\"x\":\"\xc3\x28\",\"From_Account\":\"a\",\"Type\":1,\"To_Account\":\"b\"}", "-", "not valid UTF-8"},
		{"too large", object + strings.Repeat(" ", schema.MaxValueSize), "-", "an event has at most 65536"},
		{"deeply nested", `{"x":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + `}`, "-", "not JSON"},
	}
}

func TestDecodeBare(t *testing.T) {
	t.Parallel()
	for _, c := range bareCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := schema.Decode([]byte(c.value), nil)
			checkRefusal(t, e, err, c.field, c.reason)
		})
	}
}

// checkRefusal compares the results of Decode with the expected ones, see [bare].
func checkRefusal(t *testing.T, e schema.Event, err error, field, reason string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	decodeErr, ok := errors.AsType[*schema.DecodeError](err)
	if !ok {
		t.Fatalf("error %v is no DecodeError; event %+v", err, e)
	}
	if e != (schema.Event{}) {
		t.Errorf("event %+v beside error %v", e, err)
	}
	fieldErr, ok := errors.AsType[*schema.FieldError](err)
	switch {
	case field == "-" && (ok || decodeErr.Wrapping != ""):
		t.Errorf("error %v names a field or a wrapping", err)
	case field != "-" && (!ok || fieldErr.Field != field):
		t.Errorf("error %v does not name field %s", err, field)
	}
	if !strings.Contains(err.Error(), reason) || strings.ContainsAny(err.Error(), "\n\t") {
		t.Errorf("error %q does not say %q in one line", err, reason)
	}
}

func TestDecodeReadsWhatIsMeant(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]schema.Event{
		object: event(),
		`{"from_account":"mallory","From_Account":"\u0061 \"\\\/","type":2,"Type":1,"To_Account":"b","clearramble":1}`: {
			Conversation: schema.Conversation{From: `a "\/`, Type: schema.C2C, To: "b"},
		},
		`{"x":{"To_Account":"mallory"},"ClearRamble":0.1e1,"To_Account":"@TGS#1","Type":2e0,"From_Account":"a"}`: {
			Conversation: schema.Conversation{From: "a", Type: schema.G2C, To: "@TGS#1"}, ClearRamble: true,
		},
	} {
		got, err := schema.Decode([]byte(value), nil)
		if err != nil || got != want {
			t.Errorf("Decode(%s) = %+v, %v; want %+v", value, got, err, want)
		}
	}
}

func TestDecodeNullValue(t *testing.T) {
	t.Parallel()
	e, err := schema.Decode(nil, []schema.Header{{Key: "ce_type", Value: []byte("x")}})
	checkRefusal(t, e, err, "-", "the value is null")
}

func TestDecodeKeepsNothingOfItsArguments(t *testing.T) {
	t.Parallel()
	value, headers, err := cloudEvent().EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	got, err := schema.Decode(value, headers)
	if err != nil {
		t.Fatal(err)
	}
	clear(value)
	for _, h := range headers {
		clear(h.Value)
	}
	if got != cloudEvent() {
		t.Errorf("event has become %+v", got)
	}
}

func TestErrorsDoNotRepeatAccounts(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`{"From_Account":"somebody\u0007","Type":1,"To_Account":"b"}`,
		`{"From_Account":"somebody","Type":1,"To_Account":"somebody\u00e9"}`,
		`{"From_Account":"somebody-somebody-somebody-somebody","Type":1,"To_Account":"b"}`,
	} {
		_, err := schema.Decode([]byte(value), nil)
		if err == nil || strings.Contains(err.Error(), "somebody") {
			t.Errorf("error %v for %s", err, value)
		}
	}
}
