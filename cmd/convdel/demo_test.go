package main

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/publish"
	"convdel/schema"
)

func TestDemoBalances(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for run := range 2 { // the second run finds the broker's data of the first
		p := invoke(t, nil, "", "demo", "--events", "25", "--data-dir", dir, "--letters", "3", "--seed", strconv.Itoa(run))
		if p.status != exitDone {
			t.Fatalf("status %d\n%s\n%s", p.status, p.stdout, p.stderr)
		}
		flat := strings.Join(strings.Fields(p.stdout), " ")
		for _, want := range []string{
			"published 25 events: ", "more events: they show", "permanent 3 3 1 × code 50001, 1 × code 50002, 1 × code 50003",
			"exhausted 5 5 3 × without a code, 1 × code 50004, 1 × code 50005", "undecodable 1 1 ", "dead letters 9 9 ",
			"Dead letters, 3 of 9", "The ledger balances", `"has-120-alice": planned to delete: 75 C2C, 25 G2C, 0 other sides`,
			`"has-120-alice": verified`, "120 parts, 120 deleted, 0 exceptions, 0 conversations left, 2 rounds", "120 of them are the parts of the erasure",
		} {
			if !strings.Contains(flat, want) {
				t.Errorf("run %d: output lacks %q:\n%s", run, want, p.stdout)
			}
		}
	}
}

func TestDemoStays(t *testing.T) {
	t.Parallel()
	p := start(t, nil, nil, "demo", "--events", "1", "--quota", "0", "--stay")
	await(t, "the invitation", func() bool { return strings.Contains(p.stdout.String(), "/readyz") })
	out := p.stdout.String()
	_, after, _ := strings.Cut(out, "convdel publish --brokers ")
	address, _, _ := strings.Cut(after, " ")
	if run := invoke(t, nil, "", "publish", "--brokers", address, "--from", "alice", "--to", "bob"); run.status != exitDone {
		t.Errorf("publishing as invited: %s", run.stderr)
	}
	_, after, _ = strings.Cut(out, "curl ")
	url, _, _ := strings.Cut(after, " ")
	await(t, "what was published has ended", func() bool {
		_, metrics := get(t, url)
		return strings.Contains(metrics, "convdel_event_age_seconds_count 2")
	})
	if status := p.end(); status != exitDone || !strings.Contains(p.stdout.String(), "stopping") {
		t.Errorf("status %d", status)
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	p := start(t, nil, nil, "demo", "--events", "5000", "--log-level", "info")
	await(t, "the service works", func() bool { return strings.Contains(p.stderr.String(), `"msg":"generation begins"`) })
	if status := p.end(); status != exitFailed || !strings.Contains(p.stderr.String(), "convdel: interrupted: ") ||
		!strings.Contains(p.stderr.String(), `"msg":"convdel stops"`) || strings.Contains(p.stdout.String(), "Ledger") {
		t.Errorf("status %d", status)
	}
}

func TestDemoWrongFlags(t *testing.T) {
	t.Parallel()
	run := invoke(t, nil, "", "demo", "--events=0", "--quota=x", "--seed=-1", "--letters=?", "--log-level=loud")
	lines := strings.Split(strings.TrimSpace(run.stderr), "\n")
	if run.status != exitUsage || len(lines) != 5 || !strings.HasPrefix(lines[0], `convdel: --events is "0": must be a whole number from 1 `) {
		t.Errorf("status %d, stderr %q", run.status, run.stderr)
	}
}

func TestSamplesAreWhatTheyClaim(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 40, 1000} {
		samples := makeSamples(n, 7, "run")
		if len(samples) != n {
			t.Errorf("%d samples, want %d", len(samples), n)
		}
		wrappings, kinds, errs := map[schema.Wrapping]int{}, map[string]int{}, map[string]bool{}
		for i, s := range samples {
			kinds[s.kind]++
			event, err := schema.Decode(s.record.Value, s.record.Headers)
			if (err != nil) != (s.class == schema.ClassUndecodable) {
				t.Errorf("sample %d, %s: %s: %v", i, s.kind, s.record.Value, err)
			}
			if err != nil {
				errs[err.Error()] = true
				continue
			}
			if event.Conversation != s.event.Conversation || event.ClearRamble != s.event.ClearRamble {
				t.Errorf("sample %d: %+v, want %+v", i, event, s.event)
			}
			wrappings[wrappingOf(s)]++
		}
		if n < 1000 {
			continue
		}
		for _, kind := range sampleKinds() {
			if kinds[kind] == 0 {
				t.Errorf("no %s sample among %d", kind, n)
			}
		}
		if len(wrappings) != 3 || len(errs) < 13 {
			t.Errorf("wrappings %v, %d different errors", wrappings, len(errs))
		}
	}
	one, same, other := makeSamples(100, 1, "r"), makeSamples(100, 1, "r"), makeSamples(100, 2, "r")
	if kindsOf(one) != kindsOf(same) || kindsOf(one) == kindsOf(other) {
		t.Error("a seed is not what decides the mix")
	}
}

func kindsOf(samples []sample) string {
	var text strings.Builder
	for _, s := range samples {
		fmt.Fprintf(&text, "%s %s %s\n", s.kind, s.event.From, s.event.To)
	}
	return text.String()
}

func wrappingOf(s sample) schema.Wrapping {
	for _, h := range s.record.Headers {
		switch h.Key {
		case "ce_id":
			return schema.Binary
		case schema.ContentTypeHeader:
			return schema.Structured
		}
	}
	return schema.Bare
}

// observed is the material of a ledger that balances: one event deleted, one refused, one malformed.
type observed struct {
	d       *demo
	samples []sample
	records []*kgo.Record
	letters map[string]letter
	service map[string]int
}

func newEvidence(t *testing.T) *observed {
	t.Helper()
	e := &observed{
		d:       &demo{sim: imtest.New(imtest.Config{})},
		letters: map[string]letter{},
		service: map[string]int{"permanent": 1, "undecodable": 1},
	}
	s := &sampler{run: "r"}
	for i, made := range []sample{
		{class: schema.ClassPermanent, code: 50001, record: publish.Record{Value: []byte("one")}},
		{class: schema.ClassUndecodable, record: publish.Record{Value: nil}},
	} {
		s.made = append(s.made, made)
		r := &kgo.Record{
			Topic: schema.Topic, Partition: 2, Offset: int64(10 + i), Value: made.record.Value,
			Headers: []kgo.RecordHeader{{Key: sampleHeader, Value: fmt.Appendf(nil, "r/%d", i)}},
		}
		e.records = append(e.records, r)
		dead := schema.DeadLetter{
			Class: made.class, Code: made.code, Topic: r.Topic, Partition: 2, Offset: r.Offset, NullValue: made.record.Value == nil,
		}
		e.letters[dead.ID()] = letter{DeadLetter: dead, value: made.record.Value}
	}
	e.samples = s.made
	return e
}

// problems draws up the ledger and returns its problems.
func (e *observed) problems() []string {
	l := &ledger{service: e.service}
	e.d.match(l, e.records, e.letters, e.samples)
	l.compare()
	return l.problems
}

func TestLedgerFindsWhatIsOff(t *testing.T) {
	t.Parallel()
	const first = schema.Topic + "/2/10"
	change := func(id string, do func(l *letter)) func(e *observed) {
		return func(e *observed) {
			l := e.letters[id]
			do(&l)
			e.letters[id] = l
		}
	}
	for name, c := range map[string]struct {
		spoil func(e *observed)
		want  string // empty if the ledger balances
	}{
		"all is well":       {func(*observed) {}, ""},
		"an event vanishes": {func(e *observed) { delete(e.letters, first) }, "neither deleted nor a dead letter"},
		"other bytes":       {change(first, func(l *letter) { l.value = []byte("One") }), "other bytes"},
		"no longer null":    {change(schema.Topic+"/2/11", func(l *letter) { l.NullValue = false }), "other bytes"},
		"another class":     {change(first, func(l *letter) { l.Class = schema.ClassExhausted }), `class "exhausted", code 50001, expected "permanent", 50001`},
		"another code":      {change(first, func(l *letter) { l.Code = 50002 }), "code 50002, expected"},
		"a letter of nobody": {
			func(e *observed) { e.letters["x"] = letter{} }, "x: a dead letter of no record",
		},
		"a record is missing": {func(e *observed) { e.records = e.records[:1] }, "sample 1 is not on the topic"},
		"the service counts less": {
			func(e *observed) { e.service["permanent"] = 0 }, "the service counts 1 events, the topic holds 2",
		},
		"the service counts otherwise": {
			func(e *observed) { e.service = map[string]int{"deleted": 2} }, "the service counts 2 events deleted, it should be 0",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEvidence(t)
			c.spoil(e)
			got := strings.Join(e.problems(), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("problems %q, want %q", got, c.want)
			}
		})
	}
}

func TestLedgerKnowsWhatWasDeleted(t *testing.T) {
	t.Parallel()
	sim, err := imtest.Start(imtest.Config{SDKAppID: demoApp, Identifier: demoIdentifier, SecretKey: demoSecretKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	d := &demo{sim: sim}
	client, err := imclient.New(imclient.Config{
		Endpoint: sim.URL, SDKAppID: demoApp, Identifier: demoIdentifier, SecretKey: imclient.StaticKey(demoSecretKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	gone := schema.Event{Conversation: schema.Conversation{From: "a", Type: schema.C2C, To: "b"}, ClearRamble: true}
	judge := func(made sample, isDead bool) string {
		l := &ledger{}
		d.judge(l, "id", made, letter{DeadLetter: schema.DeadLetter{Class: made.class}}, isDead, d.cleared())
		return strings.Join(l.problems, "\n")
	}
	if got := judge(sample{event: gone}, false); !strings.Contains(got, "neither") {
		t.Errorf("before it is deleted: %q", got)
	}
	call := func(clearRamble bool) {
		t.Helper()
		request := imclient.DeleteRequest{From: gone.From, Type: int(gone.Type), To: gone.To, ClearRamble: clearRamble}
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	call(false)
	if got := judge(sample{event: gone}, false); !strings.Contains(got, "without the roaming messages") {
		t.Errorf("deleted, not cleared: %q", got)
	}
	call(true)
	if got := judge(sample{event: gone}, false); got != "" {
		t.Errorf("deleted and cleared: %q", got)
	}
	if got := judge(sample{event: gone, class: schema.ClassPermanent}, true); !strings.Contains(got, "both deleted and a dead letter") {
		t.Errorf("deleted and a dead letter: %q", got)
	}
	if got := judge(sample{event: gone, class: schema.ClassPermanent}, false); !strings.Contains(got, `deleted, expected a dead letter of class "permanent"`) {
		t.Errorf("deleted, expected otherwise: %q", got)
	}
}

func TestCallFigures(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var arrivals []imtest.Arrival
	add := func(ms int, from string, code, status int) {
		when := at.Add(time.Duration(ms) * time.Millisecond)
		arrivals = append(arrivals, imtest.Arrival{At: when, Answered: when.Add(50 * time.Millisecond), From: from, Code: code, HTTPStatus: status})
	}
	for i := range 11 {
		add(i*500, fmt.Sprintf("user-%d", i), 0, 200)
	}
	add(6000, "user-3", 0, 502)
	add(6500, "user-12", 60007, 200)
	add(7000, "user-13", 0, 200)
	c := measureCalls(arrivals)
	want := callFigures{
		calls: 14, tooFast: 1, badGateway: 1, took: 7050 * time.Millisecond, busy: 5 * time.Second, busyCalls: 10,
		p50: 50 * time.Millisecond, p99: 50 * time.Millisecond,
	}
	if c != want {
		t.Errorf("%+v\nwant %+v", c, want)
	}
	if c := measureCalls(nil); c != (callFigures{}) {
		t.Errorf("of nothing: %+v", c)
	}
}
