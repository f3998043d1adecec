package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/internal/testkit"
	"convdel/schema"
)

// TestPromise10_NothingIsSettledBySlip: command lines that leave out, empty or contradict what decides about letters settle
// nothing, with exit status 2 and a line for each mistake.
func TestPromise10_NothingIsSettledBySlip(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2), letterOf(3))
	needsAll, empty := "without a filter, settling takes --all", "is missing"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, needsAll},
		{[]string{"--limit", "1"}, needsAll},
		{[]string{"--limit=0"}, needsAll},
		{[]string{"--expect", "3"}, needsAll},
		{[]string{"--until", "0"}, needsAll},
		{[]string{"--until", time.Now().AddDate(1, 0, 0).Format(time.DateOnly)}, needsAll},
		{[]string{"--account", " "}, "--account is \" \""},
		{[]string{"--account", "user1\r"}, "--account is \"user1\\r\""},
		{[]string{"--all", "--class", "exhausted"}, "--all is \"true\": not with a filter"},
		{[]string{"--all", "--id", id(1)}, "not with a filter"},
		{[]string{"--class", ""}, empty},
		{[]string{"--class="}, empty},
		{[]string{"--code", ""}, empty},
		{[]string{"--account", ""}, empty},
		{[]string{"--id", ""}, "--id is \"\""},
		{[]string{"--since", ""}, empty},
		{[]string{"--until", ""}, empty},
		{[]string{"--id", id(1) + ","}, "--id is \"\""},
		{[]string{"--all", "--limit", ""}, empty},
		{[]string{"--all", "--expect", ""}, empty},
		{[]string{"--all", "--by", ""}, empty},
		{[]string{"--all", "--by", " "}, "--by is \" \""},
		{[]string{"--all", "--expect=-1"}, "--expect is"},
		{[]string{"--all", "--expect", "few"}, "--expect is"},
		{[]string{"--since", "1h", "--until", "2h"}, "must be later than --since"},
		{[]string{"--since", "2h", "--until", "2h"}, "must be later than --since"},
		{[]string{"--since", time.Now().Add(time.Hour).Format(time.RFC3339)}, "is not past"},
		{[]string{"--account", "user1", "--account", "user2"}, "--account is given more than once"},
		{[]string{"--since", "1h", "--since", "30d"}, "--since is given more than once"},
		{[]string{"--class", "exhausted", "--limit", "1", "--limit", "100"}, "--limit is given more than once"},
		{[]string{"--all", "--expect", "1", "--expect", "3"}, "--expect is given more than once"},
	} {
		for _, command := range [][]string{{"discard", "--reason", "oops"}, {"replay"}} {
			run := s.do(append(append(command, "--yes"), c.args...)...)
			if run.status != exitUsage || run.stdout != "" || !strings.Contains(run.stderr, c.want) {
				t.Errorf("%s %q: %+v, want %q", command[0], c.args, run, c.want)
			}
		}
	}
	s.wantOpen(1, 2, 3)
	shows(t, s.do("discard", "--reason", "meant", "--all", "--yes"), "discarded 3 of 3")
	s.wantOpen()
}

// TestLettersExpect: the plan must have the number of letters that the operator has seen.
func TestLettersExpect(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2), letterOf(3))
	for _, args := range []string{"--all --expect 2 --yes", "--all --expect 4 --yes", "--all --expect 0 --yes", "--expect 2", "--all --limit 2 --expect 3 --yes", "--account nobody --expect 3 --yes"} {
		for _, command := range []string{"discard --reason x ", "replay "} {
			run := s.do(strings.Fields(command + args)...)
			if run.status != exitFailed || !strings.Contains(run.stderr, "another number of letters than expected: ") || !strings.Contains(run.stderr, "nothing has been changed") {
				t.Errorf("%s%s: %+v", command, args, run)
			}
		}
	}
	s.wantOpen(1, 2, 3)
	shows(t, s.do("replay", "--expect", "3"), "To replay: 3 of 3", "Add --all --yes")
	shows(t, s.do("replay", "--all", "--limit", "2", "--expect", "2", "--yes"), "replayed 2 of 2")
	shows(t, s.do("discard", "--reason", "x", "--class", "exhausted", "--expect", "1", "--yes"), "discarded 1 of 1")
	shows(t, s.do("discard", "--reason", "x", "--class", "exhausted", "--expect", "0", "--yes"), "Nothing to discard")
}

// TestLettersThatAreNotOpenAreReported: an ID that is not settled by this command is no success.
func TestLettersThatAreNotOpenAreReported(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	first := letterOf(9, func(l *testLetter) { l.Offset = 5 })
	s.put(letterOf(1), letterOf(2), letterOf(3, classed(schema.ClassPermanent, 50001)), first, first.again(6))
	shows(t, s.do("discard", "--reason", "closed, OPS-1", "--by", "alice", "--id", id(1), "--yes"), "discarded 1 of 1")
	for _, c := range []struct{ args, want string }{
		{"--id " + id(1), id(1) + ": not open: discarded by alice (closed, OPS-1) 20"},
		{"--id " + id(99), id(99) + ": not open: never there, or settled so long ago"},
		{"--id " + id(5), id(5) + ": not open: its replay failed again, as " + id(6)},
		{"--class exhausted --id " + id(3), id(3) + ": open, but another filter leaves it out"},
	} {
		for _, command := range []string{"discard --reason x ", "replay "} {
			for _, yes := range []string{"", " --yes"} {
				run := s.do(strings.Fields(command + c.args + yes)...)
				if run.status != exitFailed || !strings.Contains(run.stdout, c.want) || !strings.Contains(run.stderr, "letters that are not to be settled: 1 of --id") {
					t.Errorf("%s%s%s: %+v, want %q", command, c.args, yes, run, c.want)
				}
			}
		}
	}
	s.wantOpen(2, 3, 6)
	run := s.do("replay", "--yes", "--id", id(2)+","+id(99)+","+id(2)) // the others go on, as after an interruption
	if run.status != exitFailed || !strings.Contains(run.stdout, "replayed 1 of 1") || !strings.Contains(run.stderr, "1 of --id") {
		t.Errorf("%+v", run)
	}
	s.wantOpen(3, 6)
}

// TestLettersAreSettledInANameOrThatOfTheUser: tombstones of both commands say by whom and when.
func TestLettersAreSettledInANameOrThatOfTheUser(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2))
	began := time.Now().Truncate(time.Second)
	shows(t, s.do("replay", "--id", id(1), "--by", "OPS on call", "--yes"), "replayed 1 of 1")
	shows(t, s.do("discard", "--id", id(2), "--reason", "x", "--yes"), "discarded 1 of 1")
	want := map[string]schema.Settlement{id(1): {By: "OPS on call"}, id(2): {By: userName(environment{}.lookup), Reason: "x"}}
	if want[id(2)].By == "" {
		t.Error("the user has no name")
	}
	for _, l := range s.settled() {
		w := want[l.ID]
		if l.By != w.By || l.Reason != w.Reason || l.Settled.Before(began) || l.Settled.After(time.Now()) {
			t.Errorf("%+v, want %+v", l, w)
		}
		delete(want, l.ID)
	}
	if len(want) > 0 {
		t.Errorf("not settled: %v", want)
	}
}

// settled lists settled letters for programs.
func (s *shelf) settled(args ...string) []settledLetter {
	s.t.Helper()
	run := s.do(append([]string{"list", "--settled", "--format", "ndjson"}, args...)...)
	if run.status != exitDone || !strings.Contains(run.stderr, "settled dead letter") {
		s.t.Fatalf("list --settled %v: %+v", args, run)
	}
	var list []settledLetter
	for line := range strings.Lines(run.stdout) {
		var l settledLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			s.t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

// settledShelf has a replayed and a discarded letter, and one that another program has settled after compaction.
func settledShelf(t *testing.T) *shelf {
	t.Helper()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2, classed(schema.ClassPermanent, 50001)), letterOf(3))
	shows(t, s.do("replay", "--id", id(1), "--by", "alice", "--yes"), "replayed 1 of 1")
	shows(t, s.do("discard", "--id", id(2), "--by", "bob", "--reason", "closed", "--yes"), "discarded 1 of 1")
	s.produce(&kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(id(4))})
	return s
}

func TestLettersListSettled(t *testing.T) {
	t.Parallel()
	s := settledShelf(t)
	shows(t, s.do("list", "--settled"), "ID SETTLED HOW BY CLASS CONVERSATION REASON",
		" replayed alice exhausted C2C user1 → friend", " discarded bob permanent C2C user2 → friend closed", id(4)+" ", " unknown - - gone",
		"listed 3 of 3 settled dead letters in "+schema.DeadLetterTopic)
	for args, want := range map[string]string{
		"": "1 2 4", "--class permanent": "2", "--code 50004": "1", "--account user2": "2", "--id " + id(4) + "," + id(3): "4", "--since 1h": "1 2 4", "--until 1h": "",
		"--limit 1": "1", "--newest 1": "4",
	} {
		var got []string
		for _, l := range s.settled(strings.Fields(args)...) {
			got = append(got, l.ID[strings.LastIndexByte(l.ID, '/')+1:])
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", args, got, want)
		}
	}
	if run := s.do("list", "--settled", "--class", "permanent"); !strings.Contains(run.stdout, "1 letter more is settled, and of what is left of the letter nobody can tell") {
		t.Errorf("nothing said of a letter of which nobody can tell: %+v", run)
	}
	var whole struct {
		Letters           []settledLetter
		Settled, Unjudged int
	}
	run := s.do("list", "--settled", "--format", "json", "--account", "user1")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Letters) != 1 || whole.Settled != 3 || whole.Unjudged != 1 ||
		whole.Letters[0].Letter.From != "user1" || whole.Letters[0].How != settledReplayed || whole.Letters[0].By != "alice" {
		t.Errorf("%v: %s", err, run.stdout)
	}
	for args, want := range map[string]string{
		"--settled --summary": "not with --summary", "--settled --watch": "not with --settled", "--newest 2 --limit 3": "not with --limit",
		"--newest 2 --watch": "not with --newest", "--newest 2 --summary": "not with --summary", "--newest=-1": "--newest is \"-1\"", "--newest=": "--newest is missing",
	} {
		if run := s.do(append([]string{"list"}, strings.Fields(args)...)...); run.status != exitUsage || !strings.Contains(run.stderr, want) {
			t.Errorf("%s: %+v", args, run)
		}
	}
}

func TestLettersShowSettled(t *testing.T) {
	t.Parallel()
	s := settledShelf(t)
	shows(t, s.do("show", id(2)), "Dead letter "+id(2)+", settled", "how discarded by bob (closed)", "class permanent", "From_Account user2",
		"convdel deadletters export --brokers="+s.address+" --settled --id "+id(2)+" | convdel publish --brokers="+s.address)
	shows(t, s.do("show", id(1)), "how replayed by alice", "class exhausted", "From_Account user1")
	shows(t, s.do("show", id(4)), "how settled by an older version or another program", "The letter itself is gone", "kcat -C -b "+s.address+" -t "+schema.Topic+" -p 3 -o 4 -c 1")
	if run := s.do("show", id(1)); strings.Contains(run.stdout, "discard") || strings.Contains(run.stdout, "Settle it") {
		t.Errorf("a settled letter is to be settled: %s", run.stdout)
	}
	s.put(letterOf(1).again(7))
	shows(t, s.do("show", id(1)), "since then its replay failed again, as "+id(7))
	if run := s.do("show", id(99)); run.status != exitFailed || !strings.Contains(run.stderr, "never there, or settled so long ago") {
		t.Errorf("%+v", run)
	}
}

// TestDiscardsAreUndoneFromTheTopic: as long as compaction leaves a discarded letter, it can be exported and published.
func TestDiscardsAreUndoneFromTheTopic(t *testing.T) {
	t.Parallel()
	s := settledShelf(t)
	run := s.do("export", "--settled", "--class", "permanent")
	if run.status != exitDone || !strings.Contains(run.stderr, "exported 1 of 3 settled dead letters") || !strings.Contains(run.stderr, "1 more is gone or can't be told") {
		t.Fatalf("%+v", run)
	}
	if again := s.with(run.stdout, "publish"); again.status != exitDone || !strings.Contains(again.stdout, "published 1, refused 0") {
		t.Errorf("%+v", again)
	}
	if run := s.do("export", "--settled"); strings.Count(run.stdout, "\n") != 2 || !strings.Contains(run.stderr, "exported 2 of 3") {
		t.Errorf("%+v", run)
	}
}

func TestLettersListNewest(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for o := range int64(9) {
		s.put(letterOf(o, func(l *testLetter) { l.written = time.Now().Add(time.Duration(o-9) * time.Minute) }))
	}
	for n, want := range map[int]string{1: "8", 3: "6 7 8", 4: "5 6 7 8", 9: "0 1 2 3 4 5 6 7 8", 50: "0 1 2 3 4 5 6 7 8"} {
		run := s.do("list", "--format", "ndjson", "--newest", strconv.Itoa(n))
		var got []string
		for line := range strings.Lines(run.stdout) {
			var l listedLetter
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatal(err)
			}
			got = append(got, l.ID[strings.LastIndexByte(l.ID, '/')+1:])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("--newest %d: %v, want %s", n, got, want)
		}
	}
	shows(t, s.do("list", "--newest", "2", "--account", "user3"), "C2C user3 → friend", "listed 1 of 9")
}

// TestLettersListFindsAccountsInWhatIsNoEvent: the list of an account's letters is no all-clear while letters may hide it.
func TestLettersListFindsAccountsInWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	undecodable := func(value string) func(*testLetter) {
		return func(l *testLetter) {
			l.Class, l.Code, l.Error, l.value = schema.ClassUndecodable, 0, "not an event", []byte(value)
		}
	}
	s.put(letterOf(7), letterOf(1, undecodable(`{"From_Account":"user7","Type":"1"}`)), letterOf(2, undecodable(`{'x':'\u0075ser7'}`)),
		letterOf(3, undecodable("hello"), func(l *testLetter) { l.Key = []byte("1:5:user7:b") }), letterOf(4, undecodable("somebody else's")),
		letterOf(5, undecodable("\x1f\x8b\x08")), letterOf(6, undecodable("hello"), func(l *testLetter) {
			l.source = []schema.Header{{Key: "ce_subject", Value: []byte("user7")}}
		}))
	run := s.do("list", "--account", "user7")
	shows(t, run, id(7)+" 1h0m exhausted 50004 6 C2C user7 → friend im api", id(1)+" 1h0m undecodable - 6 ? in a field not an event", "? in the bytes", "? in the key",
		"? in a header", "listed 5 of 7", "4 of these are no event and marked with the place", "1 letter more is no event and may concern anybody")
	if strings.Contains(run.stdout, id(4)) || strings.Contains(run.stdout, id(5)) {
		t.Errorf("listed without a reason: %s", run.stdout)
	}
	var whole struct {
		Letters  []listedLetter
		Unjudged int
	}
	run = s.do("list", "--account", "user7", "--format", "json")
	if err := json.Unmarshal([]byte(run.stdout), &whole); err != nil || len(whole.Letters) != 5 || whole.Unjudged != 1 {
		t.Fatalf("%v: %s", err, run.stdout)
	}
	var got []string
	for _, l := range whole.Letters {
		got = append(got, string(l.Match))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"", "bytes", "field", "header", "key"}) {
		t.Errorf("matches %q", got)
	}
	shows(t, s.do("list", "--summary", "--account", "user7"), "counted 5 of 7", "4 of these are no event", "1 letter more is no event and may concern anybody")
	if run := s.do("list", "--account", "user7", "--format", "ndjson"); !strings.Contains(run.stderr, "1 letter more is no event") {
		t.Errorf("%+v", run)
	}
	for _, command := range []string{"replay", "discard --reason x"} {
		shows(t, s.do(append(strings.Fields(command), "--account", "user7", "--yes", "--expect", "1")...), "1 of 7 open dead letters",
			"6 open letters have no event, so --account selects none of these")
		s.wantOpen(1, 2, 3, 4, 5, 6)
		s.put(letterOf(7))
	}
}

func TestExportsArePrivate(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1))
	path := filepath.Join(t.TempDir(), "letters.ndjson")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	run := s.do("export", "--output", path)
	if run.status != exitDone || run.stdout != "" || !strings.Contains(run.stderr, "exported 1, all that are open") || modeOf(t, path) != 0o600 ||
		contentOf(t, path) != s.do("export").stdout {
		t.Errorf("%+v, mode %s, %q", run, modeOf(t, path), contentOf(t, path))
	}
	if run := s.do("export", "--output", "-"); run.status != exitUsage || !strings.Contains(run.stderr, "--output is \"-\"") {
		t.Errorf("%+v", run)
	}
	if run := s.do("export", "--output", ""); run.status != exitUsage || !strings.Contains(run.stderr, "--output is missing") {
		t.Errorf("%+v", run)
	}
	if run := s.do("export", "--output", filepath.Join(path, "x")); run.status != exitFailed || run.stdout != "" {
		t.Errorf("%+v", run)
	}
}

// failingOutput takes nothing: the disk is full, or the reader has gone away.
type failingOutput struct{ err error }

func (o failingOutput) Write([]byte) (int, error) { return 0, o.err }

// TestPromise10_NothingIsSettledUnlessItsPlanIsShown: a plan that can't be written is no plan that anybody has seen.
func TestPromise10_NothingIsSettledUnlessItsPlanIsShown(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.put(letterOf(1), letterOf(2))
	for _, command := range []string{"discard --reason x --all --yes", "replay --all --yes", "discard --reason x", "replay"} {
		for _, reason := range []error{syscall.ENOSPC, syscall.EPIPE} {
			var stderr testkit.Buffer
			con := &console{stdout: failingOutput{reason}, stderr: &stderr, env: environment{"CONVDEL_BROKERS": s.address}.lookup}
			status := execute(t.Context(), append([]string{"deadletters"}, strings.Fields(command)...), con)
			if status != exitFailed || !strings.Contains(stderr.String(), "nothing has been changed") {
				t.Errorf("%s: exit status %d, stderr %q", command, status, stderr.String())
			}
		}
	}
	s.wantOpen(1, 2)
	if n := len(published(t, s.demoBroker)); n != 0 {
		t.Errorf("%d records published", n)
	}
}
