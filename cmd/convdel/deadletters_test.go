package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

// shelf is a broker with a dead-letter topic.
type shelf struct {
	*demoBroker
	t *testing.T
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{demoBroker: newBroker(t), t: t}
	if _, err := s.admin.CreateTopic(t.Context(), 2, 1, nil, schema.DeadLetterTopic); err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs a deadletters command.
func (s *shelf) do(args ...string) invocation {
	s.t.Helper()
	return s.with("", append([]string{"deadletters"}, args...)...)
}

// with runs any command with a standard input.
func (s *shelf) with(stdin string, args ...string) invocation {
	s.t.Helper()
	return invoke(s.t, environment{"CONVDEL_BROKERS": s.address}, stdin, args...)
}

// testLetter is a dead letter of the topic of events, with its record.
type testLetter struct {
	schema.DeadLetter
	value  []byte
	source []schema.Header
	// written is when it is written; now by default.
	written time.Time
}

func goodValue(n int64) []byte {
	return fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend"}`, n)
}

func letterOf(offset int64, edit ...func(*testLetter)) testLetter {
	l := testLetter{DeadLetter: schema.DeadLetter{
		Class: schema.ClassExhausted, Code: 50004, Error: "im api: code 50004", Attempts: 6, Topic: schema.Topic, Partition: 3,
		Offset: offset, Timestamp: time.Now().Add(-time.Hour), Key: fmt.Append(nil, "key", offset), Group: "convdel",
	}, value: goodValue(offset)}
	for _, e := range edit {
		e(&l)
	}
	return l
}

// again returns the dead letter of a letter's replay.
func (l testLetter) again(offset int64) testLetter {
	l.ReplayOf, l.Replays, l.Offset = l.ID(), l.Replays+1, offset
	return l
}

func classed(class schema.Class, code int) func(*testLetter) {
	return func(l *testLetter) { l.Class, l.Code = class, code }
}

func id(offset int64) string { return letterOf(offset).ID() }

// put writes letters in this order.
func (s *shelf) put(letters ...testLetter) {
	s.t.Helper()
	for _, l := range letters {
		r := &kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(l.ID()), Value: l.value, Timestamp: l.written}
		for _, h := range l.Headers(l.source) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.produce(r)
	}
}

func (s *shelf) produce(r *kgo.Record) {
	s.t.Helper()
	if err := s.client.ProduceSync(s.t.Context(), r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// open lists the offsets of the open letters.
func (s *shelf) open() []int64 {
	s.t.Helper()
	run := s.do("list", "--format", "ndjson")
	if run.status != exitDone {
		s.t.Fatalf("list: %+v", run)
	}
	var offsets []int64
	for line := range strings.Lines(run.stdout) {
		var l struct{ ID string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			s.t.Fatal(err)
		}
		_, _, offset, err := schema.ParseID(l.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	return offsets
}

func (s *shelf) wantOpen(want ...int64) {
	s.t.Helper()
	if got := s.open(); !slices.Equal(got, want) {
		s.t.Errorf("open are %v, want %v", got, want)
	}
}

// shows fails the test unless a run ended with status 0 and its standard output contains each of the texts.
func shows(t *testing.T, run invocation, texts ...string) {
	t.Helper()
	if run.status != exitDone {
		t.Errorf("status %d, stderr %q", run.status, run.stderr)
	}
	flat := strings.Join(strings.Fields(run.stdout), " ")
	for _, text := range texts {
		if !strings.Contains(flat, text) {
			t.Errorf("standard output lacks %q:\n%s", text, run.stdout)
		}
	}
}

// mixedShelf has a letter of each class, a letter that replaces another one, and other programs' records.
func mixedShelf(t *testing.T) *shelf {
	t.Helper()
	s := newShelf(t)
	failed := letterOf(5, func(l *testLetter) { l.Offset = 1 })
	s.put(
		failed, letterOf(2, classed(schema.ClassPermanent, 50001)), letterOf(3, classed(schema.ClassExpired, 0)),
		letterOf(4, classed(schema.ClassUndecodable, 0), func(l *testLetter) { l.value, l.Error = []byte("\xff\x00\x1b[31m"), "not an event" }),
		failed.again(5),
		letterOf(6, func(l *testLetter) { l.Topic = "other.topic" }),
	)
	s.produce(&kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte("another tool's"), Value: []byte("x")})
	s.produce(&kgo.Record{Topic: schema.DeadLetterTopic, Value: []byte("no key")})
	return s
}

func TestLettersWrongFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][]string{
		"list --class frob --code x --since yesterday --limit=-1": {"--limit is \"-1\"", "--class is \"frob\"", "--code is \"x\"", "--since is \"yesterday\""},
		"list --id frob":                                     {"--id is \"frob\": must be TOPIC/PARTITION/OFFSET"},
		"list --since 1h --until 2h":                         {"--until is \"2h\": must be later than --since"},
		"list --format xml":                                  {"--format is \"xml\": must be one of table, json, ndjson"},
		"list --watch --format json":                         {"--watch is \"true\": not with --format json"},
		"list --watch --summary --limit 3":                   {"not with --summary", "not with --limit"},
		"discard --reason x --yes --class= --code=50001,":    {"--class is missing", "--code is missing"},
		"discard --reason x --yes --account= --since= --id=": {"--account is missing", "--since is missing", "--id is \"\""},
		"show frob":                              {"ID is \"frob\": must be TOPIC/PARTITION/OFFSET"},
		"replay --max-age 9z --rate=-1":          {"--max-age is \"9z\"", "--rate is \"-1\""},
		"replay --rate NaN --calls-per-second x": {"--rate is \"NaN\"", "--calls-per-second (CONVDEL_CALLS_PER_SECOND)"},
		"replay --max-age=-1h":                   {"--max-age is \"-1h\""},
		"discard":                                {"--reason is missing"},
		"discard --reason= --yes":                {"--reason is missing", "settling takes --all as well"},
		"export --topic ?":                       {"--topic (CONVDEL_TOPIC) is \"?\"", "--dead-letter-topic (CONVDEL_DEAD_LETTER_TOPIC)"},
		"export --dead-letter-topic x --topic x": {"must differ from --topic"},
		"list --topic x.dead-letter":             {"--topic (CONVDEL_TOPIC) is \"x.dead-letter\": a topic with this ending holds dead letters"},
	} {
		run := invoke(t, environment{"CONVDEL_BROKERS": "h:1"}, "", append([]string{"deadletters"}, strings.Fields(args)...)...)
		lines := strings.Split(strings.TrimSpace(run.stderr), "\n")
		if run.status != exitUsage || run.stdout != "" || len(lines) != len(want) {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, run.status, run.stdout, run.stderr)
		}
		for _, text := range want {
			if !strings.Contains(run.stderr, text) {
				t.Errorf("%s: %q lacks %q", args, run.stderr, text)
			}
		}
	}
}

func TestLettersPasswordStaysSecret(t *testing.T) {
	t.Parallel()
	address := secureBroker(t, "PLAIN", nil)
	env := environment{"CONVDEL_BROKERS": address, "CONVDEL_KAFKA_PASSWORD": testPassword}
	args := []string{"--kafka-sasl", "plain", "--kafka-username", "service"}
	for _, command := range []string{"list", "export", "replay", "list --summary", "show " + id(1), "discard --reason x"} {
		words := append(append([]string{"deadletters"}, strings.Fields(command)...), args...)
		run := invoke(t, env, "", words...) // invoke looks for the password in the output
		if run.status != exitFailed || !strings.Contains(run.stderr, schema.DeadLetterTopic) {
			t.Errorf("%s: %+v", command, run)
		}
	}
	settings := tableSettings{
		brokerSettings:   brokerSettings{Brokers: "h:1", Topic: schema.Topic},
		securitySettings: securitySettings{TLS: "false", SASL: "plain", Username: "it's me"},
	}
	if got := settings.arguments(schema.Topic); got != ` --brokers=h:1 --kafka-sasl=plain --kafka-username='it'\''s me'` {
		t.Errorf("command line %q", got)
	}
}
