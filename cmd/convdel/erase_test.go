package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

// eraser is a shelf with outcomes, the simulated API, and the environment of both commands.
type eraser struct {
	*shelf

	sim *imtest.Server
	env environment
}

func newEraser(t *testing.T, cfg imtest.Config) *eraser {
	t.Helper()
	sim := startSim(t, cfg)
	s := newOutcomeShelf(t)
	return &eraser{shelf: s, sim: sim, env: required().with(environment{
		"CONVDEL_BROKERS": s.address, "CONVDEL_IM_ENDPOINT": sim.URL, "CONVDEL_OUTCOME_TOPIC": outcomeTopic,
	})}
}

// serve starts the service.
func (e *eraser) serve() *background {
	e.t.Helper()
	return start(e.t, e.env.with(environment{"CONVDEL_ADMIN_ADDR": ""}), nil, "run")
}

// erase runs the command, fast.
func (e *eraser) erase(args ...string) invocation {
	e.t.Helper()
	return invoke(e.t, e.env, "", append([]string{"erase", "--rate", "200"}, args...)...)
}

// reported is the report of a run.
func (e *eraser) reported(want int, args ...string) eraseReport {
	e.t.Helper()
	run := e.erase(append(args, "--format", "json")...)
	if run.status != want {
		e.t.Fatalf("%v: %+v", args, run)
	}
	return readJSON[eraseReport](e.t, run.stdout)
}

// parts are the records of the topic of events.
func (e *eraser) parts() map[string]int {
	e.t.Helper()
	parts := map[string]int{}
	for _, r := range published(e.t, e.demoBroker) {
		if event, err := schema.Decode(r.Value, testkit.Headers(r)); err == nil {
			parts[event.ID]++
		}
	}
	return parts
}

// TestPromise11_EraseAnAccount: a plan publishes nothing. With --yes all of the account's conversations go, in rounds, and with them the other
// sides; the report proves it, and the same command again publishes nothing.
func TestPromise11_EraseAnAccount(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{ListLimit: 20, PageSize: 8})
	const account = "has-40-alice"
	e.sim.AddConversations("peer-1", imtest.Conversation{Type: 1, To: account, MsgTime: time.Now().Add(-time.Hour)},
		imtest.Conversation{Type: 1, To: "other", MsgTime: time.Now()})
	plan := e.reported(exitDone, account, "--request-id", "R-1", "--other-sides")
	if p := plan.Plan; plan.State != "planned" || p == nil || p.C2C != 15 || p.G2C != 5 || p.OtherSides != 15 || p.Deletes != 35 || len(e.parts()) != 0 {
		t.Errorf("plan: %+v, %+v, %d parts", plan, p, len(e.parts()))
	}
	shows(t, e.erase(account, "--request-id", "R-1"), `erasure "R-1" of "`+account+`": planned`, "to delete: 15 C2C, 5 G2C, 0 other sides", "nothing is published without --yes")
	e.serve()
	file := filepath.Join(t.TempDir(), "report.json")
	done := e.reported(exitDone, account, "--request-id", "R-1", "--other-sides", "--yes", "--report", file)
	if done.State != "verified" || done.Conversations != 70 || done.Deleted != 70 || done.Rounds != 2 || len(done.Exceptions)+len(done.Residue) != 0 ||
		done.Requested.IsZero() || done.Completed.Before(done.Requested) || len(done.Parts) != 70 || done.Limits == "" {
		t.Errorf("%+v", done)
	}
	if left := e.sim.Conversations(account); len(left) != 0 {
		t.Errorf("the API still has %v", left)
	}
	if left := e.sim.Conversations("peer-1"); len(left) != 1 || left[0].To != "other" {
		t.Errorf("peer-1 still has %v", left)
	}
	text, err := os.ReadFile(file)
	if at, statErr := os.Stat(file); err != nil || statErr != nil || at.Mode().Perm() != privateMode || readJSON[eraseReport](t, string(text)).State != "verified" {
		t.Errorf("%s, %v, %v", text, err, statErr)
	}
	again := e.reported(exitDone, account, "--request-id", "R-1", "--other-sides", "--yes")
	if again.State != "verified" || again.Rounds != 0 || !again.Requested.Equal(done.Requested) || len(e.parts()) != 70 {
		t.Errorf("again: %+v", again)
	}
	for part, times := range e.parts() {
		if times != 1 {
			t.Errorf("part %s was published %d times", part, times)
		}
	}
	run := e.erase(account, "--request-id", "R-1", "--other-sides", "--yes")
	shows(t, run, `erasure "R-1" of "`+account+`": verified`, "70 parts, 70 deleted, 0 exceptions, 0 conversations left")
}

// TestEraseGoesOn: what was published before the command was ended is not published again, and a stranger's record does not count.
func TestEraseGoesOn(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	const account = "has-4-bob"
	stranger := schema.Event{
		Conversation: schema.Conversation{From: account, Type: schema.C2C, To: "peer-2"}, Source: "/stranger", ErasureID: "R-1",
		ID: schema.PartID("R-1", schema.Conversation{From: account, Type: schema.C2C, To: "peer-1"}),
	}
	value, err := stranger.EncodeCloudEvent()
	if err != nil {
		t.Fatal(err)
	}
	forged := &kgo.Record{Topic: schema.Topic, Value: value, Headers: []kgo.RecordHeader{{Key: schema.ContentTypeHeader, Value: []byte(schema.ContentTypeStructured)}}}
	e.produce(forged)
	e.deleted(schema.DeadLetter{Topic: schema.Topic, Partition: int(forged.Partition), Offset: forged.Offset}.ID(), func(o *schema.Outcome) {
		o.Event, o.EventID, o.EventSource, o.ErasureID = &stranger, stranger.ID, stranger.Source, stranger.ErasureID
	})
	first := e.reported(exitUnfinished, account, "--request-id", "R-1", "--yes", "--wait", "1s")
	if first.State != "in_progress" || first.Conversations != 4 || first.Deleted != 0 || len(first.Notes) == 0 || !first.Completed.IsZero() {
		t.Errorf("%+v", first)
	}
	if reasons := strings.Join(first.Reasons, " "); !strings.Contains(reasons, "4 parts have not ended") || strings.HasPrefix(first.Limits, "Proves") {
		t.Errorf("%q, %q", reasons, first.Limits)
	}
	e.serve()
	done := e.reported(exitDone, account, "--request-id", "R-1", "--yes")
	if done.State != "verified" || done.Deleted != 4 || done.Rounds != 0 || len(e.sim.Conversations(account)) != 0 {
		t.Errorf("%+v", done)
	}
	for part, times := range e.parts() {
		if want := 1; times != want && part != stranger.ID || part == stranger.ID && times != 2 {
			t.Errorf("part %s was published %d times", part, times)
		}
	}
}

// TestEraseAfterRetention: where the topic no longer has a part's record, its outcome proves the part, and the report says so.
func TestEraseAfterRetention(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	e.serve()
	first := e.reported(exitDone, "has-3-alice", "--request-id", "R-1", "--yes")
	if _, err := e.admin.DeleteRecords(t.Context(), e.upToTheEnd(schema.Topic)); err != nil {
		t.Fatal(err)
	}
	again := e.reported(exitDone, "has-3-alice", "--request-id", "R-1", "--yes")
	if again.State != "verified" || again.Deleted != 3 || again.Rounds != 0 || len(e.parts()) != 0 || again.Requested.Before(first.Requested.Add(-time.Minute)) ||
		!strings.Contains(strings.Join(again.Notes, " "), "no longer in the topic") {
		t.Errorf("%+v", again)
	}
}

// upToTheEnd are the ends of a topic's partitions.
func (e *eraser) upToTheEnd(topic string) kadm.Offsets {
	e.t.Helper()
	ends, err := e.ends(e.t.Context(), topic)
	if err != nil {
		e.t.Fatal(err)
	}
	all := make(kadm.Offsets)
	for p, end := range ends {
		all.AddOffset(topic, p, end, -1)
	}
	return all
}

// TestEraseEndsWithExceptions: what can't be deleted, what has come to life again, and an account that never had anything.
func TestEraseEndsWithExceptions(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	e.serve()
	nothing := e.reported(exitExceptions, "nobody", "--request-id", "R-0", "--yes")
	if nothing.State != "exceptions" || len(nothing.Reasons) != 1 || !strings.Contains(nothing.Reasons[0], "nothing was ever found") {
		t.Errorf("%+v", nothing)
	}
	e.sim.SetConversations("code-50001-x", imtest.Conversation{Type: 1, To: "bob", MsgTime: time.Now().Add(-time.Hour)})
	e.sim.SetConversations("carol", imtest.Conversation{Type: 1, To: "bob", MsgTime: time.Now().Add(-time.Hour)})
	e.reported(exitDone, "carol", "--request-id", "R-1", "--yes")
	e.sim.AddConversations("carol", imtest.Conversation{Type: 1, To: "bob", MsgTime: time.Now().Add(time.Minute)})
	revived := e.reported(exitExceptions, "carol", "--request-id", "R-1", "--yes")
	if revived.State != "exceptions" || len(revived.Residue) != 1 || !strings.Contains(revived.Residue[0].Reason, "after the request") || len(e.sim.Conversations("carol")) != 1 {
		t.Errorf("%+v", revived)
	}
	if again := e.reported(exitDone, "carol", "--request-id", "R-2", "--yes"); again.State != "verified" || len(e.sim.Conversations("carol")) != 0 {
		t.Errorf("%+v", again)
	}
	also := filepath.Join(t.TempDir(), "also")
	if err := os.WriteFile(also, []byte("\ufeffc2c dave\r\n"+`{"From_Account":"carol","Type":2,"To_Account":"@TGS#1"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if more := e.reported(exitDone, "carol", "--request-id", "R-3", "--yes", "--also", also); more.State != "verified" || more.Deleted != 2 {
		t.Errorf("%+v", more)
	}
	shows(t, e.erase("carol", "--request-id", "R-3"), "planned", "2 parts, 2 deleted")
}

// TestEraseAsksForMoreLater: a request that was verified without ClearRamble asks for it of all its conversations again, though no list
// shows them any more.
func TestEraseAsksForMoreLater(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	e.serve()
	e.reported(exitDone, "has-2-alice", "--request-id", "R-1", "--yes")
	more := e.reported(exitDone, "has-2-alice", "--request-id", "R-1", "--clear-ramble", "--yes")
	if more.State != "verified" || more.Deleted != 2 || more.Rounds != 1 || !strings.Contains(string(more.Parts[0].Conversation), `"ClearRamble":1`) {
		t.Errorf("%+v", more)
	}
	if other := e.reported(exitDone, "has-1-zed", "--request-id", "R-1", "--yes"); other.State != "verified" || len(other.Notes) != 1 ||
		!strings.Contains(other.Notes[0], "4 records with the request's ID left out: of another account") {
		t.Errorf("%+v", other)
	}
}

// TestEraseWithoutAccounts: where neither a record nor an outcome says which conversation a part was, the report says that there are such.
func TestEraseWithoutAccounts(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	ids, _ := e.receiptsOf(asksFor("a", "b"))
	for _, id := range ids {
		e.deleted(id, func(o *schema.Outcome) { o.EventID, o.ErasureID = "x", "R-1" })
	}
	if _, err := e.admin.DeleteRecords(t.Context(), e.upToTheEnd(schema.Topic)); err != nil {
		t.Fatal(err)
	}
	report := e.reported(exitExceptions, "a", "--request-id", "R-1", "--yes")
	if text := strings.Join(report.Notes, " "); report.State != "exceptions" || !strings.Contains(text, "1 outcome with the request's ID left out: without accounts") {
		t.Errorf("%+v", report)
	}
	if run := invoke(t, e.env, "", "wait", "--erasure", "R-1"); run.status != exitDone || !strings.Contains(run.stdout, "1 deleted") {
		t.Errorf("%+v", run)
	}
}

// TestEraseRefuses: what is wrong with a command is said before anything is published.
func TestEraseRefuses(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	also := filepath.Join(t.TempDir(), "also")
	if err := os.WriteFile(also, []byte("bob\nc2c @TGS#1\n"+`{"From_Account":"eve","Type":1,"To_Account":"x"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	blanks := make(map[string]string) // an ID may have blanks, and these are most likely none
	for i, line := range []string{"c2c  bob", "c2c bob ", "c2c bob\t", "c2c bob # a friend", "g2c @TGS#1 "} {
		name := filepath.Join(t.TempDir(), strconv.Itoa(i))
		if err := os.WriteFile(name, []byte(line+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		blanks["alice --request-id R --also "+name] = "--also, line 1: has a blank too many"
	}
	wrong := map[string]string{
		"alice":                                      "--request-id is missing",
		"alice --request-id R --rate 0":              `--rate is "0"`,
		"alice --request-id R --list-flags 0":        `--list-flags is "0"`,
		"alice --request-id R --wait x":              `--wait is "x"`,
		"alice --request-id R --format ndjson":       `--format is "ndjson"`,
		"alice --request-id R --report -":            `--report is "-"`,
		"alice --request-id R --report /no/such/dir": `--report is "/no/such/dir"`,
		"alice --request-id R --since tomorrow":      `--since is "tomorrow"`,
		"alice --request-id R --also /no/such/file":  `--also is "/no/such/file"`,
		"alice --request-id R --also " + also:        "--also, line 1: must be",
		"@TGS#1 --request-id R":                      "ACCOUNT is ",
		"--request-id R":                             "<account>",
		strings.Repeat("x", 33) + " --request-id R":  "ACCOUNT is ",
		"alice --request-id R --outcome-topic=":      "--outcome-topic (CONVDEL_OUTCOME_TOPIC) is missing: must be the topic where",
		"alice --request-id R --report /":            `--report is "/"`,
		"alice --request-id R --report /dev/null":    `--report is "/dev/null"`,
		"alice --request-id R --report=":             "--report is missing",
		"alice --request-id R --also=":               "--also is missing",
	}
	maps.Copy(wrong, blanks)
	for args, want := range wrong {
		run := e.erase(append(strings.Fields(args), "--yes")...)
		if run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, want) {
			t.Errorf("%s: %+v, want %q", args, run, want)
		}
	}
	if n := len(e.parts()); n != 0 {
		t.Errorf("%d parts published", n)
	}
}

// TestEraseRefusesTheGroupOfAnotherApp: its service would delete that app's conversations.
func TestEraseRefusesTheGroupOfAnotherApp(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	e.receiptsOf(asksFor("a", "b"))
	p := e.serve()
	await(t, "the service has committed", func() bool { done, err := e.drained(t.Context()); return done && err == nil })
	p.end()
	run := invoke(t, e.env.with(environment{"CONVDEL_IM_SDKAPPID": "1400000001"}), "", "erase", "has-2-alice", "--request-id", "R", "--yes")
	if run.status != exitUsage || !strings.Contains(run.stderr, "group convdel deletes through app 1400000000") || len(e.parts()) != 1 {
		t.Errorf("%+v", run)
	}
}

// TestEraseReportIsTheContracts: the members that programs rely on.
func TestEraseReportIsTheContracts(t *testing.T) {
	t.Parallel()
	e := newEraser(t, imtest.Config{})
	e.serve()
	run := e.erase("has-1-alice", "--request-id", "R-1", "--yes", "--clear-ramble", "--format", "json")
	report := readJSON[map[string]json.RawMessage](t, run.stdout)
	for _, name := range []string{
		"request_id", "account", "state", "requested", "completed", "rounds", "conversations", "deleted", "exceptions", "residue", "parts", "limits",
	} {
		if report[name] == nil {
			t.Errorf("no %s in %s", name, run.stdout)
		}
	}
	part := readJSON[[]map[string]json.RawMessage](t, string(report["parts"]))[0]
	want := fmt.Sprintf("%q", schema.PartID("R-1", schema.Conversation{From: "has-1-alice", Type: schema.C2C, To: "peer-1"}))
	if string(part["event_id"]) != want || string(part["outcome"]) != `"deleted"` || part["record"] == nil || part["ended"] == nil || string(part["attempts"]) != "1" ||
		string(part["conversation"]) != `{"From_Account":"has-1-alice","Type":1,"To_Account":"peer-1","ClearRamble":1}` {
		t.Errorf("%s", report["parts"])
	}
}

// TestEraseIsNotHeldUpByOneAccountsList: while one other account's list fails, whatever with, everything else is deleted.
func TestEraseIsNotHeldUpByOneAccountsList(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]imtest.Fault{
		"a server's fault": {Code: 60008}, "too fast": {HTTPStatus: 429, RetryAfter: time.Hour}, "locked": {Code: 70050}, "refused": {Code: 50003},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEraser(t, imtest.Config{})
			fault.API, fault.Account = imtest.APIGetList, "bob"
			for _, to := range []string{"bob", "carol"} {
				at := time.Now().Add(-time.Hour)
				e.sim.SetConversations(to, imtest.Conversation{Type: 1, To: "alice", MsgTime: at})
				e.sim.AddConversations("alice", imtest.Conversation{Type: 1, To: to, MsgTime: at})
			}
			script := e.sim.Script(fault)
			e.serve()
			report := e.reported(exitUnfinished, "alice", "--request-id", "R-1", "--other-sides", "--yes", "--wait", "12s")
			if len(e.sim.Conversations("alice"))+len(e.sim.Conversations("carol")) != 0 || len(e.sim.Conversations("bob")) != 1 || report.Deleted != 3 ||
				len(report.Reasons) != 1 || !strings.Contains(report.Reasons[0], "the list of bob is not complete") {
				t.Errorf("%+v", report)
			}
			script.Remove()
			if report = e.reported(exitDone, "alice", "--request-id", "R-1", "--other-sides", "--yes"); report.State != "verified" || report.Deleted != 4 {
				t.Errorf("%+v", report)
			}
		})
	}
}
