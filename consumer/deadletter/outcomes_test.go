package deadletter_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

const outcomeTopic = "events.outcome"

// told makes a letter name the topic for its outcome.
func told(d *schema.DeadLetter) { d.OutcomeTopic = outcomeTopic }

// recorded creates the outcome topic, and puts the outcomes of letters there, as the service does.
func (s *shelf) recorded(letters ...schema.DeadLetter) {
	s.t.Helper()
	if err := s.kafka.CreateTopic(outcomeTopic, 3, nil); err != nil {
		s.t.Fatal(err)
	}
	for _, d := range letters {
		o := schema.Outcome{Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Kind: schema.OutcomeKind(d.Class), Group: d.Group, Ended: time.Now()}
		r, err := o.Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		s.produce(&kgo.Record{Topic: outcomeTopic, Key: r.Key, Value: r.Value})
	}
}

// settlements reads the outcomes of settlements, in order for each record.
func (s *shelf) settlements() (all []schema.Outcome) {
	s.t.Helper()
	for _, r := range s.read(outcomeTopic) {
		o, err := schema.DecodeOutcome(r.Key, r.Value)
		if err != nil {
			s.t.Fatalf("%s: %v", r.Value, err)
		}
		if o.Kind.Settles() {
			all = append(all, o)
		}
	}
	return all
}

// TestPromise11_SettlementsHaveOutcomes: a discard and a replay are recorded in the topic that the letter names, with who, when and why,
// and everything that the letter says of its event. A letter that names no topic is settled without.
func TestPromise11_SettlementsHaveOutcomes(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		first := time.Now()
		full := letter(0, told, func(d *schema.DeadLetter) { d.FirstAttempt, d.ReplayOf, d.Replays = first, letter(9).ID(), 1 })
		hidden := letter(2, told, func(d *schema.DeadLetter) { d.OutcomeHidesAccounts = true })
		s.recorded(full)
		s.putTo(0, full, []byte(`{"specversion":"1.0","id":"5f0c","source":"/accounts","type":"conversation.delete.requested","erasureid":"R-1",`+
			`"data":{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}}`))
		s.put(letter(1), hidden)
		s.putTo(0, letter(3, told, func(d *schema.DeadLetter) { d.Class, d.Code = schema.ClassUndecodable, 0 }), []byte("garbage"))
		table := s.open()
		defer table.Close()
		plan, err := table.PlanDiscard(s.t.Context(), deadletter.Choice{Topic: source})
		if err != nil || plan.Settled != 4 || !reflect.DeepEqual(plan.Outcomes, map[string]int{outcomeTopic: 3}) {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		if len(s.settlements()) != 0 {
			s.t.Error("a plan has recorded something")
		}
		only := func(n int64) deadletter.Filter { return deadletter.Filter{IDs: []string{letter(n).ID()}} }
		if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, By: "carol", Filter: only(0)}, nil); err != nil {
			s.t.Fatal(err)
		}
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{Topic: source, By: "carol"}, "OPS-1", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen()
		got := make(map[string]schema.Outcome)
		for _, o := range s.settlements() {
			got[o.ID()] = o
		}
		replayed, ofHidden, ofGarbage := got[full.ID()+":replayed"], got[hidden.ID()+":discarded"], got[letter(3).ID()+":discarded"]
		want := schema.Outcome{
			Topic: source, Offset: 0, Kind: schema.OutcomeReplayed, Group: "convdel", Code: 50004, Attempts: 6,
			FirstAttempt: first.UTC(), Ended: replayed.Ended, EventID: "5f0c", EventSource: "/accounts", ErasureID: "R-1",
			Event:    &schema.Event{Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"}, ClearRamble: true},
			ReplayOf: letter(9).ID(), By: "carol",
		}
		if !reflect.DeepEqual(replayed, want) {
			s.t.Errorf("of a replay: %+v\nwant %+v", replayed, want)
		}
		if ofHidden.Event != nil || ofHidden.Reason != "OPS-1" || ofHidden.By != "carol" {
			s.t.Errorf("of a letter whose service records no accounts: %+v", ofHidden)
		}
		if ofGarbage.Kind == "" || ofGarbage.Event != nil || len(got) != 3 {
			s.t.Errorf("of garbage: %+v; %d in all", ofGarbage, len(got))
		}
		for _, r := range s.read(dlt) {
			if r.Value == nil && string(r.Key) == full.ID() {
				if at := schema.ParseSettlement(headersOf(r)).At; !at.Equal(replayed.Ended) {
					s.t.Errorf("the tombstone is of %s, the outcome of %s", at, replayed.Ended)
				}
			}
		}
	})
}

func headersOf(r *kgo.Record) (all []schema.Header) {
	for _, h := range r.Headers {
		all = append(all, schema.Header{Key: h.Key, Value: h.Value})
	}
	return all
}

// TestPromise11_SettledAlongIsRecorded: a letter that is settled along with that of its replay has an outcome of its own.
func TestPromise11_SettledAlongIsRecorded(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		old := letter(0, told)
		s.recorded(old)
		s.put(old)
		s.putTo(1, letter(1, told, func(d *schema.DeadLetter) {
			d.Replays, d.ReplayOf, d.Key, d.Timestamp = 1, old.ID(), old.Key, old.Timestamp
		}), value(0))
		table := s.open()
		defer table.Close()
		plan, err := table.Discard(s.t.Context(), deadletter.Choice{Topic: source, By: "carol"}, "why", nil)
		if err != nil || plan.Along != 1 || plan.Outcomes[outcomeTopic] != 2 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		var records []string
		for _, o := range s.settlements() {
			records = append(records, o.ID())
			if o.Reason != "why" || o.By != "carol" || o.Event == nil || o.Event.From != "user0" {
				s.t.Errorf("%+v", o)
			}
		}
		if text := strings.Join(records, " "); len(records) != 2 || !strings.Contains(text, old.ID()+":discarded") || !strings.Contains(text, letter(1).ID()+":discarded") {
			s.t.Errorf("recorded: %v", records)
		}
	})
}

// TestPromise11_NoTombstoneWithoutOutcome: while the outcome topic takes nothing, no letter is settled. The same command goes on, and the
// outcome has the same id.
func TestPromise11_NoTombstoneWithoutOutcome(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.recorded(letter(0))
		s.put(letter(0, told), letter(1, told))
		table := s.open()
		defer table.Close()
		refused := s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: outcomeTopic, Err: kerr.NotEnoughReplicas, Count: -1})
		discard := func() error {
			_, err := table.Discard(s.t.Context(), deadletter.Choice{Topic: source}, "why", nil)
			return err
		}
		replay := func() error {
			_, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
			return err
		}
		for published, settle := range map[bool]func() error{false: discard, true: replay} {
			var failed *deadletter.SettleError
			var outcome *deadletter.OutcomeError
			if err := settle(); !errors.As(err, &failed) || failed.Published != published || !errors.As(err, &outcome) || outcome.Topic != outcomeTopic {
				s.t.Errorf("published %t: %v", published, err)
			}
			s.wantOpen(0, 1)
		}
		refused.Remove()
		lost := s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: dlt, Err: kerr.NotEnoughReplicas, Count: -1})
		if err := discard(); err == nil {
			s.t.Error("settled without a tombstone")
		}
		lost.Remove()
		if err := discard(); err != nil {
			s.t.Error(err)
		}
		s.wantOpen()
		ids := make(map[string]int)
		for _, o := range s.settlements() {
			ids[o.ID()]++
		}
		if len(ids) != 2 || ids[letter(0).ID()+":discarded"] != 2 || ids[letter(1).ID()+":discarded"] != 1 {
			s.t.Errorf("recorded: %v", ids)
		}
	})
}

// TestPromise10_AForgedOutcomeTopicIsNotWrittenTo: a letter can name any topic, and an operator may be allowed to write to it. Only a topic
// whose newest records are outcomes is believed. The operator's own word decides for all others.
func TestPromise10_AForgedOutcomeTopicIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	names := func(topic string) func(*schema.DeadLetter) {
		return func(d *schema.DeadLetter) { d.OutcomeTopic = topic }
	}
	for name, arrange := range map[string]func(s *shelf) string{
		"no topic":            func(*shelf) string { return "not.there" },
		"an empty topic":      func(s *shelf) string { _ = s.kafka.CreateTopic("payments", 2, nil); return "payments" },
		"the topic of events": func(s *shelf) string { s.produce(&kgo.Record{Topic: source, Value: value(1)}); return source },
		"the dead letters":    func(*shelf) string { return dlt },
		"other records among the newest": func(s *shelf) string {
			_ = s.kafka.CreateTopic("payments", 1, nil)
			s.recorded()
			for _, o := range []schema.Outcome{{Topic: source, Kind: schema.OutcomeDeleted, Ended: time.Now()}} {
				r, _ := o.Encode()
				s.produce(&kgo.Record{Topic: "payments", Key: r.Key, Value: r.Value}, &kgo.Record{Topic: "payments", Value: []byte("10 EUR")},
					&kgo.Record{Topic: "payments", Key: r.Key, Value: r.Value})
			}
			return "payments"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				forged := arrange(s)
				s.put(letter(0, names(forged)), letter(1))
				before := len(s.read(dlt))
				table := s.open()
				defer table.Close()
				plan, err := table.Discard(s.t.Context(), deadletter.Choice{}, "why", nil)
				if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftOutcomeTopic] != 1 || fmt.Sprint(plan.Doubted) != "["+forged+"]" {
					s.t.Fatalf("plan %+v, %v", plan, err)
				}
				s.wantOpen(0)
				if n := len(s.read(dlt)); n != before+1 {
					s.t.Errorf("%d records in the dead-letter topic, want the tombstone of the other letter", n)
				}
				_ = s.kafka.CreateTopic(outcomeTopic, 3, nil)
				if _, err := table.Discard(s.t.Context(), deadletter.Choice{OutcomeTopic: outcomeTopic}, "why", nil); err != nil {
					s.t.Fatal(err)
				}
				s.wantOpen()
				if got := s.settlements(); len(got) != 1 || got[0].ID() != letter(0).ID()+":discarded" {
					s.t.Errorf("recorded where the operator says: %v", got)
				}
			})
		})
	}
}

// TestPromise10_ManyOutcomeTopics: letters that name many topics cost a bounded number of looks.
func TestPromise10_ManyOutcomeTopics(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for n := range int64(30) {
			s.putTo(0, letter(n, func(d *schema.DeadLetter) { d.OutcomeTopic = fmt.Sprint("topic.", n) }), value(n))
		}
		table := s.open()
		defer table.Close()
		plan, err := table.PlanDiscard(s.t.Context(), deadletter.Choice{})
		if err != nil || plan.Settled != 0 || plan.Left[deadletter.LeftOutcomeTopic] != 30 || len(plan.Doubted) != 16 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
	})
}
