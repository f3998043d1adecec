//go:build kafka

package e2e

import (
	"strings"
	"testing"
	"time"

	"convdel/imclient/imtest"
)

// TestPromise1_KafkaGroupMovedByATool: a tool sets the group to another offset and writes the old commit's metadata beside
// it. The list of finished offsets does not count there, so no event is skipped.
func TestPromise1_KafkaGroupMovedByATool(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	all := events("user", 0, 200)
	s.produce(values(t, all)...)
	failing := s.sim.Script(imtest.Fault{Account: "user-100", Code: 50004})
	p := s.service("--max-attempts", "1000")
	s.await(time.Minute, "all events deleted but one", func() bool { return len(s.deletes()) == len(all)-1 })
	s.await(time.Minute, "the offset of that one committed", func() bool { return s.committed()[0] == 100 })
	p.stop()

	found, err := s.admin.FetchOffsets(t.Context(), s.group)
	if err != nil || found.Error() != nil {
		t.Fatal(err, found.Error())
	}
	moved := found.Offsets()
	for _, partitions := range moved {
		for id, o := range partitions {
			if o.At != 100 || !strings.Contains(o.Metadata, "done=") {
				t.Errorf("the service has committed %+v, want 100 and a list", o)
			}
			o.At = 50
			partitions[id] = o
		}
	}
	if err := s.admin.CommitAllOffsets(t.Context(), s.group, moved); err != nil {
		t.Fatal(err)
	}
	failing.Remove()
	p = s.service()
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	if n := len(s.deadLetters()); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	s.wantDeleted(all)
	deletes := s.deletes()
	for n, e := range all {
		want := 1
		if n >= 50 && n != 100 { // everything from the tool's offset on is executed again
			want = 2
		}
		if deletes[e.From] != want {
			t.Errorf("%s deleted %d times, want %d", e.From, deletes[e.From], want)
		}
	}
}

// TestPromise10_KafkaGroupWithoutOffsets: a group without offsets, because of a mistyped name for example, does not repeat
// an old topic unless told to. Its first decision holds for later starts.
func TestPromise10_KafkaGroupWithoutOffsets(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2, imtest.Config{})
	older, old := events("older", 0, 30), events("old", 0, 20)
	s.produceAt(time.Now().Add(-30*time.Hour), values(t, older)...)
	s.produceAt(time.Now().Add(-12*time.Hour), values(t, old)...)
	group := s.group

	p := s.service("--start", "recent")
	p.wantRefusal("has no offsets", "has 50 records", "--start earliest", "--start latest", "--start with a time")
	if found, err := s.admin.FetchOffsets(t.Context(), s.group); err != nil || len(found) != 0 {
		t.Errorf("committed by a start that was refused: %v, %v", found, err)
	}
	if n := s.sim.Stats().Calls; n != 0 {
		t.Fatalf("%d calls of a start that was refused", n)
	}

	for _, test := range []struct {
		start string
		want  int
	}{{"latest", 0}, {"20h", 20}, {"earliest", 50}} {
		s.sim.Reset()
		s.group = group + "-" + strings.ToLower(test.start)
		p = s.service("--start", test.start)
		p.awaitGeneration()
		s.await(time.Minute, "every offset committed", s.drained)
		p.stop()
		if n := len(s.deletes()); n != test.want {
			t.Errorf("--start %s: %d events deleted, want %d", test.start, n, test.want)
		}
	}

	s.sim.Reset()
	fresh := events("fresh", 0, 10)
	s.produce(values(t, fresh)...)
	for _, started := range []string{"latest", "20h", "earliest"} { // later starts do not decide again
		s.sim.Reset()
		s.group = group + "-" + started
		p = s.service("--start", "recent")
		s.await(time.Minute, "every offset committed", s.drained)
		p.stop()
		if again := s.wantDeleted(fresh); again != 0 {
			t.Errorf("%d events done twice", again)
		}
	}
	s.sim.Reset()
	s.group += "t" // mistyped
	s.service("--start", "recent").wantRefusal("has no offsets", "has 60 records")
	if n := s.sim.Stats().Calls; n != 0 {
		t.Errorf("%d calls of a mistyped group", n)
	}
}

// wantRefusal waits for the process to end, and checks that it failed with one line that contains all parts.
func (p *process) wantRefusal(parts ...string) {
	p.tb.Helper()
	await(p.tb, time.Minute, "the end of a start that is refused", func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	if status := p.cmd.ProcessState.ExitCode(); status != 1 {
		p.tb.Errorf("exit status %d, want 1", status)
	}
	said := linesWith(p.stderr.String(), parts[0])
	for l := range strings.Lines(said) {
		for _, part := range parts {
			if !strings.Contains(l, part) {
				p.tb.Errorf("%q is not in the line %s", part, l)
			}
		}
	}
	if n := strings.Count(said, "\n"); n != 1 {
		p.tb.Errorf("%d lines, want 1:\n%s", n, said)
	}
}

// TestPromise1_KafkaTwoAppsInOneGroup: if two services of different apps, staging and production for example, use one
// group, only one of them executes events, until the other is told to take the group over.
func TestPromise1_KafkaTwoAppsInOneGroup(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, imtest.Config{})
	staging, err := imtest.Start(imtest.Config{SDKAppID: sdkAppID + 1, Identifier: admin, SecretKey: secretKey})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(staging.Close)
	const ours, others = "1400000001", "1400000002"
	asStaging := []string{"--im-endpoint", staging.URL, "--im-sdkappid", others}

	first := s.service()
	first.awaitGeneration()
	traffic := s.flow("user", 20*time.Millisecond)
	s.awaitCalls(50)
	s.service(asStaging...).wantRefusal("belongs to app "+ours, "this is app "+others, "--group", "--adopt "+ours)
	s.awaitCalls(50)
	sent := s.end(traffic)
	s.await(time.Minute, "every offset committed", s.drained)
	first.stop()
	s.service(asStaging...).wantRefusal("belongs to app "+ours, "--adopt "+ours)
	if n := staging.Stats().Calls; n != 0 {
		t.Errorf("%d calls through the other app", n)
	}
	if n := len(first.lines("generation begins")); n != 1 {
		t.Errorf("%d generations: who is turned away has joined", n)
	}
	if again := s.wantDeleted(sent); again != 0 {
		t.Errorf("%d events done twice", again)
	}

	s.sim.Reset()
	taken := events("taken", 0, 40)
	s.produce(values(t, taken)...)
	second := s.service(append(asStaging, "--adopt", ours)...)
	s.await(time.Minute, "every offset committed", s.drained)
	second.stop()
	s.service().wantRefusal("belongs to app "+others, "this is app "+ours)
	if n := s.sim.Stats().Calls; n != 0 {
		t.Errorf("%d calls through the app that was adopted", n)
	}
	if n := staging.Stats().Calls; n != len(taken) {
		t.Errorf("%d calls through the app that has adopted the group, want %d", n, len(taken))
	}
}
