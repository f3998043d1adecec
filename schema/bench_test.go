package schema_test

import (
	"strings"
	"testing"

	"convdel/schema"
)

func BenchmarkDecode(b *testing.B) {
	binaryValue, binaryHeaders, err := cloudEvent().EncodeCloudEventBinary()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		value   string
		headers []schema.Header
	}{
		{"bare", object, nil},
		{"bare-900-bytes", strings.Replace(object, "{", `{"note":"`+strings.Repeat("x", 820)+`",`, 1), nil},
		{"structured", envelope, nil},
		{"binary", string(binaryValue), binaryHeaders},
	} {
		b.Run(c.name, func(b *testing.B) {
			value := []byte(c.value)
			b.ReportAllocs()
			b.SetBytes(int64(len(value)))
			for b.Loop() {
				if _, err := schema.Decode(value, c.headers); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	e := cloudEvent()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
