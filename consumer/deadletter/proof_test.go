package deadletter_test

import (
	"context"
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

// fullLetter is a letter with its source record.
type fullLetter struct {
	schema.DeadLetter
	value  []byte
	source []schema.Header
}

// garbled is the letter of a record that is no event. All such records have the same value.
func garbled(offset int64, edit ...func(*schema.DeadLetter)) fullLetter {
	d := letter(offset, edit...)
	d.Class, d.Key = schema.ClassUndecodable, nil
	return fullLetter{DeadLetter: d, value: []byte("garbage")}
}

// again is the letter of a replayed letter's record, as the service writes it.
func (b fullLetter) again(t *testing.T, offset int64, edit ...func(*fullLetter)) fullLetter {
	t.Helper()
	r, err := b.Replay(b.value, b.Headers(b.source))
	if err != nil {
		t.Fatal(err)
	}
	origin, ok := schema.Origin(r.Headers)
	if !ok {
		t.Fatalf("no origin in %q", r.Headers)
	}
	next := fullLetter{DeadLetter: b.DeadLetter, value: r.Value, source: schema.SourceHeaders(r.Headers)}
	next.Offset, next.Timestamp, next.Replays, next.ReplayOf = offset, origin.Timestamp, origin.Replays, origin.ID()
	for _, e := range edit {
		e(&next)
	}
	return next
}

// naming makes a letter claim to replace another one.
func naming(offset int64) func(*schema.DeadLetter) {
	return func(d *schema.DeadLetter) { d.Replays, d.ReplayOf = 1, letter(offset).ID() }
}

// putFull writes letters, each into the partition of its offset modulo three.
func (s *shelf) putFull(letters ...fullLetter) {
	s.t.Helper()
	for _, b := range letters {
		r := &kgo.Record{Topic: dlt, Partition: int32(b.Offset % 3), Key: []byte(b.ID()), Value: b.value}
		for _, h := range b.Headers(b.source) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		s.produce(r)
		time.Sleep(time.Second)
	}
}

// tombstones counts the tombstones in the topic.
func (s *shelf) tombstones() map[string]int {
	s.t.Helper()
	found := map[string]int{}
	for _, r := range s.read(dlt) {
		if r.Value == nil {
			found[string(r.Key)]++
		}
	}
	return found
}

func byID(offsets ...int64) deadletter.Choice {
	var c deadletter.Choice
	for _, o := range offsets {
		c.Filter.IDs = append(c.Filter.IDs, letter(o).ID())
	}
	return c
}

// TestReplayedLetterReplacesTheOld: a replayed record that fails again becomes a letter that replaces the old one, even if
// the replay was killed before it wrote the tombstone. Everything that is settled along is in the plan.
func TestReplayedLetterReplacesTheOld(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		first := fullLetter{DeadLetter: letter(0), value: value(0), source: []schema.Header{{Key: "trace", Value: []byte("1")}, {Key: "null"}}}
		second := first.again(s.t, 50)
		s.putFull(first, garbled(1), second, second.again(s.t, 90))
		s.wantOpen(1, 90)
		table := s.open()
		defer table.Close()
		want := []string{letter(50).ID(), letter(0).ID()}
		totals, err := table.Each(s.t.Context(), byID(90).Filter, func(l *deadletter.Letter) error {
			if got := l.Replaces(); !slices.Equal(got, want) {
				s.t.Errorf("%s replaces %v", l.ID(), got)
			}
			return nil
		})
		if err != nil || totals.Replaced != 2 || totals.Open != 2 {
			s.t.Errorf("totals %+v, %v", totals, err)
		}
		plan, err := table.PlanDiscard(s.t.Context(), byID(90))
		if err != nil || plan.Settled != 1 || plan.Along != 2 || !slices.Equal(plan.AlongIDs, want) {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		if plan, err = table.Discard(s.t.Context(), byID(90), "seen", nil); err != nil || plan.Along != 2 {
			s.t.Errorf("discard %+v, %v", plan, err)
		}
		s.wantOpen(1) // and neither 50 nor 0 has come back
	})
}

// TestForgedHeadersHideNoLetter: records that falsely claim to be replays become letters beside those that they name.
// Settling them settles no other letter.
func TestForgedHeadersHideNoLetter(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2))
		s.putFull(garbled(10, naming(0)), garbled(11, naming(1)), garbled(12, naming(2)))
		s.wantOpen(0, 1, 2, 10, 11, 12)
		table := s.open()
		defer table.Close()
		plan, err := table.Discard(s.t.Context(), byID(10, 11, 12), "garbage", nil)
		if err != nil || plan.Settled != 3 || plan.Along != 0 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen(0, 1, 2)
		if got := s.tombstones(); len(got) != 3 {
			s.t.Errorf("tombstones %v for three letters shown", got)
		}
	})
}

// TestLettersThatNameEachOtherStay: rings of one, two and three letters stay open, even where each letter proves the other.
func TestLettersThatNameEachOtherStay(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.putFull(garbled(0, naming(1)), garbled(1, naming(0)), // two
			garbled(2, naming(3)), garbled(3, naming(4)), garbled(4, naming(2)), // three
			garbled(5, naming(5)),                                                                      // itself
			garbled(6, naming(7)), garbled(7, naming(6), func(d *schema.DeadLetter) { d.Replays = 2 }), // 7 proves that it replaces 6
			garbled(8, naming(0)), garbled(9, naming(8)), // claims that lead into a ring
		)
		s.wantOpen(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
		table := s.open()
		defer table.Close()
		if _, err := table.Discard(s.t.Context(), byID(0, 3, 7), "seen", nil); err != nil {
			s.t.Fatal(err)
		}
		s.wantOpen(1, 2, 4, 5, 6, 8, 9)
	})
}

// TestWhatProvesNoReplay changes one thing at a time about the letter of a replay. Both letters stay open then.
func TestWhatProvesNoReplay(t *testing.T) {
	t.Parallel()
	whole := &schema.Omitted{Why: "too large", Size: 7, SHA256: strings.Repeat("0", 64)}
	for name, edit := range map[string]func(first, second *fullLetter){
		"nothing":        func(_, _ *fullLetter) {},
		"another value":  func(_, b *fullLetter) { b.value = []byte("mended") },
		"another key":    func(_, b *fullLetter) { b.Key = []byte("other") },
		"an empty key":   func(a, b *fullLetter) { a.Key, b.Key = nil, []byte{} },
		"a null key":     func(a, b *fullLetter) { a.Key, b.Key = []byte{}, nil },
		"an empty value": func(a, b *fullLetter) { a.value, a.NullValue, b.value, b.NullValue = []byte{}, true, []byte{}, false },
		"a null value":   func(a, b *fullLetter) { a.value, a.NullValue, b.value, b.NullValue = []byte{}, false, []byte{}, true },
		"key and value run": func(a, b *fullLetter) {
			a.Key, a.value, b.Key, b.value = []byte("ab"), []byte("c"), []byte("a"), []byte("bc")
		},
		"a header more": func(_, b *fullLetter) { b.source = append(b.source, schema.Header{Key: "ce_id", Value: []byte("1")}) },
		"a header's value": func(a, b *fullLetter) {
			a.source = []schema.Header{{Key: "a"}}
			b.source = []schema.Header{{Key: "a", Value: []byte{}}}
		},
		"another time":     func(_, b *fullLetter) { b.Timestamp = b.Timestamp.Add(time.Millisecond) },
		"no replay more":   func(a, b *fullLetter) { a.Replays, a.ReplayOf, b.Replays = 1, letter(99).ID(), 1 },
		"two replays more": func(_, b *fullLetter) { b.Replays = 2 },
		"another topic":    func(_, b *fullLetter) { b.Topic = "elsewhere" },
		"omitted":          func(_, b *fullLetter) { b.Omitted, b.value = whole, []byte{} },
		"omitted before":   func(a, _ *fullLetter) { a.Omitted = whole },
		"omitted twice":    func(a, b *fullLetter) { a.Omitted, b.Omitted = whole, whole },
		"a batch":          func(_, b *fullLetter) { b.Batch = &schema.Batch{First: 50, Last: 51} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				first := fullLetter{DeadLetter: letter(1), value: value(1), source: []schema.Header{{Key: "trace", Value: []byte("1")}}}
				second := first.again(s.t, 50)
				edit(&first, &second)
				s.putFull(first, second)
				want := []string{first.ID(), second.ID()}
				if name == "nothing" {
					want = want[1:]
				}
				if got := s.ids(deadletter.Filter{}); !slices.Equal(got, want) {
					s.t.Errorf("open letters %v, want %v", got, want)
				}
			})
		})
	}
}

// TestALetterReplayedTwice: two letters replace the same one. It is settled once, with one of them.
func TestALetterReplayedTwice(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		first := garbled(0)
		s.putFull(first, first.again(s.t, 50), first.again(s.t, 51))
		s.wantOpen(50, 51)
		table := s.open()
		defer table.Close()
		plan, err := table.Discard(s.t.Context(), deadletter.Choice{}, "seen", nil)
		if err != nil || plan.Settled != 2 || plan.Along != 1 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen()
		if got := s.tombstones(); len(got) != 3 || got[first.ID()] != 1 {
			s.t.Errorf("tombstones %v", got)
		}
	})
}

// TestProofOutlivesOrderAndCompaction: the older letter may be written again behind the newer one, even in another
// partition, and may be compacted away.
func TestProofOutlivesOrderAndCompaction(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		admin := kadm.NewClient(s.client)
		for key, v := range map[string]string{"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "segment.ms": "100"} {
			if _, err := admin.AlterTopicConfigs(s.t.Context(), []kadm.AlterConfig{{Name: key, Value: &v}}, dlt); err != nil {
				s.t.Fatal(err)
			}
		}
		first, mended := garbled(0), garbled(3)
		s.putFull(first, mended, first.again(s.t, 50), mended.again(s.t, 51, func(b *fullLetter) { b.value = value(3) }))
		s.putFull(first, mended)
		s.wantOpen(50, 51, 3)
		time.Sleep(time.Hour)
		s.putFull(garbled(6), garbled(7), garbled(8))
		s.kafka.Compact()
		s.wantOpen(50, 51, 3, 6, 7, 8)
	})
}

// TestManyForgedClaims: a long chain of claims is read once more, and costs nothing else.
func TestManyForgedClaims(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		const n = 3000
		var records []*kgo.Record
		for o := range int64(n) {
			b := garbled(o, naming(o+1), func(d *schema.DeadLetter) { d.Replays = int(n - o) })
			r := &kgo.Record{Topic: dlt, Partition: int32(o % 3), Key: []byte(b.ID()), Value: b.value}
			for _, h := range b.Headers(nil) {
				r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			records = append(records, r)
		}
		s.produce(records...)
		table := s.open()
		defer table.Close()
		shown := 0
		totals, err := table.Each(context.Background(), deadletter.Filter{}, func(l *deadletter.Letter) error {
			shown++
			if len(l.Replaces()) > 1000 {
				return fmt.Errorf("%s replaces %d letters", l.ID(), len(l.Replaces()))
			}
			return nil
		})
		if err != nil || shown != totals.Open || totals.Open+totals.Replaced != n {
			s.t.Errorf("%d letters, totals %+v, %v", shown, totals, err)
		}
	})
}
