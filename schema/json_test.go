package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// readMembersSlowly does the same as readMembers, with encoding/json's tokens.
func readMembersSlowly(object []byte) (members, error) {
	var found members
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil {
		return found, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return found, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return found, err
		}
		s, ok := name.(string)
		if !ok {
			return found, fmt.Errorf("name %v is no string", name)
		}
		if i := indexOf([]byte(s)); i >= 0 {
			found[i] = member{raw: raw, repeated: found[i].raw != nil}
		}
	}
	return found, nil
}

// FuzzReadMembers compares readMembers with encoding/json.
func FuzzReadMembers(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { } `, `{"Type":1}`, `{"Type" : [ {"a":"]}"} , "\\" , "\"" ] , "id":null}`, `{"Ty\u0070e":"\u00e9\\","Type":-1.5E+3 }`,
		`{"":{},"data":{"data":[[[]],{}]},"id":"","time":true,"source":false}`, `{"Type":1,"x":0,"Type":2}`, "{\"id\":\"\u2028\"\t,\r\n\"id\"\n:\n3}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		object, err := checkObject(value)
		if err != nil {
			return
		}
		want, err := readMembersSlowly(object)
		if err != nil {
			t.Fatalf("passed %q, which encoding/json refuses: %v", value, err)
		}
		got := readMembers(object)
		for i := range got {
			if !bytes.Equal(got[i].raw, want[i].raw) || got[i].repeated != want[i].repeated {
				t.Errorf("member %d of %q: %q, want %q", i, value, got[i].raw, want[i].raw)
			}
		}
	})
}

func TestParseDigit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		number string
		want   int
		ok     bool
	}{
		{"0", 0, true},
		{"9", 9, true},
		{"-0", 0, true},
		{"0e999999999999999999999", 0, true},
		{"0.000", 0, true},
		{"1.0", 1, true},
		{"1e0", 1, true},
		{"1E-0", 1, true},
		{"20e-1", 2, true},
		{"0.002e+3", 2, true},
		{"2000000000000000000000000e-24", 2, true},
		{"-1", 0, false},
		{"10", 0, false},
		{"1.5", 0, false},
		{"1e1", 0, false},
		{"1e-1", 0, false},
		{"1.0000000000000000000000000000001", 0, false},
		{"1e999999999999999999999", 0, false},
		{"1e-9223372036854775808", 0, false},
		{"0.1e9223372036854775807", 0, false},
	} {
		if got, ok := parseDigit(c.number); ok != c.ok || ok && got != c.want {
			t.Errorf("parseDigit(%s) = %d, %v", c.number, got, ok)
		}
	}
}

func TestParseDigitIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`-?(0|[1-9]0{0,3}[0-9]?)(\.0{0,3}[0-9]0{0,2})?([eE][+-]?0?[0-5])?`).Draw(t, "number")
		if !json.Valid([]byte(number)) {
			t.Fatalf("%s is no JSON", number)
		}
		exact, ok := new(big.Rat).SetString(number)
		if !ok {
			t.Fatalf("%s is no number", number)
		}
		got, ok := parseDigit(number)
		digit := exact.IsInt() && exact.Sign() >= 0 && exact.Cmp(big.NewRat(9, 1)) <= 0
		if ok != digit || ok && exact.Cmp(big.NewRat(int64(got), 1)) != 0 {
			t.Fatalf("parseDigit(%s) = %d, %v", number, got, ok)
		}
	})
}

func TestSyntaxErrorSaysWhere(t *testing.T) {
	t.Parallel()
	_, err := checkObject([]byte(`{"a":1,}`))
	if err == nil || !strings.HasSuffix(err.Error(), ", at byte 8") {
		t.Errorf("error %v", err)
	}
}
