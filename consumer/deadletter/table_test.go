package deadletter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

func TestTheNewestRecordOfAKeyIsItsState(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2), letter(3), letter(4))
		s.put(letter(1)) // its event was redelivered: the letter replaces itself
		s.produce(&kgo.Record{Topic: dlt, Partition: 2, Key: []byte(letter(2).ID())})
		s.produce(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte(letter(3).ID())})
		s.put(letter(3)) // open again
		s.produce(
			&kgo.Record{Topic: dlt, Partition: 0, Key: []byte("somebody else's"), Value: []byte("x")},
			&kgo.Record{Topic: dlt, Partition: 1, Key: []byte(source + "/0/99"), Value: []byte("without headers")},
			&kgo.Record{Topic: dlt, Partition: 2, Value: []byte("without a key")},
		)
		s.wantOpen(0, 4, 1, 3)
		table := s.open()
		defer table.Close()
		totals, err := table.Each(s.t.Context(), deadletter.Filter{Limit: 1}, func(*deadletter.Letter) error { return nil })
		if err != nil || totals != (deadletter.Totals{Records: 12, Open: 4, Foreign: 3}) {
			s.t.Errorf("totals %+v, %v", totals, err)
		}
	})
}

func TestLettersComeBackWhole(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		d := letter(7, func(d *schema.DeadLetter) { d.Key = nil })
		null := letter(8, func(d *schema.DeadLetter) { d.NullValue, d.Class = true, schema.ClassUndecodable })
		empty := letter(9, func(d *schema.DeadLetter) { d.Class = schema.ClassUndecodable })
		s.putTo(0, d, []byte("\x00\xffnot text"))
		s.putTo(1, null, []byte{})
		s.putTo(2, empty, []byte{})
		table := s.open()
		defer table.Close()
		got := map[string]*deadletter.Letter{}
		if _, err := table.Each(s.t.Context(), deadletter.Filter{}, func(l *deadletter.Letter) error {
			got[l.ID()] = l
			return nil
		}); err != nil {
			s.t.Fatal(err)
		}
		if l := got[d.ID()]; l.Key != nil || string(l.Value) != "\x00\xffnot text" || string(l.Headers[0].Value) != "\x00\x01" {
			s.t.Errorf("letter %+v", l)
		}
		if l := got[null.ID()]; l.Value != nil {
			s.t.Errorf("null value has become %q", l.Value)
		}
		if l := got[empty.ID()]; l.Value == nil || len(l.Value) != 0 {
			s.t.Errorf("empty value has become %v", l.Value)
		}
	})
}

func TestFilters(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		began := time.Now()
		class := func(c schema.Class, code int) func(*schema.DeadLetter) {
			return func(d *schema.DeadLetter) { d.Class, d.Code = c, code }
		}
		s.put(letter(0), letter(1, class(schema.ClassPermanent, 50001)), letter(2, class(schema.ClassPermanent, 50002)),
			letter(3, class(schema.ClassExpired, 0)), letter(4))
		for _, tc := range []struct {
			name string
			f    deadletter.Filter
			want []int64
		}{
			{"class", deadletter.Filter{Classes: []schema.Class{schema.ClassPermanent, schema.ClassExpired}}, []int64{1, 2, 3}},
			{"code", deadletter.Filter{Codes: []int{50002, 50004}}, []int64{0, 2, 4}},
			{"account", deadletter.Filter{Account: "user3"}, []int64{3}},
			{"other side", deadletter.Filter{Account: "friend", Limit: 2}, []int64{0, 1}},
			{"since", deadletter.Filter{Since: began.Add(3 * time.Second)}, []int64{3, 4}},
			{"until", deadletter.Filter{Until: began.Add(time.Second)}, []int64{0}},
			{"id", deadletter.Filter{IDs: []string{letter(4).ID(), letter(2).ID(), "nothing/0/0", "no id"}}, []int64{2, 4}},
			{"all at once", deadletter.Filter{Classes: []schema.Class{schema.ClassPermanent}, Codes: []int{50001}, Account: "user2"}, nil},
		} {
			var want []string
			for _, o := range tc.want {
				want = append(want, letter(o).ID())
			}
			if got := s.ids(tc.f); !slices.Equal(got, want) {
				s.t.Errorf("%s: %v, want %v", tc.name, got, want)
			}
		}
	})
}

// TestPartitionsAdded: after partitions were added, the same key hashes to another partition. A letter is settled where it
// is, and a letter that is in both partitions counts as one.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1))
		if _, err := kadm.NewClient(s.client).CreatePartitions(s.t.Context(), 2, dlt); err != nil {
			s.t.Fatal(err)
		}
		s.renewClient()
		s.putTo(4, letter(1), value(1))
		s.wantOpen(0, 1)
		table := s.open()
		defer table.Close()
		if _, err := table.Discard(s.t.Context(), deadletter.Choice{}, "seen", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen()
	})
}

func TestCompactedTable(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		admin := kadm.NewClient(s.client)
		for key, v := range map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "segment.ms": "100"} {
			if _, err := admin.AlterTopicConfigs(s.t.Context(), []kadm.AlterConfig{{Name: key, Value: &v}}, dlt); err != nil {
				s.t.Fatal(err)
			}
		}
		for range 3 {
			s.put(letter(0), letter(1), letter(2), letter(3))
		}
		s.produce(&kgo.Record{Topic: dlt, Partition: 1, Key: []byte(letter(1).ID())})
		time.Sleep(time.Hour)
		s.put(letter(5))
		s.kafka.Compact()
		s.wantOpen(0, 2, 3, 5)
	})
}

func TestFollow(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1))
		table := s.open()
		defer table.Close()
		ctx, cancel := context.WithCancel(s.t.Context())
		var got []string
		var following sync.WaitGroup
		following.Go(func() {
			err := table.Follow(ctx, deadletter.Filter{Codes: []int{50004}}, func(l *deadletter.Letter) error {
				got = append(got, strings.TrimPrefix(l.ID(), source+"/0/"))
				return nil
			})
			if !errors.Is(err, context.Canceled) {
				s.t.Errorf("Follow returned %v", err)
			}
		})
		time.Sleep(time.Minute)
		s.put(letter(2), letter(3, func(d *schema.DeadLetter) { d.Code = 1 }), letter(4))
		time.Sleep(time.Minute)
		cancel()
		following.Wait()
		if !slices.Equal(got, []string{"0", "1", "2", "4"}) {
			s.t.Errorf("followed %v", got)
		}
	})
}

func TestMissingTopic(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		var missing *consumer.TopicError
		if _, err := deadletter.Open(s.t.Context(), s.cluster(), "nothing"); !errors.As(err, &missing) || missing.Topic != "nothing" {
			s.t.Errorf("Open returned %v", err)
		}
	})
}
