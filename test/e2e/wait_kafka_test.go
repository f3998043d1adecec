//go:build kafka

package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestPromise11_KafkaPublishThenWait publishes events and gives their receipts to wait, while the service, which looks for conversations that have come to
// life again, is killed in between. What wait and events find say is what the simulator and the dead letters say, by outcomes and without them.
func TestPromise11_KafkaPublishThenWait(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, imtest.Config{Latency: imtest.Uniform(time.Millisecond, 5*time.Millisecond)})
	s.createOutcomeTopic(4)
	asked := s.askedAndListed()
	receipts := s.receipts(asked)
	if len(receipts) != len(asked) {
		t.Fatalf("%d receipts of %d events", len(receipts), len(asked))
	}
	var input strings.Builder
	for id := range receipts {
		fmt.Fprintf(&input, "{\"id\":%q}\n", id)
	}
	wait := s.start(strings.NewReader(input.String()), append([]string{"wait", "--timeout", "2m", "--format", "ndjson"}, s.evidenceFlags()...)...)
	service := s.recording("--revived-check", "10m")
	s.awaitCalls(1 + rand.IntN(150))
	s.killRecording(service)
	service = s.recording("--revived-check", "10m")
	const exceptions = 4
	if status := wait.status(2 * time.Minute); status != exceptions {
		t.Errorf("wait: exit status %d", status)
	}
	s.wantEnds(receipts, len(asked), rowsOf(t, wait.stderr.String()), "outcome")
	s.wantEnds(receipts, 100, s.find("--erasure", "R-9"), "outcome")
	for _, account := range []string{"good-7", "old-7", "revived-7", "gone-7", "code-50001-7"} {
		s.wantEnds(receipts, 1, s.find("--account", account), "outcome")
	}
	s.books()
	s.await(time.Minute, "every offset committed", s.drained)
	service.stop()
	without := s.start(strings.NewReader(input.String()), append([]string{"wait", "--format", "ndjson", "--outcome-topic="}, s.evidenceFlags()[:8]...)...)
	if status := without.status(time.Minute); status != exceptions {
		t.Errorf("wait without outcomes: exit status %d", status)
	}
	s.wantEnds(receipts, len(asked), rowsOf(t, without.stderr.String()), "offset", "dead_letter")
}

// askedAndListed returns events, some of them old, and has the simulator list the conversations of the old ones: with a message before the event, with one
// after it, and not at all.
func (s *stage) askedAndListed() (asked []schema.Event) {
	now := time.Now()
	for prefix, n := range map[string]int{"good": 200, "old": 60, "revived": 20, "gone": 20, "code-50001": 10} {
		for i, e := range events(prefix, 0, n) {
			e.ID, e.Source, e.Time = e.From, "/test", now
			switch prefix {
			case "good":
				if i < 100 {
					e.ErasureID = "R-9"
				}
			case "old", "revived", "gone":
				e.Time = now.Add(-2 * time.Hour)
			}
			switch prefix {
			case "old":
				s.sim.SetConversations(e.From, imtest.Conversation{Type: 1, To: e.To, MsgTime: now.Add(-3 * time.Hour)})
			case "revived":
				s.sim.SetConversations(e.From, imtest.Conversation{Type: 1, To: e.To, MsgTime: now.Add(-time.Hour)})
			}
			asked = append(asked, e)
		}
	}
	return asked
}

// receipts publishes events, and returns the IDs of their records with their accounts.
func (s *stage) receipts(asked []schema.Event) map[string]string {
	s.tb.Helper()
	var lines strings.Builder
	for _, e := range asked {
		value, err := e.EncodeCloudEvent()
		if err != nil {
			s.tb.Fatal(err)
		}
		lines.Write(append(value, '\n'))
	}
	p := s.start(strings.NewReader(lines.String()), "publish", "--brokers", strings.Join(s.brokers, ","), "--topic", s.topic, "--format", "ndjson")
	if status := p.status(time.Minute); status != 0 {
		s.tb.Fatalf("publish: exit status %d\n%s", status, p.stderr.String())
	}
	accounts := make(map[string]string)
	for id, r := range rowsOf(s.tb, p.stderr.String()) {
		accounts[id] = r.Conversation.From
	}
	return accounts
}

// wantEnds compares so many rows with the events' accounts, with the simulator's ledger, and with the dead letters. Evidence is what each row may rest on.
func (s *stage) wantEnds(receipts map[string]string, n int, rows map[string]row, evidence ...string) {
	s.tb.Helper()
	if len(rows) != n {
		s.tb.Errorf("%d rows, want %d", len(rows), n)
	}
	letters := s.deadLetters()
	for id, r := range rows {
		account := receipts[id]
		prefix, _, _ := strings.Cut(account, "-")
		want := map[string]string{"revived": "revived", "code": "permanent"}[prefix]
		deletes := s.sim.Deleted(account, int(schema.C2C), "friend")
		letter := letters[id]
		switch {
		case account == "" || r.Conversation.From != account || r.State != "ended":
			s.tb.Errorf("row %+v of account %q", r, account)
		case want == "" && (r.Outcome != "deleted" || deletes == 0 || letter != nil):
			s.tb.Errorf("row %+v: %d deletes, letter %v", r, deletes, letter)
		case want != "" && (r.Outcome != want || deletes != 0 || letter == nil || testkit.Header(letter, schema.HeaderClass) != want):
			s.tb.Errorf("row %+v, want %s: %d deletes, letter %v", r, want, deletes, letter)
		case !slices.Contains(evidence, r.Evidence) || r.Proven != (r.Evidence != "offset"):
			s.tb.Errorf("row %+v: its evidence is none of %v", r, evidence)
		}
	}
}
