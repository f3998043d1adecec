//go:build kafka

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
)

// TestPromise11_KafkaOutcomesOutlastTheirRecords: outcomes prove the ends of records that were removed, of a dead letter whose tombstone compaction has
// removed, and of a topic that was made anew. They prove nothing of the new topic's records. A stranger's open transaction among them hides what follows, and wait
// infers nothing until it has ended.
func TestPromise11_KafkaOutcomesOutlastTheirRecords(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	s.createOutcomeTopic(1)
	s.produce(append(values(t, events("old", 0, 3)), []byte("no event"))...)
	p := s.recording()
	s.await(time.Minute, "every offset committed", s.drained)
	ids := []string{s.topic + "/0/0", s.topic + "/0/1", s.topic + "/0/2", s.topic + "/0/3"}
	s.lettersCommand("discard", "--id", ids[3], "--reason", "x", "--by", "operator", "--yes")

	s.compactLetters()
	s.deleteRecords(4)
	for i, id := range ids {
		want := row{ID: id, State: "ended", Outcome: "deleted", Evidence: "outcome", Proven: true}
		if i == 3 {
			want.Outcome = "discarded"
		}
		got := s.find("--id", id)[id]
		if got.Conversation.From = ""; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if rows := s.find("--account", "old-1"); len(rows) != 1 || !rows[ids[1]].Proven {
		t.Errorf("by account: %+v", rows)
	}

	p.stop()
	s.recreate()
	s.produce(values(t, events("new", 0, 1))...)
	if rows := s.find("--account", "new-0"); len(rows) != 1 || rows[ids[0]].State != "pending" {
		t.Errorf("an outcome of the former topic counts for the new one: %+v", rows)
	}
	wait := s.start(nil, append([]string{"wait", "--id", ids[1]}, s.evidenceFlags()...)...)
	if status := wait.status(time.Minute); status != 1 || !strings.Contains(wait.stderr.String(), "made anew") {
		t.Errorf("wait for a record of the former topic: exit status %d\n%s", status, wait.stderr.String())
	}
	end := s.transactInOutcomes()
	p = s.recording()
	s.await(time.Minute, "the new event deleted", func() bool { return len(s.deleted("new")) == 1 })
	s.await(time.Minute, "every offset committed", s.drained)
	const unfinished = 3
	ofNew := append([]string{"wait", "--id", ids[0], "--format", "ndjson"}, s.evidenceFlags()...)
	wait = s.start(nil, append(ofNew, "--timeout", "1s")...)
	if status := wait.status(time.Minute); status != unfinished || !strings.Contains(wait.stderr.String(), "a transaction is open") {
		t.Errorf("wait while the outcome is hidden: exit status %d\n%s", status, wait.stderr.String())
	}
	end()
	wait = s.start(nil, ofNew...)
	if status := wait.status(time.Minute); status != 0 || !rowsOf(t, wait.stderr.String())[ids[0]].Proven {
		t.Errorf("wait: exit status %d\n%s", status, wait.stderr.String())
	}
	p.stop()
}

// compactLetters waits until compaction has removed the tombstone from the dead letters.
func (s *stage) compactLetters() {
	s.tb.Helper()
	for name, value := range map[string]string{"delete.retention.ms": "0", "min.cleanable.dirty.ratio": "0.001", "segment.ms": "100", "max.compaction.lag.ms": "200"} {
		s.configure(s.dlt, name, value)
	}
	n := 0
	s.await(time.Minute, "dead letters compacted", func() bool {
		n++
		if n%10 == 1 { // a segment is closed by the next record
			r := &kgo.Record{Topic: s.dlt, Key: []byte("other"), Value: []byte("x")}
			if err := s.client.ProduceSync(s.tb.Context(), r).FirstErr(); err != nil {
				s.tb.Fatal(err)
			}
		}
		for _, r := range s.records(s.dlt) {
			if strings.HasPrefix(string(r.Key), s.topic) {
				return false
			}
		}
		return true
	})
}

// deleteRecords removes the records below an offset.
func (s *stage) deleteRecords(below int64) {
	s.tb.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: s.topic, At: below})
	res, err := s.admin.DeleteRecords(s.tb.Context(), offsets)
	if err != nil || res.Error() != nil {
		s.tb.Fatal(err, res.Error())
	}
}

// transactInOutcomes leaves a transaction open in the outcome topic until end is called.
func (s *stage) transactInOutcomes() (end func()) {
	s.tb.Helper()
	stranger := s.newClient(kgo.TransactionalID(s.outcomeTopic()), kgo.TransactionTimeout(5*time.Minute))
	err := stranger.BeginTransaction()
	if err == nil {
		err = stranger.ProduceSync(s.tb.Context(), &kgo.Record{Topic: s.outcomeTopic(), Value: []byte("x")}).FirstErr()
	}
	if err != nil {
		s.tb.Fatal(err)
	}
	return func() {
		if err := stranger.EndTransaction(s.tb.Context(), kgo.TryAbort); err != nil {
			s.tb.Fatal(err)
		}
	}
}
