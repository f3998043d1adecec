package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
	"convdel/internal/publish"
	"convdel/internal/testkit"
	"convdel/schema"
)

// published returns the records on the broker's topic of events.
func published(t *testing.T, b *demoBroker) []*kgo.Record {
	t.Helper()
	ends, err := b.ends(t.Context(), schema.Topic)
	if err != nil {
		t.Fatal(err)
	}
	begins, err := b.admin.ListStartOffsets(t.Context(), schema.Topic)
	if err != nil {
		t.Fatal(err)
	}
	first := offsets{}
	for p, o := range begins[schema.Topic] {
		first[p] = o.Offset
	}
	records, err := b.read(t.Context(), schema.Topic, first, ends)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestPublishOneEvent(t *testing.T) {
	t.Parallel()
	c2c := schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"}
	g2c := schema.Conversation{From: "a b", Type: schema.G2C, To: "@TGS#1"}
	for _, c := range []struct {
		args     []string
		want     schema.Event
		wrapping schema.Wrapping
	}{
		{
			args: []string{"--from", "alice", "--to", "bob"},
			want: schema.Event{Conversation: c2c}, wrapping: schema.Bare,
		},
		{
			args: []string{"--from", "a b", "--to", "@TGS#1", "--type", "g2c", "--clear-ramble", "--cloud-event", "structured"},
			want: schema.Event{Conversation: g2c, ClearRamble: true}, wrapping: schema.Structured,
		},
		{
			args: []string{"--from", "a b", "--to", "@TGS#1", "--type", "2", "--cloud-event", "binary"},
			want: schema.Event{Conversation: g2c}, wrapping: schema.Binary,
		},
	} {
		b := newBroker(t)
		run := invoke(t, nil, "", append([]string{"publish", "--brokers", b.address}, c.args...)...)
		if run.status != exitDone || run.stdout != "published 1, refused 0\n" || run.stderr != "" {
			t.Errorf("%v: status %d, stdout %q, stderr %q", c.args, run.status, run.stdout, run.stderr)
		}
		records := published(t, b)
		if len(records) != 1 {
			t.Fatalf("%v: %d records", c.args, len(records))
		}
		event, err := schema.Decode(records[0].Value, testkit.Headers(records[0]))
		if err != nil || event.Conversation != c.want.Conversation || event.ClearRamble != c.want.ClearRamble {
			t.Errorf("%v: %+v, %v", c.args, event, err)
		}
		if string(records[0].Key) != c.want.Key() {
			t.Errorf("%v: key %q, want %q", c.args, records[0].Key, c.want.Key())
		}
		if wrapped := c.wrapping != schema.Bare; wrapped != (event.ID != "") || wrapped != (event.Source == publish.Source) || wrapped == event.Time.IsZero() {
			t.Errorf("%v: id %q, source %q, time %v", c.args, event.ID, event.Source, event.Time)
		}
		if isBinary := slices.ContainsFunc(records[0].Headers, func(h kgo.RecordHeader) bool { return h.Key == "ce_id" }); isBinary != (c.wrapping == schema.Binary) {
			t.Errorf("%v: headers %v", c.args, records[0].Headers)
		}
	}
}

func TestPublishWrongFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--brokers", "h:1", "--from", "alice"}, []string{"--to (To_Account): is empty"}},
		{[]string{"--brokers", "h:1", "--from", "a", "--to", "b", "--topic", "x.dead-letter"}, []string{"a topic with this ending holds dead letters"}},
		{[]string{"--brokers", "h:1", "--to", "alice"}, []string{"--from (From_Account): is empty"}},
		{[]string{"--brokers", "h:1", "--clear-ramble"}, []string{"--from (From_Account): is empty"}},
		{[]string{"--brokers", "h:1", "--type", "g2c"}, []string{"--from (From_Account): is empty"}},
		{[]string{"--from", strings.Repeat("x", 33), "--to", "b"}, []string{"--from (From_Account): is 33 bytes long", "--brokers (CONVDEL_BROKERS) is missing"}},
		{[]string{"--from", "a", "--to", "b", "--type", "3", "--cloud-event", "soap", "--topic", "?"}, []string{
			"--cloud-event", "--type is \"3\": must be c2c, g2c, 1 or 2", "--brokers (CONVDEL_BROKERS) is missing", `--topic (CONVDEL_TOPIC) is "?"`,
		}},
	} {
		run := invoke(t, nil, "", append([]string{"publish"}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(run.stderr), "\n")
		if run.status != exitUsage || run.stdout != "" || len(lines) != len(c.want) {
			t.Errorf("%v: status %d, stdout %q, stderr %q", c.args, run.status, run.stdout, run.stderr)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%v: line %q lacks %q", c.args, lines[i], want)
			}
		}
	}
}

// mixed is an input with every kind of line: lines 2, 5 and 7 are bad, line 3 is blank, line 4 ends as on Windows, and the
// last one has no line end.
func mixed() string {
	return `{"From_Account":"a1","Type":1,"To_Account":"b"}
{"From_Account":"a2","Type":"1","To_Account":"b"}

{"From_Account":"a4", "Type":2, "To_Account":"g", "ClearRamble":1, "Note":"unknown field"}` + "\r\n" +
		`not json
{"specversion":"1.0","type":"conversation.delete.requested","source":"s","id":"6","data":{"From_Account":"a6","Type":1,"To_Account":"b"}}
` + strings.Repeat("x", maxLine+1) + `
{"From_Account":"a8","Type":1,"To_Account":"b"}`
}

func TestPublishStandardInput(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	run := invoke(t, environment{"CONVDEL_BROKERS": b.address}, mixed(), "publish")
	if run.status != exitFailed || run.stdout != "published 4, refused 3\n" {
		t.Errorf("status %d, stdout %q", run.status, run.stdout)
	}
	lines := strings.Split(strings.TrimSpace(run.stderr), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "line 2: ") || !strings.Contains(lines[0], "Type: must be 1 (C2C) or 2 (G2C)") ||
		!strings.HasPrefix(lines[1], "line 5: ") || !strings.HasPrefix(lines[2], "line 7: is longer than") {
		t.Errorf("stderr %q", run.stderr)
	}
	input := strings.Split(mixed(), "\n")
	var got []string
	for _, r := range published(t, b) {
		event, err := schema.Decode(r.Value, testkit.Headers(r))
		if err != nil || string(r.Key) != event.Key() {
			t.Errorf("%s: key %q, %v", r.Value, r.Key, err)
		}
		if !slices.Contains(input, string(r.Value)) && !slices.Contains(input, string(r.Value)+"\r") {
			t.Errorf("published is not what was given: %s", r.Value)
		}
		got = append(got, event.From)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"a1", "a4", "a6", "a8"}) {
		t.Errorf("published %v", got)
	}
}

// TestPublishRefusesTheWrongKindOfID: a group's ID is no account, and a conversation of two has none.
func TestPublishRefusesTheWrongKindOfID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, kind, to, reason string }{
		{"alice", "1", "@TGS#1", "is a group's ID, and the type is C2C"},
		{"alice", "1", "@TGS#_community", "type is C2C"},
		{"alice", "1", "@TGS#_c@TOPIC#_t", "type is C2C"},
		{"alice", "1", "mine@TOPIC#_t", "type is C2C"},
		{"alice", "1", "@tgs#1", "type is C2C"},
		{"alice", "1", "GROUP@TGS#1", "type is C2C"},
		{"alice", "2", "GROUP@TGS#1", "begins with GROUP"},
		{"@TGS#1", "1", "bob", "is a group's ID: it must be the account"},
		{"@TGS#1", "2", "@TGS#2", "is a group's ID: it must be the account"},
		{"alice", "1", "@TIM#SYSTEM", "no conversation of the API"},
		{"alice", "2", "@TIM#SYSTEM", "no conversation of the API"},
		{"alice", "2", "@TGS#1", ""},
		{"alice", "2", "@TGS#_c@TOPIC#_t", ""},
		{"alice", "2", "my-group", ""},
		{"alice", "1", "GROUPIE", ""},
		{"GROUP", "2", "GROUP7", ""},
		{"alice", "1", "TGS#1", ""},
	} {
		value := fmt.Sprintf(`{"From_Account":%q,"Type":%s,"To_Account":%q}`, c.from, c.kind, c.to)
		letter := letterOf(1)
		exported, err := appendLine(nil, exportOf(&deadletter.Letter{DeadLetter: letter.DeadLetter, Value: []byte(value)}))
		if err != nil {
			t.Fatal(err)
		}
		for how, run := range map[string]invocation{
			"flags":  invoke(t, nil, "", "publish", "--dry-run", "--from", c.from, "--type", c.kind, "--to", c.to),
			"line":   invoke(t, nil, value, "publish", "--dry-run"),
			"cloud":  invoke(t, nil, value, "publish", "--dry-run", "--cloud-event", "binary"),
			"letter": invoke(t, nil, string(exported), "publish", "--dry-run"),
		} {
			refused := run.status == exitFailed || how == "flags" && run.status == exitUsage
			if refused != (c.reason != "") || !refused && run.status != exitDone || !strings.Contains(run.stderr, c.reason) || refused && run.stdout != "" {
				t.Errorf("%s by %s: %+v, want %q", value, how, run, c.reason)
			}
		}
	}
}

// TestPublishSaysThatThereIsNothing: a command that publishes nothing does not look like one that has done its work.
func TestPublishSaysThatThereIsNothing(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	for _, stdin := range []string{"", "\n", " \t\r\n\n", "\n\n  "} {
		for _, more := range [][]string{{"--brokers", b.address}, {"--dry-run"}, {"--strict", "--brokers", b.address}} {
			run := invoke(t, nil, stdin, append([]string{"publish"}, more...)...)
			if run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, "standard input has no event: nothing is published") {
				t.Errorf("%q %v: %+v", stdin, more, run)
			}
		}
	}
	run := invoke(t, nil, "# a comment\n", "publish", "--dry-run")
	if run.status != exitFailed || !strings.Contains(run.stderr, "line 1: ") || !strings.Contains(run.stderr, "would publish 0, refused 1") {
		t.Errorf("a comment: %+v", run)
	}
	// Flags of unset variables are no reason to read the input instead.
	run = invoke(t, nil, `{"From_Account":"a","Type":1,"To_Account":"b"}`, "publish", "--dry-run", "--from", "", "--to", "")
	if run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, "--from (From_Account): is empty") {
		t.Errorf("empty flags: %+v", run)
	}
}

func TestPublishStrictStopsAtTheFirstBadLine(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	run := invoke(t, nil, mixed(), "publish", "--strict", "--brokers", b.address)
	if run.status != exitFailed || run.stdout != "published 1, refused 1\n" ||
		!strings.Contains(run.stderr, "line 2: ") || !strings.Contains(run.stderr, "stopped at line 2") || strings.Contains(run.stderr, "line 5") {
		t.Errorf("status %d, stdout %q, stderr %q", run.status, run.stdout, run.stderr)
	}
	if records := published(t, b); len(records) != 1 || !strings.Contains(string(records[0].Value), `"a1"`) {
		t.Errorf("published %v", records)
	}
}

func TestPublishDryRunSendsNothing(t *testing.T) {
	t.Parallel()
	run := invoke(t, nil, mixed(), "publish", "--dry-run", "--cloud-event", "binary") // a dry run needs no brokers
	if run.status != exitFailed || !strings.HasSuffix(run.stderr, "would publish 4, refused 3\n") {
		t.Errorf("status %d, stderr %q", run.status, run.stderr)
	}
	lines := strings.Split(strings.TrimSpace(run.stdout), "\n")
	if len(lines) != 4 {
		t.Fatalf("stdout %q", run.stdout)
	}
	for _, line := range lines {
		var shown struct {
			Key     string
			Headers map[string]string
			Value   json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &shown); err != nil {
			t.Fatal(err)
		}
		var headers []schema.Header
		for key, value := range shown.Headers {
			headers = append(headers, schema.Header{Key: key, Value: []byte(value)})
		}
		event, err := schema.Decode(shown.Value, headers)
		if err != nil || event.Key() != shown.Key || event.ID == "" {
			t.Errorf("%s: %+v, %v", line, event, err)
		}
		if event.From == "a6" && (event.ID != "6" || event.Source != "s") {
			t.Errorf("%s: an event that had a name got another", line)
		}
	}
}

func TestPublishIsBatched(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	const n = 20_000
	var input strings.Builder
	for i := range n {
		fmt.Fprintf(&input, "{\"From_Account\":\"user-%d\",\"Type\":1,\"To_Account\":\"b\"}\n", i)
	}
	run := invoke(t, nil, input.String(), "publish", "--brokers", b.address)
	if run.status != exitDone || run.stdout != fmt.Sprintf("published %d, refused 0\n", n) {
		t.Errorf("status %d, stdout %q, stderr %q", run.status, run.stdout, run.stderr)
	}
	seen := map[string]bool{}
	for _, r := range published(t, b) {
		seen[string(r.Key)] = true
	}
	if len(seen) != n {
		t.Errorf("%d different records, want %d", len(seen), n)
	}
}

func TestPublishFailsToATopicThatIsNotThere(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	run := invoke(t, nil, mixed(), "publish", "--brokers", b.address, "--topic", "no.such.topic")
	if run.status != exitFailed || !strings.HasPrefix(run.stdout, "published 0, refused 2\n") ||
		!strings.Contains(run.stderr, "3 of 3 not published: write to topic no.such.topic: ") {
		t.Errorf("status %d, stdout %q, stderr %q", run.status, run.stdout, run.stderr)
	}
}

func TestPublishStopsBetweenBatches(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	stdin, input := io.Pipe()
	t.Cleanup(func() { _ = input.Close() }) // it ends the reader's goroutine
	p := start(t, nil, stdin, "publish", "--brokers", b.address)
	if _, err := io.WriteString(input, `{"From_Account":"a","Type":1,"To_Account":"b"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	await(t, "the line that has come in is published", func() bool { return len(published(t, b)) == 1 })
	if status := p.end(); status != exitFailed || p.stdout.String() != "published 1, refused 0\n" ||
		!strings.Contains(p.stderr.String(), errStopped.Error()) {
		t.Errorf("status %d, stdout %q, stderr %q", status, p.stdout.String(), p.stderr.String())
	}
}

func TestPublishReportsUnreadableInput(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	stdin, input := io.Pipe()
	p := start(t, nil, stdin, "publish", "--brokers", b.address)
	_ = input.CloseWithError(io.ErrUnexpectedEOF)
	<-p.done
	if p.status != exitFailed || !strings.Contains(p.stderr.String(), "read standard input: unexpected EOF") {
		t.Errorf("status %d, stderr %q", p.status, p.stderr.String())
	}
}
