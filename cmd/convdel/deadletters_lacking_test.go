package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

func lacking(event []byte) func(*testLetter) {
	return func(l *testLetter) {
		l.Omitted = &schema.Omitted{Why: "its value is over 8388608 bytes\x1b[2J; not read", Size: 209_715_200, SHA256: strings.Repeat("0a", 32)}
		l.Event, l.value = event, []byte{}
		if event == nil {
			l.Class, l.Code = schema.ClassUndecodable, 0
		}
	}
}

func batched(first, last int64, raw []byte) func(*testLetter) {
	return func(l *testLetter) {
		l.Class, l.Code, l.Key, l.Batch, l.value = schema.ClassUndecodable, 0, nil, &schema.Batch{First: first, Last: last}, raw
	}
}

// lackingShelf has dead letters without their record's value, with and without their event, and batches, with and without
// their bytes.
func lackingShelf(t *testing.T) *shelf {
	t.Helper()
	s := newShelf(t)
	s.put(letterOf(1, lacking(goodValue(71))), letterOf(2, lacking(nil)), letterOf(3, batched(3, 9, []byte("\x00raw\xff"))),
		letterOf(13, batched(13, 19, []byte{}), func(l *testLetter) {
			l.Omitted = &schema.Omitted{Why: "too large", Size: 1, SHA256: strings.Repeat("0", 64)}
		}),
		letterOf(4))
	return s
}

func TestLettersThatLackTheirRecordAreShown(t *testing.T) {
	t.Parallel()
	s := lackingShelf(t)
	shows(t, s.do("list"), id(1)+" 1h0m exhausted 50004 6 C2C user71 → friend", id(2)+" 1h0m undecodable - 6 - ",
		id(3)+" 1h0m undecodable - 6 batch, offsets 3 to 9", id(13)+" 1h0m undecodable - 6 batch, offsets 13 to 19")
	shows(t, s.do("show", id(1)), "lacks its record's value; the event is kept, and a replay publishes that", `why its value is over 8388608 bytes [2J; not read`,
		"omitted 209715200 bytes, sha256 0a0a", "From_Account user71", "value not in the letter", "convdel deadletters replay",
		"kcat -C -b "+s.address+" -t "+schema.Topic+" -p 3 -o 1 -c 1 | head -c 209715200 > value", "--partition 3 --offset 1 --max-messages 1")
	run := s.do("show", id(2))
	shows(t, run, "lacks its record's value; no event is known of it, so it can't be replayed", "No event", "convdel deadletters discard")
	if strings.Contains(run.stdout, "deadletters replay") || strings.Contains(run.stdout, "Mend it") {
		t.Errorf("show offers what can't be done:\n%s", run.stdout)
	}
	run = s.do("show", id(3))
	shows(t, run, "stands for a batch that can't be read: offsets 3 to 9", "| base64 -d > batch.bin", "00000000 00 72 61 77 ff")
	if strings.Contains(run.stdout, "deadletters replay") {
		t.Errorf("show offers to replay a batch:\n%s", run.stdout)
	}
	shows(t, s.do("show", id(13)), "stands for a batch", "why too large", "kafka-dump-log.sh", schema.Topic+"-3/")
	var whole struct{ Letters []listedLetter }
	run = s.do("list", "--format", "json")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Letters) != 5 {
		t.Fatalf("%v: %s", err, run.stdout)
	}
	for _, l := range whole.Letters {
		if lacks := l.Omitted != nil || l.Batch != nil; lacks == (l.ID == id(4)) {
			t.Errorf("letter %+v", l)
		}
	}
}

func TestLettersThatLackTheirRecordAreReplayedOrLeftAlone(t *testing.T) {
	t.Parallel()
	s := lackingShelf(t)
	for _, args := range [][]string{{"replay"}, {"replay", "--class", "exhausted,undecodable"}} {
		shows(t, s.do(args...), "To replay: 2 of 5", "2 batches that can't be read (show says", "1 without their record's value, and no event is known (show says")
	}
	shows(t, s.do("replay", "--class", "exhausted,undecodable", "--yes"), "replayed 2 of 2")
	s.wantOpen(2, 3, 13)
	for _, r := range published(t, s.demoBroker) {
		origin, _ := schema.Origin(testkit.Headers(r))
		want := map[int64]string{1: string(goodValue(71)), 4: string(goodValue(4))}[origin.Offset]
		if string(r.Value) != want {
			t.Errorf("published %q of %+v", r.Value, origin)
		}
	}
	shows(t, s.do("discard", "--class", "undecodable", "--reason", "looked into", "--yes"), "discarded 3 of 3")
	s.wantOpen()
}

// TestExportedLettersThatLackTheirRecord: publish names each line that it does not publish, by number and ID, and publishes
// the others.
func TestExportedLettersThatLackTheirRecord(t *testing.T) {
	t.Parallel()
	s := lackingShelf(t)
	exported := s.do("export").stdout
	if strings.Count(exported, "\n") != 5 || !strings.Contains(exported, `"omitted":{"why":"its value is over 8388608 bytes [2J; not read","size":209715200,"sha256":"0a0a`) ||
		!strings.Contains(exported, `"batch":{"first":3,"last":9}`) || !strings.Contains(exported, `"event":"{\"From_Account\":\"user71\"`) {
		t.Fatalf("exported:\n%s", exported)
	}
	run := s.with(exported, "publish")
	if run.status != exitFailed || run.stdout != "published 2, refused 3\n" {
		t.Errorf("%+v", run)
	}
	said := slices.Collect(strings.Lines(run.stderr))
	if len(said) != 3 {
		t.Errorf("said %q", said)
	}
	for line := range strings.Lines(exported) {
		var l exportedLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		refused := slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, " "+l.ID+" can't be replayed: it") })
		if refused != (l.Batch != nil || l.Omitted != nil && l.Event == "") {
			t.Errorf("%s: said %q", l.ID, said)
		}
	}
	if n := len(published(t, s.demoBroker)); n != 2 {
		t.Errorf("%d records published", n)
	}
	// Mend a line: its value was found in the topic of events.
	mended := edited(t, strings.Split(exported, "\n")[1], func(line map[string]any) { line["value"] = string(goodValue(9)) })
	if run := s.with(mended, "publish"); run.status != exitFailed || !strings.Contains(run.stderr, "value is given beside omitted") {
		t.Errorf("%+v", run)
	}
	mended = edited(t, mended, func(line map[string]any) { delete(line, "omitted") })
	if run := s.with(mended, "publish"); run.status != exitDone || run.stdout != "published 1, refused 0\n" {
		t.Errorf("%+v", run)
	}
}

// limit bounds the size of records in the topic of events.
func (s *shelf) limit(bytes string) {
	s.t.Helper()
	if _, err := s.admin.AlterTopicConfigs(s.t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &bytes}}, schema.Topic); err != nil {
		s.t.Fatal(err)
	}
}

func oversize(l *testLetter) {
	l.source = []schema.Header{{Key: "large", Value: bytes.Repeat([]byte("x"), 9000)}}
}

// TestOneOversizeLetterStopsNothing: neither a replay nor publish stops at a record that is too large. It is reported by
// its ID, its letter stays open, and the status is 1.
func TestOneOversizeLetterStopsNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.limit("4000")
	s.put(letterOf(1), letterOf(2, oversize), letterOf(3))
	exported := s.do("export").stdout
	run := s.with(exported, "publish")
	if run.status != exitFailed || run.stdout != "published 2, refused 1\n" || strings.Count(run.stderr, "\n") != 1 ||
		!strings.HasPrefix(run.stderr, "line ") || !strings.Contains(run.stderr, id(2)+": the topic refuses the record: ") {
		t.Errorf("publish: %+v", run)
	}
	run = s.with(exported, "publish", "--strict")
	if run.status != exitFailed || !strings.Contains(run.stderr, "the topic refuses it, and --strict is given") {
		t.Errorf("publish --strict: %+v", run)
	}
	run = s.do("replay", "--all", "--yes")
	if run.status != exitFailed || !strings.HasSuffix(run.stdout, "replayed 2 of 3, skipped 1\n") || !strings.Contains(run.stderr, "skipped "+id(2)+": ") ||
		!strings.Contains(run.stderr, "refuse the records of some letters: 1") {
		t.Errorf("replay: %+v", run)
	}
	s.wantOpen(2)
	one := s.with("", "publish", "--from", strings.Repeat("f", 32), "--to", strings.Repeat("t", 32))
	if one.status != exitDone {
		t.Errorf("publish: %+v", one)
	}
	s.limit("20")
	if one = s.with("", "publish", "--from", "a", "--to", "b"); one.status != exitFailed || one.stdout != "published 0, refused 1\n" || !strings.Contains(one.stderr, "the topic refuses the record") {
		t.Errorf("publish: %+v", one)
	}
}

func TestALineThatIsTooLongIsNamed(t *testing.T) {
	t.Parallel()
	line := exportedLine(t)
	job := &publishing{topic: schema.Topic}
	for text, want := range map[string]string{
		line[:200]:                    id(1) + ": is longer than ",
		`{"id":"x"`:                   "is longer than ",
		`{"id":"` + id(1):             "is longer than ",
		strings.Repeat("x", 10):       "is longer than ",
		`{"class":"x","id":"` + id(1): "is longer than ",
	} {
		_, err := job.record(inputLine{text: []byte(text), tooLong: true})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLettersBehindAnOpenTransaction: every command stops reading before an open transaction and says so on standard error.
func TestLettersBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2))
	client, err := kgo.NewClient(kgo.SeedBrokers(s.address), kgo.TransactionalID("stranger"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: schema.DeadLetterTopic, Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s.put(letterOf(3), letterOf(4))
	const want = "lie behind an open transaction"
	for _, args := range [][]string{
		{"list"},
		{"list", "--summary"},
		{"show", id(1)},
		{"export"},
		{"replay"},
		{"discard", "--reason", "x"},
		{"list", "--format", "json"},
		{"list", "--summary", "--format", "json"},
		{"list", "--format", "ndjson"},
		{"replay", "--id", id(1), "--yes"},
		{"discard", "--reason", "x", "--id", id(2), "--yes"},
	} {
		began := time.Now()
		run := s.do(args...)
		if run.status != exitDone || strings.Count(run.stderr, want) != 2 || strings.Contains(run.stdout, want) || time.Since(began) > 10*time.Second {
			t.Errorf("%v: %+v", args, run)
		}
		if slices.Contains(args, "json") {
			var whole passTotals
			if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Unread) != 2 || whole.Open != 2 || whole.Unread[0].Why != "open transaction" {
				t.Errorf("%v: %+v, %v", args, whole, err)
			}
		}
	}
}

// TestThePlanShowsWhatIsSettledAlong: forged names hide no letter and settle none. True names are in the list, the plan and
// the JSON.
func TestThePlanShowsWhatIsSettledAlong(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	garbage := func(of int64) func(*testLetter) {
		return func(l *testLetter) {
			l.Class, l.Code, l.value, l.Replays, l.ReplayOf = schema.ClassUndecodable, 0, []byte("garbage"), 1, id(of)
		}
	}
	first := letterOf(4)
	s.put(letterOf(1), letterOf(2), letterOf(3), letterOf(11, garbage(1)), letterOf(12, garbage(2)), letterOf(13, garbage(13)),
		letterOf(21, garbage(22)), letterOf(22, garbage(21)), first, first.again(5))
	s.wantOpen(1, 2, 3, 5, 11, 12, 13, 21, 22)
	shows(t, s.do("list"), "1 letter is open too, each replaced by that of its replay")
	var whole struct {
		Letters  []listedLetter
		Replaced int
	}
	run := s.do("list", "--format", "json")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || whole.Replaced != 1 {
		t.Errorf("%v: %s", err, run.stdout)
	}
	for _, l := range whole.Letters {
		if (l.ID == id(5)) != slices.Equal(l.Replaces, []string{id(4)}) {
			t.Errorf("letter %+v", l)
		}
	}
	run = s.do("discard", "--class", "undecodable", "--reason", "garbage", "--yes")
	shows(t, run, "To discard: 5 of 9", "discarded 5 of 5")
	if strings.Contains(run.stdout, "along") {
		t.Errorf("%s", run.stdout)
	}
	shows(t, s.do("discard", "--id", id(5), "--reason", "x", "--yes"), "To discard: 1 of 4", "along 1 older letter that these replace", id(4), "discarded 1 of 1")
	s.wantOpen(1, 2, 3)
}
