package deadletter_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// set changes a setting of a topic.
func (s *shelf) set(topic, key, value string) {
	s.t.Helper()
	if _, err := kadm.NewClient(s.client).AlterTopicConfigs(s.t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic); err != nil {
		s.t.Fatal(err)
	}
}

// TestOneOversizeLetterStopsNoReplay: a record that the topic of events refuses stays a letter and is reported. The other
// letters are replayed.
func TestOneOversizeLetterStopsNoReplay(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.set(source, "max.message.bytes", "2000")
		s.put(letter(0))
		s.putTo(1, letter(1), bytes.Repeat([]byte("x"), 5000))
		time.Sleep(time.Second)
		s.put(letter(2), letter(3))
		table := s.open()
		defer table.Close()
		var skipped []string
		c := deadletter.Choice{Topic: source, Filter: deadletter.Filter{Limit: 4}, Skipped: func(l *deadletter.Letter, err error) {
			if !errors.Is(err, kafka.MessageSizeTooLarge) {
				s.t.Errorf("%s: %v", l.ID(), err)
			}
			skipped = append(skipped, l.ID())
		}}
		plan, err := table.Replay(s.t.Context(), c, nil)
		if err != nil || plan.Settled != 3 || plan.Skipped != 1 || !slices.Equal(skipped, []string{letter(1).ID()}) {
			s.t.Errorf("plan %+v, %v; skipped %v", plan, err, skipped)
		}
		s.wantOpen(1)
		if n := len(s.published()); n != 3 {
			s.t.Errorf("%d records published", n)
		}
		s.put(letter(4))
		c.Filter.Limit = 1 // the skipped letter counts
		if plan, err = table.Replay(s.t.Context(), c, nil); err != nil || plan.Settled != 0 || plan.Skipped != 1 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
	})
}

// TestOtherRefusalsStopAReplay: a refusal that may end soon, or concerns the whole topic, stops the replay, and all letters
// stay open.
func TestOtherRefusalsStopAReplay(t *testing.T) {
	t.Parallel()
	for code, goesOn := range map[kafka.Error]bool{
		kafka.MessageSizeTooLarge: true, kafka.RecordListTooLarge: true, kafka.InvalidRecord: true, kafka.InvalidMessageSize: true,
		kafka.TopicAuthorizationFailed: false, kafka.InvalidTopic: false, kafka.NotEnoughReplicas: false,
	} {
		t.Run(code.Title(), func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				s.put(letter(0), letter(1))
				s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: source, Err: kerr.TypedErrorForCode(int16(code)), Count: 20, When: firstLetter})
				table := s.open()
				defer table.Close()
				plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
				_, failed := errors.AsType[*deadletter.SettleError](err)
				if goesOn != (err == nil) || goesOn == failed || goesOn != (plan.Settled == 1) || goesOn != (plan.Skipped == 1) {
					s.t.Errorf("plan %+v, %v", plan, err)
				}
			})
		})
	}
}

// firstLetter returns true if a produce request holds the record of letter 0.
func firstLetter(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return ok && len(p.Topics) > 0 && len(p.Topics[0].Partitions) > 0 && bytes.Contains(p.Topics[0].Partitions[0].Records, []byte("user0"))
}

// TestLettersWithoutTheirRecord: a letter that has kept its event replays that event. A letter without one, and a batch,
// are left alone, with a reason, and can be discarded.
func TestLettersWithoutTheirRecord(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		long := time.Now().Add(-30 * time.Hour)
		omitted := &schema.Omitted{Why: "too large", Size: 9_000_000, SHA256: strings.Repeat("a", 64)}
		s.putTo(0, letter(0, func(d *schema.DeadLetter) { d.Omitted, d.Event = omitted, value(70) }), []byte{})
		s.putTo(1, letter(1, func(d *schema.DeadLetter) { d.Omitted, d.Class = omitted, schema.ClassUndecodable }), []byte{})
		s.putTo(2, letter(2, func(d *schema.DeadLetter) {
			d.Batch, d.Class = &schema.Batch{First: 2, Last: 9}, schema.ClassUndecodable
		}), []byte("raw"))
		s.putTo(0, letter(3, func(d *schema.DeadLetter) { d.Omitted, d.Event = omitted, happened(3, long) }), []byte{})
		table := s.open()
		defer table.Close()
		if got := s.ids(deadletter.Filter{Account: "user70"}); !slices.Equal(got, []string{letter(0).ID()}) {
			s.t.Errorf("letters of the account: %v", got)
		}
		for _, c := range []deadletter.Choice{{}, byID(0, 1, 2, 3)} {
			c.Topic, c.MaxAge = source, 24*time.Hour
			plan, err := table.PlanReplay(s.t.Context(), c)
			if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftOmitted] != 1 || plan.Left[deadletter.LeftBatch] != 1 ||
				plan.Left[deadletter.LeftTooOld] != 1 {
				s.t.Errorf("plan %+v, %v", plan, err)
			}
		}
		if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, MaxAge: 24 * time.Hour}, nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen(3, 1, 2)
		records := s.published()
		if len(records) != 1 || string(records[0].Value) != string(value(70)) || string(records[0].Key) != "key0" {
			s.t.Errorf("published %v", records)
		}
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{}, "seen", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen()
	})
}
