package deadletter_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestThePlanNamesEachLetter: letters that were written at the same moment as the last one of a limited plan are not settled
// in its place.
func TestThePlanNamesEachLetter(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(4) {
			s.putTo(0, letter(o), value(o)) // all at once
		}
		table := s.open()
		defer table.Close()
		c := deadletter.Choice{Filter: deadletter.Filter{Limit: 2}}
		plan, err := table.PlanDiscard(s.t.Context(), c)
		if err != nil || plan.Settled != 2 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		s.produce(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte(letter(0).ID())}) // another operator settles one
		c.Planned = &plan
		if done, err := table.Discard(s.t.Context(), c, "seen", nil); err != nil || done.Settled != 1 {
			s.t.Errorf("discard %+v, %v", done, err)
		}
		s.wantOpen(2, 3)
	})
}

// TestThePlanKeepsLettersOfAClockThatGoesBack: the order of times is no reason to leave out a letter of the plan.
func TestThePlanKeepsLettersOfAClockThatGoesBack(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		now := time.Now()
		for o, at := range []time.Time{now, now.Add(-time.Hour)} {
			d := letter(int64(o))
			r := &kgo.Record{Topic: dlt, Key: []byte(d.ID()), Value: value(int64(o)), Timestamp: at}
			for _, h := range d.Headers(nil) {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			s.produce(r)
		}
		table := s.open()
		defer table.Close()
		plan, err := table.PlanDiscard(s.t.Context(), deadletter.Choice{})
		if err != nil {
			s.t.Fatal(err)
		}
		if done, err := table.Discard(s.t.Context(), deadletter.Choice{Planned: &plan}, "seen", nil); err != nil || done.Settled != 2 {
			s.t.Errorf("discard %+v, %v", done, err)
		}
		s.wantOpen()
	})
}

// TestALetterThatChangesMeanwhileIsNotSettled: while a replay goes on, one letter is written anew, one is settled by another
// operator, and one that is settled along with another is written anew.
func TestALetterThatChangesMeanwhileIsNotSettled(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(3), letter(6))
		old := letter(9)
		s.putTo(0, old, value(9))
		s.putTo(0, letter(12, func(d *schema.DeadLetter) {
			d.Key, d.Timestamp, d.ReplayOf, d.Replays = old.Key, old.Timestamp, old.ID(), 1
		}), value(9))
		table := s.open()
		defer table.Close()
		c := deadletter.Choice{Topic: source}
		plan, err := table.PlanReplay(s.t.Context(), c)
		if err != nil || plan.Settled != 4 || plan.Along != 1 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		c.Planned = &plan
		done, err := table.Replay(s.t.Context(), c, func(l *deadletter.Letter) {
			if l.Offset == 0 {
				s.putTo(0, letter(3, func(d *schema.DeadLetter) { d.Class = schema.ClassPermanent }), value(3))
				s.produce(&kgo.Record{Topic: dlt, Key: []byte(letter(6).ID())})
				s.putTo(0, old, value(9))
			}
		})
		if err != nil || done.Settled != 2 || done.Along != 0 {
			s.t.Errorf("replay %+v, %v", done, err)
		}
		s.wantOpen(3, 9)
		var keys []string
		for _, r := range s.published() {
			keys = append(keys, string(r.Key))
		}
		if slices.Sort(keys); !slices.Equal(keys, []string{"key0", "key9"}) {
			s.t.Errorf("published %v", keys)
		}
	})
}

// TestPlanNamesWhatIsNotThere: an ID that no letter has, or that another filter leaves out, is no success.
func TestPlanNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2))
		s.produce(&kgo.Record{Topic: dlt, Partition: 2, Key: []byte(letter(2).ID())})
		table := s.open()
		defer table.Close()
		ids := []string{letter(2).ID(), letter(0).ID(), letter(7).ID(), letter(2).ID(), letter(0).ID(), letter(1).ID()}
		c := deadletter.Choice{Filter: deadletter.Filter{IDs: ids, Account: "user0"}}
		plan, err := table.PlanDiscard(s.t.Context(), c)
		if err != nil || plan.Settled != 1 || !slices.Equal(plan.NotOpen, []string{letter(2).ID(), letter(7).ID()}) ||
			!slices.Equal(plan.Unmatched, []string{letter(1).ID()}) {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		c.Filter.Lenient = true
		if _, err := table.Discard(s.t.Context(), c, "seen", nil); err == nil {
			s.t.Error("settled by a lenient filter")
		}
		s.wantOpen(0, 1)
	})
}

func TestTombstonesSayWhoAndWhen(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(3))
		table := s.open()
		defer table.Close()
		one := func(o int64) deadletter.Choice {
			return deadletter.Choice{Topic: source, By: "alice", Filter: deadletter.Filter{IDs: []string{letter(o).ID()}}}
		}
		began := time.Now().Truncate(time.Second)
		if _, err := table.Replay(s.t.Context(), one(0), nil); err != nil {
			s.t.Fatal(err)
		}
		if _, err := table.Discard(s.t.Context(), one(3), "account closed", nil); err != nil {
			s.t.Fatal(err)
		}
		want := map[string]string{letter(0).ID(): "", letter(3).ID(): "account closed"}
		for _, r := range s.read(dlt) {
			if r.Value != nil {
				continue
			}
			got := schema.ParseSettlement(testkit.Headers(r))
			reason, planned := want[string(r.Key)]
			if !planned || got.By != "alice" || got.Reason != reason || got.At.Before(began) || got.At.After(time.Now()) {
				s.t.Errorf("%s: %+v", r.Key, got)
			}
			delete(want, string(r.Key))
		}
		if len(want) > 0 {
			s.t.Errorf("no tombstones of %v", want)
		}
	})
}
