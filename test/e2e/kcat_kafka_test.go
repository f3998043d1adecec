//go:build kafka

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"convdel/imclient/imtest"
)

// kcatRecord is a record as `kcat -J` prints it.
type kcatRecord struct {
	Key     *string  `json:"key"`
	Payload *string  `json:"payload"`
	Headers []string `json:"headers"` // name, value, name, value…
}

// header returns the values of a header. There may be several.
func (r kcatRecord) header(name string) (values []string) {
	for i := 0; i+1 < len(r.Headers); i += 2 {
		if r.Headers[i] == name {
			values = append(values, r.Headers[i+1])
		}
	}
	return values
}

// kcat runs kcat, another Kafka client, and returns its output.
func (s *stage) kcat(stdin string, args ...string) string {
	s.tb.Helper()
	cmd := exec.CommandContext(s.tb.Context(), "kcat", append([]string{"-b", strings.Join(s.brokers, ","), "-q"}, args...)...)
	var out, complaints bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &complaints
	if err := cmd.Run(); err != nil {
		s.tb.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// kcatCase is a record that kcat publishes.
type kcatCase struct {
	value, key string
	headers    []string // NAME=VALUE
	null       bool     // the value is null
	class      string   // the class of its dead letter, if it is to become one
}

// kcatCases are events in all wrappings, and records that are no events.
func kcatCases() []kcatCase {
	event := func(from string) string {
		return fmt.Sprintf(`{"From_Account":"%s","Type":1,"To_Account":"friend","ClearRamble":1}`, from)
	}
	binary := func(id, kind string) []string {
		return []string{"ce_specversion=1.0", "ce_source=/kcat", "content-type=application/json", "ce_id=" + id, "ce_type=" + kind}
	}
	const kind = "conversation.delete.requested"
	structured := `{"specversion":"1.0","type":"` + kind + `","source":"/kcat","id":"7","data":` + event("code-50001-structured") + `}`
	return []kcatCase{
		{value: event("plain")},
		{value: event("keyed"), key: "C2C_keyed"},
		{value: event("binary"), headers: binary("1", kind)},
		{value: event("code-50001-keyed"), key: "C2C_keyed", headers: []string{"origin=kcat", "origin=twice", "dlt-code=forged"}, class: "permanent"},
		{value: event("code-50001-binary"), headers: binary("2", kind), class: "permanent"},
		{value: structured, headers: []string{"content-type=application/cloudevents+json"}, class: "permanent"},
		{value: "not an event: \u00fcber \"quoted\" \\", class: "undecodable"},
		{value: event("alien"), headers: binary("3", "other.type"), class: "undecodable"},
		{null: true, key: "null", class: "undecodable"},
	}
}

// TestKafka_Kcat publishes and reads dead letters with kcat.
func TestKafka_Kcat(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	cases := kcatCases()
	for _, c := range cases {
		s.kcatPublish(c)
	}
	p := s.service()
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	if deletes := s.deletes(); !maps.Equal(deletes, map[string]int{"plain": 1, "keyed": 1, "binary": 1}) {
		t.Errorf("deleted: %v", deletes)
	}
	letters := s.kcatLetters()
	for offset, c := range cases {
		id := fmt.Sprintf("%s/0/%d", s.topic, offset)
		letter, found := letters[id]
		delete(letters, id)
		if found != (c.class != "") {
			t.Errorf("record %d, %s: dead letter %v, want class %q", offset, c.value, found, c.class)
		} else if found {
			s.wantLetter(letter, offset, c)
		}
	}
	if len(letters) > 0 {
		t.Errorf("letters of no record: %v", sortedKeys(letters))
	}
}

// kcatPublish publishes one record with kcat.
func (s *stage) kcatPublish(c kcatCase) {
	s.tb.Helper()
	args, input := []string{"-P", "-t", s.topic, "-p", "0"}, c.value
	for _, h := range c.headers {
		args = append(args, "-H", h)
	}
	switch {
	case c.null: // kcat sends nothing without a line; it sends a line with a key and no value as null
		args, input = append(args, "-Z", "-K", ":"), c.key+":\n"
	case c.key != "":
		args = append(args, "-k", c.key)
	}
	s.kcat(input, args...)
}

// wantLetter checks a dead letter that kcat has read.
func (s *stage) wantLetter(letter kcatRecord, offset int, c kcatCase) {
	s.tb.Helper()
	want := map[string][]string{
		"dlt-class": {c.class}, "dlt-topic": {s.topic}, "dlt-partition": {"0"}, "dlt-offset": {strconv.Itoa(offset)},
		"dlt-group": {s.group}, "dlt-key": nil, "dlt-null-value": nil, "dlt-code": {"0"},
	}
	if c.key != "" {
		want["dlt-key"] = []string{c.key}
	}
	if c.class == "permanent" {
		want["dlt-code"] = []string{"50001"}
	}
	if c.null {
		want["dlt-null-value"] = []string{"true"}
	}
	for _, h := range c.headers {
		if name, value, _ := strings.Cut(h, "="); !strings.HasPrefix(name, "dlt-") {
			want[name] = append(want[name], value)
		}
	}
	for _, name := range sortedKeys(want) {
		if got := letter.header(name); !slices.Equal(got, want[name]) {
			s.tb.Errorf("letter of record %d: header %s is %q, want %q", offset, name, got, want[name])
		}
	}
	if letter.Payload == nil || *letter.Payload != c.value {
		s.tb.Errorf("letter of record %d has another value: %v", offset, letter.Payload)
	}
}

// kcatLetters reads the dead-letter topic with kcat, by key.
func (s *stage) kcatLetters() map[string]kcatRecord {
	s.tb.Helper()
	letters := map[string]kcatRecord{}
	for line := range strings.Lines(s.kcat("", "-C", "-t", s.dlt, "-o", "beginning", "-e", "-J")) {
		var r kcatRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.tb.Fatalf("%v: %s", err, line)
		}
		if r.Key == nil {
			s.tb.Fatalf("a letter without key: %s", line)
		}
		if _, twice := letters[*r.Key]; twice {
			s.tb.Errorf("two letters of %s", *r.Key)
		}
		letters[*r.Key] = r
	}
	return letters
}
