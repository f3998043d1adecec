package deadletter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/deadletter"
	"convdel/schema"
)

// settled lists settled letters: offset, who, why, and the class if the letter is still there.
func (s *shelf) settled(f deadletter.Filter) (list []string, totals deadletter.Totals) {
	s.t.Helper()
	table := s.open()
	defer table.Close()
	totals, err := table.EachSettled(s.t.Context(), f, func(l deadletter.Settled) error {
		class := "gone"
		if l.Letter != nil {
			class = string(l.Letter.Class)
		}
		list = append(list, strings.TrimSpace(fmt.Sprint(strings.TrimPrefix(l.ID, source+"/0/"), " ", l.By, " ", l.Reason, " ", class)))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(list)
	return list, totals
}

func (s *shelf) wantSettled(f deadletter.Filter, want ...string) deadletter.Totals {
	s.t.Helper()
	got, totals := s.settled(f)
	if !slices.Equal(got, want) {
		s.t.Errorf("filter %+v: settled are %q, want %q", f, got, want)
	}
	return totals
}

func TestSettledLetters(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2, func(d *schema.DeadLetter) { d.Class, d.Code = schema.ClassPermanent, 50001 }), letter(3), letter(4), letter(5))
		table := s.open()
		defer table.Close()
		settle := func(by, reason string, offsets ...int64) {
			c := deadletter.Choice{Topic: source, By: by}
			for _, o := range offsets {
				c.Filter.IDs = append(c.Filter.IDs, letter(o).ID())
			}
			var err error
			if reason == "" {
				_, err = table.Replay(s.t.Context(), c, nil)
			} else {
				_, err = table.Discard(s.t.Context(), c, reason, nil)
			}
			if err != nil {
				s.t.Fatal(err)
			}
		}
		settle("alice", "", 0, 1)
		time.Sleep(time.Hour)
		later := time.Now()
		settle("bob", "closed", 2, 3)
		s.put(letter(1)) // it failed once more, so it is open
		s.produce(
			&kgo.Record{Topic: dlt, Partition: 1, Key: []byte(letter(4).ID())},  // of another program
			&kgo.Record{Topic: dlt, Partition: 1, Key: []byte(letter(70).ID())}, // of a letter that compaction has removed
			&kgo.Record{Topic: dlt, Partition: 1, Key: []byte("no ID")},
			&kgo.Record{Topic: dlt, Partition: 1},
		)
		totals := s.wantSettled(deadletter.Filter{}, "0 alice  exhausted", "2 bob closed permanent", "3 bob closed exhausted", "4   exhausted", "70   gone")
		if totals.Settled != 5 || totals.Open != 2 {
			s.t.Errorf("totals %+v", totals)
		}
		s.wantSettled(deadletter.Filter{Since: later, Limit: 1}, "2 bob closed permanent", "3 bob closed exhausted", "4   exhausted", "70   gone")
		s.wantSettled(deadletter.Filter{Until: later}, "0 alice  exhausted")
		s.wantSettled(deadletter.Filter{IDs: []string{letter(3).ID(), letter(5).ID(), letter(70).ID(), "x"}}, "3 bob closed exhausted", "70   gone")
		for _, f := range []deadletter.Filter{{Classes: []schema.Class{schema.ClassPermanent}}, {Codes: []int{50001}}, {Account: "user2"}} {
			if totals := s.wantSettled(f, "2 bob closed permanent"); totals.Unjudged != 1 {
				s.t.Errorf("of %d letters nobody can tell", totals.Unjudged)
			}
		}
		settle("carol", "again", 5)
		settle("dave", "", 1)
		s.produce(&kgo.Record{Topic: dlt, Partition: 2, Key: []byte(letter(5).ID())}) // settled twice: the newest record counts
		s.wantSettled(deadletter.Filter{IDs: []string{letter(5).ID(), letter(1).ID()}}, "1 dave  exhausted", "5   exhausted")
		s.wantOpen()
	})
}

// TestSettledInTwoPartitions: after partitions were added, a letter is settled only if it is in each.
func TestSettledInTwoPartitions(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1))
		if _, err := kadm.NewClient(s.client).CreatePartitions(s.t.Context(), 2, dlt); err != nil {
			s.t.Fatal(err)
		}
		s.renewClient()
		s.putTo(4, letter(1), value(1))
		s.produce(&kgo.Record{Topic: dlt, Partition: 4, Key: []byte(letter(1).ID())}, &kgo.Record{Topic: dlt, Partition: 3, Key: []byte(letter(0).ID())})
		s.wantSettled(deadletter.Filter{})
		table := s.open()
		defer table.Close()
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{By: "alice"}, "seen", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantSettled(deadletter.Filter{}, "0 alice seen exhausted", "1 alice seen exhausted")
	})
}

// TestLenientFilter: an account is looked for in letters without an event, and those of which nobody can tell are counted.
func TestLenientFilter(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		undecodable := func(d *schema.DeadLetter) { d.Class, d.Code = schema.ClassUndecodable, 0 }
		omitted := func(d *schema.DeadLetter) {
			undecodable(d)
			d.Omitted = &schema.Omitted{Why: "too large", Size: 1, SHA256: strings.Repeat("0", 64)}
		}
		s.putTo(0, letter(0), value(7))
		s.putTo(0, letter(1), value(8))
		s.putTo(0, letter(2, undecodable), []byte(`{"From_Account":"user7","Type":"1","To_Account":"b"}`))
		s.putTo(0, letter(3, undecodable), []byte("for user7"))
		s.putTo(0, letter(4, undecodable), []byte("for somebody else"))
		s.putTo(0, letter(5, undecodable), []byte("\x1f\x8b\x08\x00"))
		s.putTo(0, letter(6, omitted), []byte{})
		s.putTo(0, letter(7, omitted, func(d *schema.DeadLetter) { d.Key = []byte("1:5:user7:b") }), []byte{})
		s.putTo(0, letter(8, undecodable, func(d *schema.DeadLetter) { d.Batch = &schema.Batch{First: 8, Last: 9} }), []byte("readable"))
		s.putTo(0, letter(9, undecodable, func(d *schema.DeadLetter) { d.Batch = &schema.Batch{First: 9, Last: 9} }), []byte("\x00\x05user7"))
		table := s.open()
		defer table.Close()
		for _, c := range []struct {
			f        deadletter.Filter
			want     string
			unjudged int
		}{
			{deadletter.Filter{Account: "user7"}, "0 ", 8},
			{deadletter.Filter{Account: "user7", Lenient: true}, "0 2field 3bytes 7key 9bytes ", 3},
			{deadletter.Filter{Account: "user7", Lenient: true, Limit: 1}, "0 ", 3},
			{deadletter.Filter{Account: "user7", Lenient: true, Classes: []schema.Class{schema.ClassExhausted}}, "0 ", 0},
			{deadletter.Filter{Lenient: true, Limit: 3}, "0 1 2 ", 0},
		} {
			got := ""
			totals, err := table.Each(s.t.Context(), c.f, func(l *deadletter.Letter) error {
				got += fmt.Sprint(l.Offset, string(l.Mention), " ")
				return nil
			})
			if err != nil || got != c.want || totals.Unjudged != c.unjudged {
				s.t.Errorf("%+v: %q, %d unjudged, %v; want %q, %d", c.f, got, totals.Unjudged, err, c.want, c.unjudged)
			}
		}
		plan, err := table.PlanDiscard(s.t.Context(), deadletter.Choice{Filter: deadletter.Filter{Account: "user7"}})
		if err != nil || plan.Settled != 1 || plan.Unjudged != 8 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
	})
}
