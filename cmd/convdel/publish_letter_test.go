package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"convdel/internal/testkit"
	"convdel/schema"
)

// TestExportedLettersArePublishedAsAReplayWould: export and publish together keep every byte.
func TestExportedLettersArePublishedAsAReplayWould(t *testing.T) {
	t.Parallel()
	binary := schema.Event{Conversation: schema.Conversation{From: "alice", Type: schema.G2C, To: "@TGS#1"}, ID: "7", Source: "app"}
	value, attributes, err := binary.EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	letters := []testLetter{
		letterOf(1),
		letterOf(2, func(l *testLetter) { l.Key, l.Replays, l.ReplayOf = nil, 4, id(9) }),
		letterOf(3, func(l *testLetter) { l.Key = []byte{} }),
		letterOf(4, func(l *testLetter) {
			l.Key = []byte("\xff\x00")
			l.source = []schema.Header{
				{Key: "trace", Value: []byte("\xfe\x00")}, {Key: "trace", Value: []byte{}}, {Key: "null"}, {Key: "ключ", Value: []byte("<&>\u2028")},
			}
		}),
		letterOf(5, func(l *testLetter) { l.value, l.source = value, attributes }),
	}
	s := newShelf(t)
	s.put(letters...)
	exported := s.do("export")
	if exported.status != exitDone || strings.Count(exported.stdout, "\n") != len(letters) {
		t.Fatalf("export: %+v", exported)
	}
	if run := s.with(exported.stdout, "publish"); run.status != exitDone || run.stdout != "published 5, refused 0\n" || run.stderr != "" {
		t.Fatalf("publish: %+v", run)
	}
	s.wantOpen(1, 2, 3, 4, 5) // publishing settles nothing
	records := published(t, s.demoBroker)
	if len(records) != len(letters) {
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		origin, ok := schema.Origin(testkit.Headers(r))
		if !ok || origin.Offset < 1 || origin.Offset > 5 {
			t.Fatalf("record %v is no replay", r)
		}
		l := letters[origin.Offset-1]
		if !bytes.Equal(r.Value, l.value) || !bytes.Equal(r.Key, l.Key) || (r.Key == nil) != (l.Key == nil) {
			t.Errorf("letter %d: key %q, value %q", origin.Offset, r.Key, r.Value)
		}
		want := l.ReplayHeaders(l.Headers(l.source))
		if got := testkit.Headers(r); !reflect.DeepEqual(got, want) {
			t.Errorf("letter %d: headers %q, want %q", origin.Offset, got, want)
		}
	}
}

// TestMendingAnUndecodableLetter follows the steps in the help.
func TestMendingAnUndecodableLetter(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1, classed(schema.ClassUndecodable, 0), func(l *testLetter) { l.value = []byte("\xff broken") }),
		letterOf(2, classed(schema.ClassUndecodable, 0), func(l *testLetter) { l.NullValue, l.value = true, []byte{} }))
	exported := s.do("export", "--class", "undecodable").stdout
	refused := s.with(exported, "publish")
	if refused.status != exitFailed || refused.stdout != "published 0, refused 2\n" ||
		!strings.Contains(refused.stderr, "line 1: "+id(1)+": not an event: ") || !strings.Contains(refused.stderr, "line 2: "+id(2)+": not an event: the value is null") {
		t.Errorf("as it was: %+v", refused)
	}
	mended := edited(t, exported, func(line map[string]any) {
		delete(line, "value_base64")
		line["value"] = string(goodValue(7))
	})
	if run := s.with(mended, "publish", "--strict"); run.status != exitDone || run.stdout != "published 2, refused 0\n" {
		t.Errorf("mended: %+v", run)
	}
	shows(t, s.do("discard", "--class", "undecodable", "--reason", "mended and published", "--yes"), "discarded 2 of 2")
	s.wantOpen()
	for _, r := range published(t, s.demoBroker) {
		if origin, ok := schema.Origin(testkit.Headers(r)); !ok || origin.Replays != 1 || string(r.Value) != string(goodValue(7)) {
			t.Errorf("published %s: %+v", r.Value, origin)
		}
	}
}

// edited changes lines of JSON.
func edited(t *testing.T, lines string, edit func(map[string]any)) string {
	t.Helper()
	var all strings.Builder
	for text := range strings.Lines(lines) {
		line := map[string]any{}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		edit(line)
		changed, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(append(changed, '\n'))
	}
	return all.String()
}

// exportedLine returns a valid exported letter.
func exportedLine(t *testing.T) string {
	t.Helper()
	s := newShelf(t)
	s.put(letterOf(1, func(l *testLetter) { l.source = []schema.Header{{Key: "trace", Value: []byte("1")}} }))
	return s.do("export").stdout
}

func TestPublishIsStrictAboutExportedLetters(t *testing.T) {
	t.Parallel()
	good := exportedLine(t)
	set := func(name string, value any) func(map[string]any) {
		return func(line map[string]any) { line[name] = value }
	}
	remove := func(name string) func(map[string]any) {
		return func(line map[string]any) { delete(line, name) }
	}
	header := func(h map[string]any) func(map[string]any) { return set("headers", []any{h}) }
	for want, edit := range map[string]func(map[string]any){
		"":                                 func(map[string]any) {},
		"group is missing":                 remove("group"),
		"value is missing":                 remove("value"),
		"key is missing":                   remove("key"),
		"class is null":                    set("class", nil),
		"note is unknown":                  set("note", "x"),
		"value is given beside":            set("value_base64", "eA=="),
		"value must be a string or null":   set("value", map[string]any{"From_Account": "a"}),
		"key_base64 must be base64":        func(l map[string]any) { delete(l, "key"); l["key_base64"] = "%" },
		"key_base64 must be a string":      func(l map[string]any) { delete(l, "key"); l["key_base64"] = nil },
		"offset must be a whole number":    set("offset", "1"),
		"partition must be a whole number": set("partition", 1.5),
		"id must be that of topic":         set("id", id(2)),
		"timestamp must be an RFC 3339":    set("timestamp", "yesterday"),
		"class is no class":                set("class", "frob"),
		"attempts must be a number":        set("attempts", -1),
		"replays is out of range":          set("replays", -1),
		"replay-of is no ID":               set("replay_of", "frob"),
		"omitted must be an object as":     set("omitted", map[string]any{"why": "x", "size": 1}),
		"omitted must be WHY":              set("omitted", map[string]any{"why": "x", "size": 1, "sha256": "x"}),
		"batch must be an object as":       set("batch", []int{1, 2}),
		"batch must be FIRST-LAST":         set("batch", map[string]any{"first": 2, "last": 1}),
		"event must be a string":           set("event", map[string]any{}),
		"value is given beside omitted":    set("omitted", map[string]any{"why": "x", "size": 1, "sha256": strings.Repeat("0", 64)}),
		"headers must be a list":           set("headers", "x"),
		"headers[0] is wrong: a header of": header(map[string]any{"key": "dlt-class", "value": "x"}),
		"headers[0] is wrong: not a valid exported dead letter: value is missing": header(map[string]any{"key": "x"}),
		"headers[0] is wrong: not a valid exported dead letter: x is unknown":     header(map[string]any{"key": "x", "value": "", "x": 1}),
		"headers[0] is wrong: not a JSON object":                                  set("headers", []any{1}),
		"To_Account: is missing":                                                  set("value", `{"From_Account":"a","Type":1}`),
		"must be a JSON object, is a string":                                      set("value", `"x"`),
		"the value is null":                                                       set("value", nil),
	} {
		run := invoke(t, nil, edited(t, good, edit), "publish", "--dry-run")
		if want == "" && run.status == exitDone && strings.HasSuffix(run.stderr, "would publish 1, refused 0\n") {
			continue
		}
		if want == "" || run.status != exitFailed || run.stdout != "" || !strings.HasPrefix(run.stderr, "line 1: ") || !strings.Contains(run.stderr, want) {
			t.Errorf("%q: %+v", want, run)
		}
	}
	for name, run := range map[string]invocation{
		"topic other is": invoke(t, nil, good, "publish", "--dry-run", "--topic", "other"),
		"--cloud-event":  invoke(t, nil, good, "publish", "--dry-run", "--cloud-event", "bare"),
	} {
		if name == "topic other is" {
			name = "topic is " + schema.Topic + ", and --topic is other"
		}
		if run.status != exitFailed || run.stdout != "" || !strings.Contains(run.stderr, name) {
			t.Errorf("%s: %+v", name, run)
		}
	}
}

func TestEventsAreNotTakenForExportedLetters(t *testing.T) {
	t.Parallel()
	good := strings.TrimSpace(exportedLine(t))
	event := strings.TrimSuffix(good, "}") + `,"From_Account":"a","Type":1,"To_Account":"b"}`
	run := invoke(t, nil, event, "publish", "--dry-run")
	if run.status != exitDone || !strings.Contains(run.stdout, `{"key":"1:1:a:b","value":`) || strings.Contains(run.stdout, schema.HeaderReplays) {
		t.Errorf("an event with members of a letter: %+v", run)
	}
	for _, line := range []string{
		strings.TrimSuffix(good, "}") + `,"From_Account":"a"}`,
		strings.TrimSuffix(good, "}") + `,"specversion":"1.0"}`,
		strings.Replace(good, `"class"`, `"Class"`, 1),
		strings.TrimSuffix(good, "}") + `,"id":"again"}`,
		good + good,
		"[" + good + "]",
		strings.TrimSuffix(good, "}"),
		strings.Replace(good, "user1", "user\xff", 1),
		base64.StdEncoding.EncodeToString([]byte(good)),
		`{"id":"x","class":"y"}`,
	} {
		run := invoke(t, nil, line, "publish", "--dry-run")
		if run.status != exitFailed || run.stdout != "" || strings.Contains(run.stderr, "exported dead letter") || !strings.Contains(run.stderr, "line 1: not a") {
			t.Errorf("%s: %+v", line, run)
		}
	}
}

func TestDryRunShowsHeadersThatNoObjectHolds(t *testing.T) {
	t.Parallel()
	good := exportedLine(t)
	line := edited(t, good, func(line map[string]any) {
		delete(line, "key")
		line["key_base64"] = "/wA="
		line["headers"] = []any{map[string]any{"key": "a", "value": "1"}, map[string]any{"key": "a", "value_base64": "/wA="}, map[string]any{"key": "n", "value": nil}}
	})
	run := invoke(t, nil, line, "publish", "--dry-run")
	if !strings.HasPrefix(run.stdout, `{"key_base64":"/wA=","headers":[{"key":"a","value":"1"},{"key":"a","value_base64":"/wA="},{"key":"n","value":null},`) {
		t.Errorf("%+v", run)
	}
}
