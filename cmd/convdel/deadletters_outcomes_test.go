package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

// TestPromise11_SettlingIsRecorded: replay and discard record what they do in the topic that the letters name, with the name of the user; a
// topic that is none of outcomes is named and left alone until the operator says where to record.
func TestPromise11_SettlingIsRecorded(t *testing.T) {
	t.Parallel()
	const outcomes = "conversation.delete.ended"
	s := newShelf(t)
	names := func(topic string) func(*testLetter) { return func(l *testLetter) { l.OutcomeTopic = topic } }
	s.put(letterOf(1, names(outcomes)), letterOf(2, names(outcomes)), letterOf(3))
	shows(t, s.do("discard", "--reason", "x"), "To discard: 1 of 3", "2 naming a topic for outcomes that is not known as one (conversation.delete.ended: empty,")
	if _, err := s.admin.CreateTopic(t.Context(), 2, 1, nil, outcomes); err != nil {
		t.Fatal(err)
	}
	ended, err := schema.Outcome{Topic: schema.Topic, Partition: 3, Offset: 1, Kind: schema.OutcomeExhausted, Ended: time.Now()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	shows(t, s.do("replay", "--all", "--yes"), "replayed 1 of 1") // the third names no topic
	s.produce(&kgo.Record{Topic: outcomes, Key: ended.Key, Value: ended.Value})
	run := s.do("replay", "--id", id(1), "--yes", "--by", "carol")
	shows(t, run, "recorded in conversation.delete.ended: 1 outcome", "replayed 1 of 1")
	run = s.with("", "deadletters", "discard", "--reason", "OPS-1", "--all", "--yes", "--outcome-topic", "elsewhere")
	if run.status != exitFailed || !strings.Contains(run.stderr, "outcome not written to topic elsewhere") {
		t.Errorf("status %d, %q", run.status, run.stderr)
	}
	s.wantOpen(2)
	shows(t, s.do("discard", "--reason", "OPS-1", "--all", "--yes"), "discarded 1 of 1")
	s.wantOpen()
	ends, err := s.ends(t.Context(), outcomes)
	if err != nil {
		t.Fatal(err)
	}
	records, err := s.read(t.Context(), outcomes, offsets{}, ends)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]schema.Outcome{}
	for _, r := range records {
		o, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		found[o.ID()] = o
	}
	if o := found[id(1)+":replayed"]; o.By != "carol" || o.Event == nil {
		t.Errorf("of the replay: %+v", o)
	}
	if o := found[id(2)+":discarded"]; o.Reason != "OPS-1" || o.By == "" || len(found) != 3 {
		t.Errorf("of the discard: %+v; %d outcomes", o, len(found))
	}
	run = s.do("discard", "--reason", "x", "--outcome-topic", schema.Topic)
	if run.status != exitUsage || !strings.Contains(run.stderr, "--outcome-topic (CONVDEL_OUTCOME_TOPIC) is \"conversation.delete.requested\": must differ from --topic") {
		t.Errorf("status %d, %q", run.status, run.stderr)
	}
}
