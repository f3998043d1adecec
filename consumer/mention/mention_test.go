package mention_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"convdel/consumer/mention"
	"convdel/schema"
)

const account = "victim7"

func utf16Of(text string, order binary.AppendByteOrder) []byte {
	var data []byte
	for _, c := range utf16.Encode([]rune(text)) {
		data = order.AppendUint16(data, c)
	}
	return data
}

func zipped(text string) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return out.Bytes()
}

func in64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func TestFind(t *testing.T) {
	t.Parallel()
	bare := `{"From_Account":"victim7","Type":"1","To_Account":"b"}`
	for _, c := range []struct {
		name, value string
		want        mention.Where
	}{
		{"a wrong type", bare, mention.Field},
		{"the other side", `{"To_Account":"victim7"}`, mention.Field},
		{"in a list", `{"From_Account":["a","victim7"]}`, mention.Field},
		{"at some depth", `[{"x":{"data":[{"from_account":"victim7"}]}}]`, mention.Field},
		{"in another case", `{"fromAccount":"victim7"}`, mention.Field},
		{"in another spelling", `{"TO-ACCOUNT":"victim7"}`, mention.Field},
		{"escaped", `{"From_Account":"\u0076ictim7"}`, mention.Field},
		{"an escaped name", `{"From\u005fAccount":"victim7"}`, mention.Field},
		{"with space around it", `{"From_Account":" victim7\n"}`, mention.Field},
		{"the first of two", `{"From_Account":"victim7","From_Account":"b"}`, mention.Field},
		{"the second of two", `{"From_Account":"b","From_Account":"victim7"}`, mention.Field},
		{"before a fault", `{"From_Account":"victim7","Type":1,`, mention.Field},
		{"the second line", `{"From_Account":"a"}` + "\n" + bare, mention.Field},
		{"behind a byte order mark", "\ufeff" + bare, mention.Field},
		{"in UTF-16, little end first", "\xff\xfe" + string(utf16Of(bare, binary.LittleEndian)), mention.Field},
		{"in UTF-16, big end first", string(utf16Of(bare, binary.BigEndian)), mention.Field},
		{"in data_base64", `{"specversion":"1.0","data_base64":"` + in64([]byte(bare)) + `"}`, mention.Field},
		{"in a text of JSON", fmt.Sprintf(`{"data":%q}`, bare), mention.Field},
		{"in a text of a text of JSON", fmt.Sprintf(`{"data":%q}`, fmt.Sprintf(`{"data":%q}`, bare)), mention.Field},

		{"in another field", `{"subject":"victim7"}`, mention.Bytes},
		{"as a name", `{"victim7":1}`, mention.Bytes},
		{"in a URL", `{"subject":"/accounts/victim7/x"}`, mention.Bytes},
		{"as client SDKs write it", `{"id":"C2Cvictim7"}`, mention.Bytes},
		{"in quotes that JSON has not", `{'From_Account':'victim7'}`, mention.Bytes},
		{"in XML", `<from>victim7</from>`, mention.Bytes},
		{"in XML, escaped", `<from>&#118;ictim7</from>`, mention.Bytes},
		{"in a URL, escaped", `from=%76ictim7`, mention.Bytes},
		{"escaped, behind a fault", `{"x":,"From_Account":"\u0076ictim7"}`, mention.Bytes},
		{"escaped twice, behind a fault", `{"x":,"data":"{\"From_Account\":\"\\u0076ictim7\"}"}`, mention.Bytes},
		{"escaped as in Python", `b'\x76ictim7'`, mention.Bytes},
		{"in base64", in64([]byte("x;" + bare)), mention.Bytes},
		{"in base64 of base64", in64([]byte(in64([]byte(bare)))), mention.Bytes},
		{"in base64 for URLs", "/d/" + base64.RawURLEncoding.EncodeToString([]byte("??>>"+bare)), mention.Bytes},
		{"in base64 with lines", "x: " + in64([]byte(bare))[:20] + "\r\n" + in64([]byte(bare))[20:], mention.Bytes},
		{"in base64 behind a word", "data" + in64([]byte(bare)), mention.Bytes},
		{"in hexadecimal", "X'76696374696D37'", mention.Bytes},
		{"in a binary record", "\x00\x01\x0evictim7\xff", mention.Bytes},

		{"nothing of it", `{"From_Account":"somebody","Type":"1","To_Account":"else"}`, mention.Nowhere},
		{"plain text", "hello", mention.Nowhere},
		{"a part of it", `{"From_Account":"victim"}`, mention.Nowhere},

		{"empty", "", mention.Unknown},
		{"cut off", `{"From_Account":"vict`, mention.Unknown},
		{"cut off between two", `{"a":1,"b":[`, mention.Unknown},
		{"compressed", string(zipped(bare)), mention.Unknown},
		{"compressed, in data_base64", `{"data_base64":"` + in64(zipped(bare)) + `"}`, mention.Unknown},
		{"encrypted", "\x91\x02\xfe\xc3\x07zz", mention.Unknown},
	} {
		if got := mention.Find(account, schema.Record{Value: []byte(c.value)}); got != c.want {
			t.Errorf("%s: found %q, want %q: %q", c.name, got, c.want, c.value)
		}
	}
}

func TestFindBesideTheValue(t *testing.T) {
	t.Parallel()
	value := []byte("hello")
	for _, c := range []struct {
		name string
		r    schema.Record
		want mention.Where
	}{
		{"key", schema.Record{Key: []byte("1:7:victim7:bob"), Value: value}, mention.Key},
		{"key in base64", schema.Record{Key: []byte(in64([]byte("victim7"))), Value: value}, mention.Key},
		{"key of a record without a value", schema.Record{Key: []byte("victim7")}, mention.Key},
		{"header", schema.Record{Value: value, Headers: []schema.Header{{Key: "ce_subject", Value: []byte("victim7")}}}, mention.Header},
		{"header's name", schema.Record{Value: value, Headers: []schema.Header{{Key: "x-victim7"}}}, mention.Header},
		{"field before key", schema.Record{Key: []byte("victim7"), Value: []byte(`{"To_Account":"victim7"}`)}, mention.Field},
		{"none", schema.Record{Key: []byte("1:1:a:b"), Value: value, Headers: []schema.Header{{Key: "ce_subject", Value: []byte("b")}}}, mention.Nowhere},
		{"compressed header", schema.Record{Value: value, Headers: []schema.Header{{Key: "x", Value: zipped("x")}}}, mention.Nowhere},
		{"no value", schema.Record{Key: []byte("1:1:a:b")}, mention.Unknown},
	} {
		if got := mention.Find(account, c.r); got != c.want {
			t.Errorf("%s: found %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFindNumbers(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]mention.Where{
		`{"From_Account":10007}`: mention.Field, `{"From_Account":10007.0}`: mention.Field, `{"To_Account":1.0007e4}`: mention.Field,
		`{"From_Account":"10007"}`: mention.Field, `{"uid":10007}`: mention.Bytes, `{"From_Account":10008}`: mention.Nowhere,
		`{"From_Account":1e999999999}`: mention.Nowhere, `{"From_Account":true}`: mention.Nowhere,
	} {
		if got := mention.Find("10007", schema.Record{Value: []byte(value)}); got != want {
			t.Errorf("%s: found %q, want %q", value, got, want)
		}
	}
}

// TestFindTakesAnything: no record makes a search fail or run away.
func TestFindTakesAnything(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), strings.Repeat(`\`, 100_000), strings.Repeat("%", 100_000),
		strings.Repeat("QUFB", 100_000), strings.Repeat("&", 100_000), "]", "}", `{"a"`, `\u`, `\u12`, `%4`, `\x`, "\x00", strings.Repeat("\x00", 100_000),
	} {
		for _, who := range []string{account, "A", "\\", "%", "&"} {
			mention.Find(who, schema.Record{Value: []byte(value)})
		}
	}
}
