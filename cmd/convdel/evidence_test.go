package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

const outcomeTopic = schema.Topic + ".outcome"

// newOutcomeShelf is a shelf with a topic of outcomes.
func newOutcomeShelf(t *testing.T) *shelf {
	t.Helper()
	s := newShelf(t)
	if _, err := s.admin.CreateTopic(t.Context(), 2, 1, nil, outcomeTopic); err != nil {
		t.Fatal(err)
	}
	return s
}

// deleted writes the outcome of a record whose event was deleted.
func (s *shelf) deleted(id string, edit ...func(*schema.Outcome)) {
	s.t.Helper()
	o := schema.Outcome{Kind: schema.OutcomeDeleted, Group: "convdel", Attempts: 1, Ended: time.Now()}
	var err error
	if o.Topic, o.Partition, o.Offset, err = schema.ParseID(id); err != nil {
		s.t.Fatal(err)
	}
	for _, f := range edit {
		f(&o)
	}
	r, err := o.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	s.produce(&kgo.Record{Topic: outcomeTopic, Key: r.Key, Value: r.Value})
}

// asksFor is a line of input for publish.
func asksFor(from, to string) string {
	return fmt.Sprintf("{\"From_Account\":%q,\"Type\":1,\"To_Account\":%q}\n", from, to)
}

// receiptsOf publishes lines and returns the receipts by account.
func (s *shelf) receiptsOf(lines string, args ...string) (ids map[string]string, text string) {
	s.t.Helper()
	run := s.with(lines, append([]string{"publish", "--format", "ndjson"}, args...)...)
	if run.status != exitDone {
		s.t.Fatalf("publish: %+v", run)
	}
	ids = map[string]string{}
	for line := range strings.Lines(run.stdout) {
		r := readJSON[struct {
			ID           string
			Conversation struct {
				From string `json:"From_Account"`
			}
		}](s.t, line)
		ids[r.Conversation.From] = r.ID
	}
	return ids, run.stdout
}

func readJSON[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// TestReceiptsNameTheRecords: each receipt is that of its own record, whatever partition and batch it is in, and standard output holds
// nothing else.
func TestReceiptsNameTheRecords(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	const n = 3000
	var lines strings.Builder
	for i := range n {
		lines.WriteString(asksFor(fmt.Sprint("user", i), "b"))
	}
	ids, _ := s.receiptsOf(lines.String(), "--cloud-event", "structured")
	records := published(t, s.demoBroker)
	if len(ids) != n || len(records) != n {
		t.Fatalf("%d receipts, %d records", len(ids), len(records))
	}
	for _, r := range records {
		e, err := schema.Decode(r.Value, testkit.Headers(r))
		id := schema.DeadLetter{Topic: schema.Topic, Partition: int(r.Partition), Offset: r.Offset}.ID()
		if err != nil || ids[e.From] != id {
			t.Fatalf("%s: receipt %s, %v", id, ids[e.From], err)
		}
	}
}

// TestReceiptsOfRecordsThatAreRefused: none has one, and the others of their batch have theirs.
func TestReceiptsOfRecordsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.limit("400")
	large := fmt.Sprintf(`{"From_Account":"large","Type":1,"To_Account":"b","x":%q}`, strings.Repeat("x", 400)) + "\n"
	run := s.with(asksFor("a", "b")+large+asksFor("c", "d"), "publish", "--format", "ndjson")
	if run.status != exitFailed || strings.Count(run.stdout, "\n") != 2 || strings.Contains(run.stdout, "large") ||
		!strings.HasSuffix(run.stderr, "published 2, refused 1\n") {
		t.Errorf("%+v", run)
	}
}

func TestReceiptFormats(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	run := s.with("", "publish", "--from", "a", "--to", "b", "--clear-ramble", "--format", "json")
	all := readJSON[struct {
		Receipts  []receipt
		Published int
	}](t, run.stdout)
	if run.status != exitDone || all.Published != 1 || len(all.Receipts) != 1 ||
		string(all.Receipts[0].Conversation) != `{"From_Account":"a","Type":1,"To_Account":"b","ClearRamble":1}` {
		t.Errorf("%+v", run)
	}
	shows(t, s.with("", "publish", "--from", "a", "--to", "b", "--format", "table"),
		"ID EVENT ID CONVERSATION", all.Receipts[0].ID[:len(schema.Topic)+3], "C2C a → b", "published 1, refused 0")
	if run := s.with("not an event\n", "publish", "--format", "json"); readJSON[map[string]any](t, run.stdout)["refused"] != 1.0 || run.status != exitFailed {
		t.Errorf("%+v", run)
	}
	for _, args := range []string{"--format xml", "--format ndjson --dry-run"} {
		if run := invoke(t, nil, "", append(strings.Fields("publish --brokers h:1 --from a --to b"), strings.Fields(args)...)...); run.status != exitUsage || run.stdout != "" {
			t.Errorf("%s: %+v", args, run)
		}
	}
}

// TestWaitForTheService: what is published is waited for, by its receipts, and the service's own commits and dead letters say what has
// become of it.
func TestWaitForTheService(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	sim := startSim(t, imtest.Config{})
	bad := &kgo.Record{Topic: schema.Topic, Value: []byte("no event")}
	s.produce(bad)
	badID := schema.DeadLetter{Topic: schema.Topic, Partition: int(bad.Partition), Offset: bad.Offset}.ID()
	_, receipts := s.receiptsOf(asksFor("a", "b") + asksFor("c", "d"))
	if run := s.with(receipts, "wait", "--timeout", "0s"); run.status != exitUnfinished || !strings.Contains(run.stdout, "2 not finished") ||
		!strings.Contains(run.stdout, "pending: group convdel has committed nothing of the partition of 2 events: is its name right (--group)") {
		t.Errorf("before the service: %+v", run)
	}
	start(t, required().with(environment{"CONVDEL_BROKERS": s.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": ""}), nil, "run")
	run := s.with(receipts, "wait", "--timeout", "1m")
	shows(t, run, "deleted, inferred", "waited for 2 events: 2 deleted", "It is wrong if somebody committed the offset by hand")
	run = s.with(receipts, "wait", "--format", "ndjson")
	rows := strings.Split(strings.TrimSpace(run.stdout), "\n")
	if run.status != exitDone || len(rows) != 2 {
		t.Fatalf("%+v", run)
	}
	row := readJSON[eventRow](t, rows[0])
	if !strings.HasPrefix(receipts, `{"id":"`+row.ID+`"`) || row.Outcome != "deleted" || row.Proven || row.Evidence != "offset" || row.Commit != "ended" {
		t.Errorf("%+v", row)
	}
	run = s.with("", "wait", "--id", badID, "--format", "json")
	list := readJSON[eventList](t, run.stdout)
	if run.status != exitExceptions || len(list.Events) != 1 || list.Events[0].Outcome != "undecodable" || list.Events[0].Evidence != "dead_letter" || len(list.Limits) != 1 {
		t.Errorf("%+v", run)
	}
}

func TestWaitForAnErasure(t *testing.T) {
	t.Parallel()
	s := newOutcomeShelf(t)
	part := func(from, erasure string) string {
		return fmt.Sprintf(`{"specversion":"1.0","type":%q,"source":"/erase","id":%q,"erasureid":%q,"data":%s}`,
			schema.EventType, "part-"+from, erasure, strings.TrimSpace(asksFor(from, "b"))) + "\n"
	}
	ids, _ := s.receiptsOf(part("a", "R-1") + part("c", "R-1") + part("x", "R-2"))
	erasure := func(id string) invocation {
		return s.with("", "wait", "--erasure", id, "--outcome-topic", outcomeTopic, "--timeout", "0s", "--format", "ndjson")
	}
	named := func(from string) func(*schema.Outcome) {
		return func(o *schema.Outcome) { o.EventID, o.ErasureID = "part-"+from, "R-1" }
	}
	s.deleted(ids["a"], named("a"))
	if run := erasure("R-1"); run.status != exitUnfinished || strings.Count(run.stdout, "\n") != 2 {
		t.Errorf("%+v", run)
	}
	s.deleted(ids["c"], named("c"))
	if run := erasure("R-1"); run.status != exitDone || strings.Count(run.stdout, `"proven":true`) != 2 || strings.Contains(run.stdout, ids["x"]) {
		t.Errorf("%+v", run)
	}
	end := openTransaction(t, s.address) // all parts that can be read have ended
	s.receiptsOf(part("d", "R-1") + part("e", "R-1") + part("f", "R-1"))
	if run := erasure("R-1"); run.status != exitUnfinished || !strings.Contains(run.stderr, "behind an open transaction") {
		t.Errorf("parts may lie behind an open transaction: %+v", run)
	}
	end()
	if run := erasure("R-1"); run.status != exitUnfinished || strings.Count(run.stdout, "\n") != 5 {
		t.Errorf("%+v", run)
	}
	if run := erasure("R-3"); run.status != exitFailed || run.stdout != "" || !strings.Contains(run.stderr, `no event of erasure "R-3" (6 records read)`) {
		t.Errorf("%+v", run)
	}
}

// openTransaction has a stranger write a record to each partition of the topic of events in a transaction, which end aborts.
func openTransaction(t *testing.T, address string) (end func()) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("stranger"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for p := range int32(demoPartitions) {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: schema.Topic, Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		t.Helper()
		if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitRefusesOtherInput(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids, _ := s.receiptsOf(asksFor("a", "b"))
	for _, c := range []struct {
		stdin, args string
		status      int
		want        string
	}{
		{"", "", exitUsage, "standard input has no receipt"},
		{"\n \n", "", exitUsage, "standard input has no receipt"},
		{"published 1, refused 0\n", "", exitUsage, "line 1: is no receipt"},
		{`{"id":5}`, "", exitUsage, "line 1: is no receipt"},
		{`{"id":"other/0/0"}`, "", exitUsage, `line 1: other/0/0 is no record of --topic, which is "` + schema.Topic},
		{`{"id":"x"}`, "", exitUsage, "line 1: id: must be TOPIC/PARTITION/OFFSET"},
		{`{"id":"` + ids["a"] + `","conversation":{"Type":3}}`, "", exitUsage, "line 1: conversation: "},
		{`{"id":"` + ids["a"] + `","conversation":` + strings.TrimSpace(asksFor("a", "other")) + `}`, "", exitFailed, "asks for something else"},
		{"", "--id " + schema.Topic + "/0/77", exitFailed, "no such record: the partition ends at"},
		{"", "--id other/0/7", exitUsage, "is no record of --topic"},
		{"", "--id " + ids["a"] + " --erasure x", exitUsage, "not with --id"},
		{"", "--id " + ids["a"] + " --since 1d", exitUsage, "it needs --erasure"},
		{"", "--erasure a --erasure b", exitUsage, "given more than once"},
		{"", "--id " + ids["a"] + " --timeout x", exitUsage, "--timeout is \"x\""},
		{"", "--id " + ids["a"] + " --outcome-topic " + schema.Topic, exitUsage, "must differ from --topic"},
		{"", "--id " + ids["a"] + " --outcome-topic nowhere", exitFailed, "topic nowhere"},
	} {
		run := s.with(c.stdin, append([]string{"wait"}, strings.Fields(c.args)...)...)
		if run.status != c.status || run.stdout != "" || !strings.Contains(run.stderr, c.want) {
			t.Errorf("%q %s: %+v, want %q", c.stdin, c.args, run, c.want)
		}
	}
}

// TestEventsFind: one row for each event, with what has become of it, and below it what was found and does not count.
func TestEventsFind(t *testing.T) {
	t.Parallel()
	s := newOutcomeShelf(t)
	ids, _ := s.receiptsOf(asksFor("alice", "bob") + asksFor("alice", "carol") + asksFor("alice", "dave") + asksFor("x", "y"))
	s.deleted(ids["alice"]) // that of the last one
	s.produce(&kgo.Record{Topic: outcomeTopic, Key: []byte("k"), Value: []byte("no outcome")})
	s.produce(&kgo.Record{Topic: schema.Topic, Value: []byte(`{"From_Account":"alice","Type":"1"}`)})
	s.produce(&kgo.Record{Topic: schema.Topic, Value: []byte("\x1f\x8b")})
	find := func(args ...string) invocation {
		return s.with("", append([]string{"events", "find", "--outcome-topic", outcomeTopic}, args...)...)
	}
	shows(t, find("--account", "alice"),
		"ID PUBLISHED ENDED HOW CODE ATTEMPTS BY EVIDENCE CONVERSATION", "deleted - 1 - outcome C2C alice → dave", "C2C alice → bob",
		"no event ? in a field", "found 4 events: 1 deleted, 3 not finished", "1 of these is no event and marked", "1 record more is no event and may concern anybody",
		"1 record of "+outcomeTopic+" is no outcome and left out; the first is", "outcome: the service recorded this end in "+outcomeTopic)
	run := find("--from", "alice", "--to", "dave", "--format", "ndjson")
	row := readJSON[eventRow](t, run.stdout)
	if row.ID != ids["alice"] || !row.Proven || len(row.Outcomes) != 1 || row.State != stateEnded || !strings.Contains(run.stderr, "only partition") {
		t.Errorf("%+v, %+v", row, run)
	}
	list := readJSON[eventList](t, find("--id", ids["x"], "--format", "json").stdout)
	if len(list.Events) != 1 || list.Events[0].State != statePending || list.Limits == nil || list.LeftOut == nil {
		t.Errorf("%+v", list)
	}
	shows(t, find("--account", "nobody"), "no such event (6 records of "+schema.Topic+" read)", "1 record more is no event")
	if run := find("--account", "nobody", "--format", "ndjson"); run.stdout != "" || run.status != exitDone {
		t.Errorf("%+v", run)
	}
}

func TestEventsFindWrongFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                               "no event is named",
		"--since 1d":                     "no event is named",
		"--id x":                         "--id is \"x\": must be TOPIC/PARTITION/OFFSET",
		"--id other/0/1":                 "is no record of --topic",
		"--id " + id(1) + " --account a": "not with other selectors",
		"--id " + id(1) + " --since 1d":  "nor with --since",
		"--account=":                     "--account is missing",
		"--account a --account b":        "--account is given more than once",
		"--from a":                       "--to (To_Account): is empty",
		"--from a --to b --type x":       "--type is \"x\"",
		"--account a --all-partitions":   "need --from and --to",
		"--account a --format xml":       "--format is \"xml\"",
		"--account a --since tomorrow":   "--since is \"tomorrow\"",
		"--account a --group=":           "--group (CONVDEL_GROUP) is missing",
	} {
		run := invoke(t, environment{"CONVDEL_BROKERS": "h:1"}, "", append([]string{"events", "find"}, strings.Fields(args)...)...)
		if run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, run, want)
		}
	}
}

// TestPromise11_WaitForTheServicesOutcomes: the service's own outcomes prove how events have ended, and those of settlements how that went
// on.
func TestPromise11_WaitForTheServicesOutcomes(t *testing.T) {
	t.Parallel()
	s := newOutcomeShelf(t)
	sim := startSim(t, imtest.Config{})
	bad := &kgo.Record{Topic: schema.Topic, Value: []byte("no event")}
	s.produce(bad)
	badID := schema.DeadLetter{Topic: schema.Topic, Partition: int(bad.Partition), Offset: bad.Offset}.ID()
	var lines strings.Builder
	for i := range 50 {
		lines.WriteString(asksFor(fmt.Sprint("user", i), "b"))
	}
	_, receipts := s.receiptsOf(lines.String())
	start(t, required().with(environment{
		"CONVDEL_BROKERS": s.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_ADMIN_ADDR": "", "CONVDEL_OUTCOME_TOPIC": outcomeTopic,
	}), nil, "run")
	wait := func(stdin string, args ...string) invocation {
		return s.with(stdin, append([]string{"wait", "--outcome-topic", outcomeTopic, "--timeout", "1m", "--format", "ndjson"}, args...)...)
	}
	if run := wait(receipts); run.status != exitDone || strings.Count(run.stdout, `"outcome":"deleted"`) < 50 || strings.Count(run.stdout, `"proven":true`) != 50 {
		t.Errorf("%+v", run)
	}
	if run := wait("", "--id", badID); run.status != exitExceptions || !strings.Contains(run.stdout, `"state":"ended","outcome":"undecodable"`) {
		t.Errorf("%+v", run)
	}
	shows(t, s.do("replay", "--id", badID, "--by", "op", "--yes"))
	run := wait("", "--id", badID)
	row := readJSON[eventRow](t, run.stdout)
	if run.status != exitExceptions || row.Outcome != "undecodable" || row.By != "op" || row.Record == "" || row.Evidence != "outcome" || len(row.Replays) != 1 {
		t.Errorf("replayed: %+v", run)
	}
	shows(t, s.do("discard", "--id", row.Record, "--by", "op", "--reason", "nonsense", "--yes"))
	run = s.with("", "events", "find", "--id", badID, "--outcome-topic", outcomeTopic, "--format", "ndjson")
	if row := readJSON[eventRow](t, run.stdout); row.Outcome != "discarded" || row.Reason != "nonsense" || !row.Proven || row.Evidence != "outcome" {
		t.Errorf("discarded: %+v", run)
	}
}
