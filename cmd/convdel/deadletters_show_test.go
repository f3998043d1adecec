package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

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
	if run.status != exitDone || !strings.Contains(run.stdout, "failed again, as "+id(7)) && !strings.Contains(run.stdout, "failed again, as "+id(8)) {
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

// TestNothingCommandsTheTerminal shows letters with control characters in every part that may hold any.
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

// TestLettersShowFormats: a letter as JSON, open and then settled.
func TestLettersShowFormats(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1))
	for _, format := range []string{"json", "ndjson"} {
		row := readJSON[shownLetter](t, s.do("show", id(1), "--format", format).stdout)
		if row.ID != id(1) || row.State != "open" || row.Meaning == "" || row.Do == "" || row.Letter == nil || row.Letter.Value != string(goodValue(1)) {
			t.Errorf("%+v", row)
		}
	}
	if run := s.do("discard", "--id", id(1), "--reason", "old", "--by", "ops", "--yes"); run.status != exitDone {
		t.Fatal(run.stderr)
	}
	row := readJSON[shownLetter](t, s.do("show", id(1), "--format", "json").stdout)
	if row.State != "settled" || row.How != settledDiscarded || row.By != "ops" || row.Reason != "old" || row.Settled.IsZero() || row.Letter == nil || row.Do != "" {
		t.Errorf("%+v", row)
	}
	if run := s.do("show", id(1), "--format", "xml"); run.status != exitUsage {
		t.Errorf("status %d", run.status)
	}
}
