package deadletter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

func TestDiscardSaysWhy(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1))
		table := s.open()
		defer table.Close()
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{}, "", nil); err == nil {
			s.t.Error("discarded without a reason")
		}
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{Filter: deadletter.Filter{IDs: []string{letter(0).ID()}}}, "asked for by nobody", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen(1)
		if len(s.published()) != 0 {
			s.t.Error("a discard has published something")
		}
	})
}

// happened is an event that names the time at which it happened.
func happened(n int64, at time.Time) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"/test","type":"conversation.delete.requested","time":%q,"data":%s}`,
		n, at.Format(time.RFC3339), value(n))
}

// TestAgeIsTheEvents: the age of an event that names its time does not depend on when its record was published. A replay of
// an event that was published late must not wipe a conversation that has come back to life.
func TestAgeIsTheEvents(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		now := time.Now()
		long := now.Add(-25 * time.Hour)
		s.putTo(0, letter(0), happened(0, long)) // published just now
		s.putTo(0, letter(1), happened(1, now))
		table := s.open()
		defer table.Close()
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, MaxAge: 24 * time.Hour}, nil)
		if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftTooOld] != 1 || !plan.Oldest.Equal(now.Truncate(time.Second)) {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen(0)
		if records := s.published(); len(records) != 1 || string(records[0].Key) != "key1" {
			s.t.Errorf("published: %v", records)
		}
	})
}

// TestAClockAheadMakesNoEventYounger: an event happens before its record is written, before its first call and before its
// letter. So a publisher's clock that is ahead does not help an old event past MaxAge.
func TestAClockAheadMakesNoEventYounger(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		ahead := time.Now().Add(100 * time.Hour)
		s.putTo(0, letter(0), happened(0, ahead))                                                     // the event's
		s.putTo(1, letter(1, func(d *schema.DeadLetter) { d.Timestamp = ahead }), value(1))           // the record's
		s.putTo(2, letter(2, func(d *schema.DeadLetter) { d.Timestamp = ahead }), happened(2, ahead)) // both
		first := time.Now()
		time.Sleep(25 * time.Hour)
		s.putTo(0, letter(3, func(d *schema.DeadLetter) { d.Timestamp, d.FirstAttempt, d.LastAttempt = ahead, first, time.Now() }), value(3))
		s.putTo(0, letter(4, func(d *schema.DeadLetter) { d.Timestamp = ahead }), value(4))
		table := s.open()
		defer table.Close()
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, MaxAge: 24 * time.Hour}, nil)
		if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftTooOld] != 4 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen(0, 1, 2, 3)
	})
}

// TestSettlingLeavesNeighboursOpen: letters of neighbouring records, which are neighbours in the dead-letter topic too, are
// settled one by one.
func TestSettlingLeavesNeighboursOpen(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(6) {
			s.putTo(0, letter(o), value(o))
			time.Sleep(time.Second)
		}
		table := s.open()
		defer table.Close()
		only := func(offset int64) deadletter.Choice {
			return deadletter.Choice{Topic: source, Filter: deadletter.Filter{IDs: []string{letter(offset).ID()}}}
		}
		if _, err := table.Discard(s.t.Context(), only(1), "seen", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen(0, 2, 3, 4, 5)
		if _, err := table.Replay(s.t.Context(), only(3), nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen(0, 2, 4, 5)
	})
}

// TestNothingIsSettledThatThePlanHasNotSeen: letters that were written after the plan are not settled, nor are those beyond
// its limit.
func TestNothingIsSettledThatThePlanHasNotSeen(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2), letter(3))
		table := s.open()
		defer table.Close()
		c := deadletter.Choice{Topic: source, Filter: deadletter.Filter{Limit: 2}}
		plan, err := table.PlanReplay(s.t.Context(), c)
		if err != nil || plan.Settled != 2 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		s.produce(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte(letter(0).ID())}) // another operator settles one
		c.Planned = &plan
		if done, err := table.Replay(s.t.Context(), c, nil); err != nil || done.Settled != 1 {
			s.t.Errorf("replay %+v, %v", done, err)
		}
		s.wantOpen(2, 3)
		c = deadletter.Choice{}
		if plan, err = table.PlanDiscard(s.t.Context(), c); err != nil || plan.Settled != 2 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		s.put(letter(4), letter(2)) // a new letter, and one that is written again
		c.Planned = &plan
		if done, err := table.Discard(s.t.Context(), c, "seen", nil); err != nil || done.Settled != 1 {
			s.t.Errorf("discard %+v, %v", done, err)
		}
		s.wantOpen(4, 2)
	})
}
