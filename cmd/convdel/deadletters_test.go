package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/imclient"
	"convdel/internal/testkit"
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

// do runs a command of deadletters.
func (s *shelf) do(args ...string) invocation {
	s.t.Helper()
	return s.with("", append([]string{"deadletters"}, args...)...)
}

// with runs any command with an input.
func (s *shelf) with(stdin string, args ...string) invocation {
	s.t.Helper()
	return invoke(s.t, environment{"CONVDEL_BROKERS": s.address}, stdin, args...)
}

// letter is a dead letter of the topic of events, with its record.
type testLetter struct {
	schema.DeadLetter
	value  []byte
	source []schema.Header
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

// again is the letter of a letter's replay.
func (l testLetter) again(offset int64) testLetter {
	l.ReplayOf, l.Replays, l.Offset = l.ID(), l.Replays+1, offset
	return l
}

func classed(class schema.Class, code int) func(*testLetter) {
	return func(l *testLetter) { l.Class, l.Code = class, code }
}

func id(offset int64) string { return letterOf(offset).ID() }

// put writes letters, in this order.
func (s *shelf) put(letters ...testLetter) {
	s.t.Helper()
	for _, l := range letters {
		r := &kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(l.ID()), Value: l.value}
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

// open lists the offsets of the letters that are open.
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

// shows fails unless a run ended well and its standard output contains each of the texts.
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

// mixedShelf has a letter of each class, one that replaces another, and what is not convdel's.
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

func TestLettersListTable(t *testing.T) {
	t.Parallel()
	run := mixedShelf(t).do("list")
	shows(t, run,
		"ID AGE CLASS CODE ATTEMPTS CONVERSATION ERROR",
		id(2)+" 1h0m permanent 50001 6 C2C user2 → friend im api: code 50004",
		id(4)+" 1h0m undecodable - 6 - not an event",
		id(5)+" 1h0m exhausted 50004 6 +1 replay C2C user5 → friend",
		"listed 5, all that are open in "+schema.DeadLetterTopic,
		"2 records are of the topic not convdel's",
	)
	if strings.Contains(run.stdout, id(1)) {
		t.Errorf("a letter whose replay failed again is listed twice:\n%s", run.stdout)
	}
}

func TestLettersListFitsTheTerminal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1, func(l *testLetter) { l.Error = strings.Repeat("很长的错误", 60) }))
	for width, lines := range map[int]int{80: 4, 100: 4, 160: 2} { // where there is little room, two for each letter
		run := invoke(t, environment{"CONVDEL_BROKERS": s.address, "COLUMNS": strconv.Itoa(width)}, "", "deadletters", "list")
		table, _, _ := strings.Cut(run.stdout, "\n\n")
		if n := strings.Count(table, "\n") + 1; n != lines {
			t.Errorf("width %d: %d lines:\n%s", width, n, table)
		}
		if !strings.HasSuffix(table, "…") {
			t.Errorf("width %d: the error is not cut:\n%s", width, table)
		}
		for line := range strings.SplitSeq(table, "\n") {
			if cells(line) > width {
				t.Errorf("width %d: a line takes %d columns: %q", width, cells(line), line)
			}
		}
	}
}

func TestLettersListForPrograms(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	var whole struct {
		Letters                []listedLetter
		Open, Foreign, Records int
	}
	run := s.do("list", "--format", "json", "--class", "permanent")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Letters) != 1 || whole.Open != 5 || whole.Foreign != 2 || whole.Records != 8 {
		t.Fatalf("%v: %s", err, run.stdout)
	}
	if l := whole.Letters[0]; l.ID != id(2) || l.Code != 50001 || l.From != "user2" || l.To != "friend" || l.Type != "C2C" ||
		l.AgeSeconds < 3600 || l.AgeSeconds > 3660 || l.Attempts != 6 || time.Since(l.Written) > time.Minute {
		t.Errorf("letter %+v", l)
	}
	run = s.do("list", "--format", "json", "--account", "nobody")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || whole.Letters == nil || len(whole.Letters) != 0 {
		t.Errorf("%v: %s", err, run.stdout)
	}
	run = s.do("list", "--format", "ndjson")
	if strings.Count(run.stdout, "\n") != 5 || !strings.Contains(run.stderr, "listed 5") {
		t.Errorf("ndjson: %+v", run)
	}
}

func TestLettersFilters(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	for args, want := range map[string]string{
		"--class permanent,expired":                  "2 3",
		"--class permanent --class undecodable":      "2 4",
		"--code 50001,50004":                         "2 5 6",
		"--code 0":                                   "3 4",
		"--account user3":                            "3",
		"--account friend --limit 1":                 "2",
		"--since 2h":                                 "2 3 4 5 6",
		"--since 1d --until 30m":                     "",
		"--until 2001-02-03T04:05:06Z":               "",
		"--since 2001-02-03T04:05:06+01:00":          "2 3 4 5 6",
		"--id " + id(4) + "," + id(1) + "," + id(5):  "4 5",
		"--class exhausted --code 50001 --since 10d": "",
	} {
		run := s.do(append([]string{"list", "--format", "ndjson"}, strings.Fields(args)...)...)
		var got []string
		for line := range strings.Lines(run.stdout) {
			var l listedLetter
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, l.ID[strings.LastIndexByte(l.ID, '/')+1:])
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want || run.status != exitDone {
			t.Errorf("%s: %v, want %s; stderr %q", args, got, want, run.stderr)
		}
	}
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
		"discard --reason= --yes":                {"--reason is missing"},
		"export --topic ?":                       {"--topic (CONVDEL_TOPIC) is \"?\"", "--dead-letter-topic (CONVDEL_DEAD_LETTER_TOPIC)"},
		"export --dead-letter-topic x --topic x": {"must differ from --topic"},
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

func TestLettersOfAnEmptyOrMissingTopic(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for _, args := range [][]string{{"list"}, {"list", "--summary"}} {
		shows(t, s.do(args...), "no open dead letters in "+schema.DeadLetterTopic)
	}
	shows(t, s.do("replay", "--yes"), "Nothing to replay: 0 open dead letters")
	if run := s.do("export"); run.status != exitDone || run.stdout != "" || !strings.Contains(run.stderr, "no open dead letters") {
		t.Errorf("export: %+v", run)
	}
	for _, args := range [][]string{{"list"}, {"export"}, {"replay"}, {"discard", "--reason", "x"}, {"show", id(1)}} {
		run := s.do(append(args, "--dead-letter-topic", "no.such.topic")...)
		if run.status != exitFailed || run.stdout != "" || !strings.Contains(run.stderr, "no.such.topic") || strings.Count(run.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", args, run)
		}
	}
}

func TestLettersSummary(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	run := s.do("list", "--summary", "--since", "6h")
	shows(t, run,
		"counted 5, all that are open", "2 records are",
		"2 letters EXHAUSTED, code 50004", "1 letter PERMANENT, code 50001", "1 letter UNDECODABLE, code -",
		"meaning the account was never imported into the app", "newest "+id(2), "(0s ago)",
		"next convdel deadletters discard --brokers="+s.address+" --class=permanent --code=50001 --since=6h --reason 'WHY'",
		"next convdel deadletters replay --brokers="+s.address+" --class=exhausted --code=50004 --since=6h",
		"next convdel deadletters export --brokers="+s.address+" --class=undecodable --code=0 --since=6h > letters.ndjson",
		"next convdel deadletters discard --brokers="+s.address+" --class=expired",
	)
	if strings.Index(run.stdout, "EXHAUSTED") > strings.Index(run.stdout, "PERMANENT") {
		t.Error("the largest group is not first")
	}
	var whole letterSummary
	run = s.do("list", "--summary", "--format", "json", "--code", "50004")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Groups) != 1 || whole.Selected != 2 || whole.Open != 5 ||
		whole.Foreign != 2 || whole.Groups[0].Letters != 2 || whole.Groups[0].Advice == "" || whole.Groups[0].First.After(whole.Groups[0].Last) {
		t.Errorf("%v: %s", err, run.stdout)
	}
	if run = s.do("list", "--summary", "--format", "ndjson"); strings.Count(run.stdout, "\n") != 4 {
		t.Errorf("ndjson: %s", run.stdout)
	}
}

func TestAdviceIsForSettledTimes(t *testing.T) {
	t.Parallel()
	known := 0
	for _, class := range schema.Classes() {
		for code := range 80_000 {
			meaning, advice := explain(class, code)
			if meaning == "" || advice == "" || strings.Contains(advice, "tried again") || strings.Contains(meaning, "tried again") {
				t.Fatalf("%s %d: %q, %q", class, code, meaning, advice)
			}
			if !strings.Contains(advice, "replay") && !strings.Contains(advice, "discard") {
				t.Fatalf("%s %d: %q does not end the letter", class, code, advice)
			}
			if plain, _ := imclient.Explain(code); class == schema.ClassExhausted && code != 0 && plain == meaning {
				known++
			}
		}
	}
	if known != 79_999 {
		t.Errorf("the meaning of %d codes is the API's", known)
	}
}

func TestLettersWatch(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1))
	w := start(t, environment{"CONVDEL_BROKERS": s.address}, strings.NewReader(""), "deadletters", "list", "--watch", "--code", "50004")
	await(t, "what is there", func() bool { return strings.Contains(w.stdout.String(), id(1)) })
	s.put(letterOf(2), letterOf(3, classed(schema.ClassPermanent, 50001)), letterOf(4))
	await(t, "what comes", func() bool {
		return strings.Contains(w.stdout.String(), id(2)) && strings.Contains(w.stdout.String(), id(4))
	})
	if status := w.end(); status != exitDone || strings.Contains(w.stdout.String(), id(3)) || strings.Count(w.stdout.String(), "CLASS") != 1 {
		t.Errorf("status %d", status)
	}
}

func TestLettersShow(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	at := time.Now().Add(-90 * time.Minute)
	first := letterOf(7, func(l *testLetter) {
		l.FirstAttempt, l.LastAttempt, l.Replays, l.ReplayOf, l.Offset = at, at.Add(30*time.Minute), 1, id(99), 1
		l.Timestamp = time.Now().Add(-50 * time.Hour)
		l.source = []schema.Header{{Key: "trace", Value: []byte{0, 1}}, {Key: "null"}, {Key: "trace", Value: []byte("again")}}
	})
	s.put(first, first.again(7), letterOf(8, func(l *testLetter) { l.Replays, l.ReplayOf = 1, id(1) }))
	run := s.do("show", id(7))
	shows(t, run,
		"Dead letter "+id(7), "class exhausted", "code 50004", "error im api: code 50004", "meaning internal error of the API",
		"do replay when it is over", "attempts 6", "replays 2; this letter replaces "+id(1)+", settled along with it", "given up by group convdel",
		"From_Account user7", "Type 1 (C2C)", "To_Account friend", "ClearRamble false",
		"published", "2d2h ago", "first attempt "+stamp(at)+" 1h30m ago", "last attempt", "1h0m ago", "dead-lettered",
		`key "key7"`, `header "trace" = "\x00\x01"`, `header "null" = null`, `header "trace" = "again"`,
		"value 55 bytes "+string(goodValue(7)),
		"convdel deadletters replay --brokers="+s.address+" --max-age 0 --id "+id(7), "come back to life",
		"convdel deadletters discard --brokers="+s.address+" --reason 'WHY' --id "+id(7),
	)
	run = s.do("show", id(1))
	if run.status != exitFailed || run.stdout != "" || !strings.Contains(run.stderr, "failed again, as "+id(7)) {
		t.Errorf("a letter that was replaced: %+v", run)
	}
	shows(t, s.do("show", id(8)), "replays 1; its record says that it is one of "+id(1)+", which is settled or was another record")
	if run := s.do("show", id(99)); run.status != exitFailed || !strings.Contains(run.stderr, "not an open dead letter") {
		t.Errorf("a letter that nobody has: %+v", run)
	}
	s.produce(&kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(id(1))})
	run = s.do("show", id(1))
	if run.status != exitFailed || !strings.Contains(run.stderr, "failed again, as "+id(7)) && !strings.Contains(run.stderr, "failed again, as "+id(8)) {
		t.Errorf("a letter that was replayed: %+v", run)
	}
	run = s.do("show", id(98))
	if run.status != exitFailed || run.stdout != "" || strings.Count(run.stderr, "\n") != 1 || !strings.Contains(run.stderr, "not an open dead letter") {
		t.Errorf("no such letter: %+v", run)
	}
}

func TestLettersShowWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	undecodable := func(value []byte, null bool) func(*testLetter) {
		return func(l *testLetter) {
			l.Class, l.Code, l.value, l.NullValue, l.Key = schema.ClassUndecodable, 0, value, null, nil
		}
	}
	s.put(
		letterOf(1, undecodable([]byte("\xff\x00binary"), false)), letterOf(2, undecodable([]byte("hello, text\nof lines"), false)),
		letterOf(3, undecodable([]byte{}, true)), letterOf(4, undecodable([]byte{}, false)),
		letterOf(5, undecodable([]byte(strings.Repeat("long, ", 50_000)), false)),
	)
	shows(t, s.do("show", id(1)), "No event why", "value 8 bytes 00000000 ff 00 62 69", "|..binary|", "key null",
		"convdel deadletters export --brokers="+s.address+" --id "+id(1), "convdel publish --brokers="+s.address)
	shows(t, s.do("show", id(2)), "hello, text of lines 00000000 68 65 6c 6c 6f")
	shows(t, s.do("show", id(3)), "why not an event: the value is null", "value null")
	shows(t, s.do("show", id(4)), "value 0 bytes")
	if run := s.do("show", id(5)); len(run.stdout) > 20_000 || !strings.Contains(run.stdout, "295904 bytes more") {
		t.Errorf("%d bytes shown", len(run.stdout))
	}
}

// TestNothingCommandsTheTerminal shows letters that are made of control characters wherever they can be.
func TestNothingCommandsTheTerminal(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	evil := "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\x7f\r\n\x00"
	s.put(letterOf(1, func(l *testLetter) {
		l.Error, l.Group, l.Key, l.value = evil, evil, []byte(evil), []byte(evil)
		l.source = []schema.Header{{Key: evil, Value: []byte(evil)}, {Key: "raw\xff", Value: []byte("\x9b31m\xff")}}
	}), letterOf(2, func(l *testLetter) {
		value := map[string]any{"specversion": "1.0", "type": schema.EventType, "source": "s\u202e", "id": "\u202ei", "data": json.RawMessage(goodValue(2))}
		l.value, _ = json.Marshal(value)
	}))
	s.produce(&kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(evil), Value: []byte(evil)})
	exported := s.do("export").stdout
	for name, run := range map[string]invocation{
		"list":    s.do("list"),
		"json":    s.do("list", "--format", "json"),
		"summary": s.do("list", "--summary"),
		"show":    s.do("show", id(1)),
		"cloud":   s.do("show", id(2)),
		"export":  s.do("export"),
		"replay":  s.do("replay", "--account", evil),
		"wrong":   s.do("list", "--class", evil),
		"usage":   s.do("list", evil),
		"unknown": s.do("show", evil),
		"dry run": s.with(strings.ReplaceAll(exported, `"value":`, `"value":1,"x":`)+exported, "publish", "--dry-run"),
	} {
		for _, r := range run.stdout + run.stderr {
			if r != '\n' && visible(string(r)) != string(r) {
				t.Errorf("%s lets %U through: %q", name, r, run.stdout+run.stderr)
				break
			}
		}
	}
	if !strings.Contains(exported, `\u001b]0;owned\u0007`) || !strings.Contains(exported, `\u009b31m\u202e\u007f`) {
		t.Errorf("export has lost something: %s", exported)
	}
}

func TestLettersPlanChangesNothing(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	s.put(letterOf(8, func(l *testLetter) { l.Timestamp = time.Now().Add(-30 * time.Hour) }))
	run := s.do("replay", "--rate", "0.5")
	shows(t, run, "To replay: 2 of 6 open dead letters in "+schema.DeadLetterTopic+", to "+schema.Topic, "no filter is given",
		"1 exhausted", "1 expired", "(1h0m ago)", "takes 4s at --rate 0.5; then the service needs less than 1s of its 200 calls a second",
		"2 permanent or undecodable, and not named by class or id",
		"1 older than the age allowed (--max-age is 24h; 0 = any)", "1 of another topic (--topic is "+schema.Topic+")",
		"2 records are", "Nothing has been changed. Add --yes to replay.")
	shows(t, s.do("replay", "--class", "permanent"), "To replay: 1 of 6", "1 permanent")
	shows(t, s.do("replay", "--max-age", "2d", "--limit", "1", "--code", "50004"), "To replay: 1 of 6")
	shows(t, s.do("discard", "--reason", "x"), "To discard: 5 of 6", "1 of another topic", "Add --yes to discard.")
	s.wantOpen(2, 3, 4, 5, 6, 8)
	if n := len(published(t, s.demoBroker)); n != 0 {
		t.Errorf("%d records published", n)
	}
}

func TestLettersReplay(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	run := s.do("replay", "--yes")
	shows(t, run, "replayed 2 of 2")
	if !strings.Contains(run.stderr, "replayed 1 of 2\n") || strings.Contains(run.stderr, "2 of 2") {
		t.Errorf("stderr %q", run.stderr)
	}
	s.wantOpen(2, 4, 6) // and 1, which 5 had replaced, has not come back
	records := published(t, s.demoBroker)
	for _, r := range records {
		origin, ok := schema.Origin(testkit.Headers(r))
		if !ok || (origin.ID() != id(3) && origin.ID() != id(5)) || string(r.Value) != string(goodValue(origin.Offset)) ||
			string(r.Key) != fmt.Sprint("key", origin.Offset) {
			t.Errorf("published %s %s %v", r.Key, r.Value, r.Headers)
		}
	}
	if len(records) != 2 {
		t.Errorf("%d records published", len(records))
	}
	shows(t, s.do("replay", "--yes"), "Nothing to replay")
}

func TestLettersDiscard(t *testing.T) {
	t.Parallel()
	s := mixedShelf(t)
	shows(t, s.do("discard", "--reason", "asked for by nobody", "--class", "permanent,undecodable", "--yes"), "discarded 2 of 2")
	s.wantOpen(3, 5, 6)
	ends, err := s.ends(t.Context(), schema.DeadLetterTopic)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.read(t.Context(), schema.DeadLetterTopic, offsets{}, ends)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	for _, r := range records {
		if r.Value == nil {
			for _, h := range r.Headers {
				if h.Key == schema.HeaderReason && string(h.Value) == "asked for by nobody" {
					reasons++
				}
			}
		}
	}
	if reasons != 2 || len(published(t, s.demoBroker)) != 0 {
		t.Errorf("%d reasons", reasons)
	}
}

func TestLettersReplayStopsBetweenTwo(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2), letterOf(3))
	r := start(t, environment{"CONVDEL_BROKERS": s.address}, strings.NewReader(""), "deadletters", "replay", "--yes", "--rate", "0.01")
	await(t, "the first letter is replayed", func() bool { return strings.Contains(r.stderr.String(), "replayed 1 of 3") })
	if status := r.end(); status != exitFailed || !strings.HasSuffix(r.stdout.String(), "replayed 1 of 3\n") ||
		!strings.Contains(r.stderr.String(), "convdel: stopped before the end: 1 replayed, 2 left; the same command goes on\n") {
		t.Errorf("status %d", status)
	}
	if n := len(s.open()); n != 2 {
		t.Errorf("%d letters open", n)
	}
	shows(t, s.do("replay", "--yes"), "replayed 2 of 2")
	s.wantOpen()
	if n := len(published(t, s.demoBroker)); n != 3 {
		t.Errorf("%d records published", n)
	}
}

func TestLettersReplaySaysHowFarItCame(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1, func(l *testLetter) { l.Topic = "gone.topic" }))
	run := s.do("replay", "--yes", "--topic", "gone.topic", "--dead-letter-topic", schema.DeadLetterTopic)
	if run.status != exitFailed || !strings.Contains(run.stdout, "replayed 0 of 1") ||
		!strings.Contains(run.stderr, "0 replayed, 1 left; the same command goes on: dead letter gone.topic/3/1: not settled: ") {
		t.Errorf("%+v", run)
	}
}

func TestSettlingSaysWhatChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for done, want := range map[int]string{1: "somebody else has settled them", 2: "replayed 2 of 2\n"} {
		var out testkit.Buffer
		s := &settling{con: &console{stdout: &out, stderr: io.Discard}, past: "replayed"}
		if err := s.outcome(t.Context(), progressOf{planned: 2, done: done}, nil); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%d of 2: %v, %q", done, err, out.String())
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
		run := invoke(t, env, "", words...) // which looks for the password in what comes out
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

// TestRemediesAreForEveryReason holds the plan's words against the library's reasons.
func TestRemediesAreForEveryReason(t *testing.T) {
	t.Parallel()
	s := &settling{maxAge: "24h", cfg: tableConfig{cluster: cluster.Config{}, topic: "x"}}
	for _, why := range []deadletter.Left{deadletter.LeftTooOld, deadletter.LeftNotNamed, deadletter.LeftOtherTopic, deadletter.LeftOmitted, deadletter.LeftBatch} {
		if s.remedy(why) == "" {
			t.Errorf("nothing said about %q", why)
		}
	}
}
