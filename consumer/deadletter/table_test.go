package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	source = "events"
	dlt    = "events.dead-letter"
)

// shelf is a dead-letter topic of three partitions, and its source topic, in a synctest bubble.
type shelf struct {
	t       *testing.T
	network *kfake.VirtualNetwork
	kafka   *kfake.Cluster
	client  *kgo.Client
}

func onShelf(t *testing.T, test func(s *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{t: t, network: new(kfake.VirtualNetwork)}
		s.kafka = kfake.MustCluster(kfake.ListenFn(s.network.Listen), kfake.NumBrokers(1), kfake.Ports(9092),
			kfake.SeedTopics(3, dlt), kfake.SeedTopics(2, source))
		defer s.kafka.Close()
		s.renewClient()
		defer func() { s.client.Close() }()
		test(s)
		synctest.Wait()
	})
}

func (s *shelf) renewClient() {
	s.t.Helper()
	if s.client != nil {
		s.client.Close()
	}
	var err error
	s.client, err = kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *shelf) cluster() cluster.Config {
	return cluster.Config{Brokers: s.kafka.ListenAddrs(), Dial: s.network.DialContext}
}

func (s *shelf) open() *deadletter.Table {
	s.t.Helper()
	table, err := deadletter.Open(s.t.Context(), s.cluster(), dlt)
	if err != nil {
		s.t.Fatal(err)
	}
	return table
}

// letter is a dead letter of the record at source/0/offset.
func letter(offset int64, edit ...func(*schema.DeadLetter)) schema.DeadLetter {
	d := schema.DeadLetter{
		Class: schema.ClassExhausted, Code: 50004, Error: "code 50004", Attempts: 6, Topic: source, Offset: offset,
		Timestamp: time.Now(), Key: fmt.Append(nil, "key", offset), Group: "convdel",
	}
	for _, e := range edit {
		e(&d)
	}
	return d
}

func value(n int64) []byte {
	return fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend"}`, n)
}

// put writes letters, each into the partition of its offset modulo three, a second apart.
func (s *shelf) put(letters ...schema.DeadLetter) {
	s.t.Helper()
	for _, d := range letters {
		s.putTo(int32(d.Offset%3), d, value(d.Offset))
		time.Sleep(time.Second)
	}
}

func (s *shelf) putTo(partition int32, d schema.DeadLetter, value []byte) {
	s.t.Helper()
	r := &kgo.Record{Topic: dlt, Partition: partition, Key: []byte(d.ID()), Value: value}
	for _, h := range d.Headers([]schema.Header{{Key: "trace", Value: []byte{0, 1}}}) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	s.produce(r)
}

func (s *shelf) produce(records ...*kgo.Record) {
	s.t.Helper()
	if err := s.client.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// ids lists what a filter selects, in order.
func (s *shelf) ids(f deadletter.Filter) []string {
	s.t.Helper()
	table := s.open()
	defer table.Close()
	var ids []string
	if _, err := table.Each(s.t.Context(), f, func(l *deadletter.Letter) error {
		ids = append(ids, l.ID())
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	return ids
}

func (s *shelf) wantOpen(offsets ...int64) {
	s.t.Helper()
	var want []string
	for _, o := range offsets {
		want = append(want, letter(o).ID())
	}
	if got := s.ids(deadletter.Filter{}); !slices.Equal(got, want) {
		s.t.Errorf("open letters %v, want %v", got, want)
	}
}

// published reads the source topic: what replays have put there.
func (s *shelf) published() []*kgo.Record {
	s.t.Helper()
	ctx := s.t.Context()
	ends, err := kadm.NewClient(s.client).ListEndOffsets(ctx, source)
	if err != nil {
		s.t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	c, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.ConsumeTopics(source), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	var all []*kgo.Record
	for int64(len(all)) < left {
		all = append(all, c.PollFetches(ctx).Records()...)
	}
	return all
}

func TestTheNewestRecordOfAKeyIsItsState(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2), letter(3), letter(4))
		s.put(letter(1)) // redelivered: replaces itself
		s.produce(&kgo.Record{Topic: dlt, Partition: 2, Key: []byte(letter(2).ID())})
		s.produce(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte(letter(3).ID())})
		s.put(letter(3)) // and open again
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

func TestReplayPublishesThenSettles(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2, func(d *schema.DeadLetter) { d.Replays, d.ReplayOf = 1, source+"/0/1000" }))
		table := s.open()
		defer table.Close()
		var done []string
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, func(l *deadletter.Letter) { done = append(done, l.ID()) })
		if err != nil || plan.Settled != 3 || plan.Classes[schema.ClassExhausted] != 3 || len(done) != 3 {
			s.t.Fatalf("plan %+v, %v; done %v", plan, err, done)
		}
		s.wantOpen()
		records := s.published()
		if len(records) != 3 {
			s.t.Fatalf("%d records published", len(records))
		}
		for _, r := range records {
			var n int64
			if _, err := fmt.Sscanf(string(r.Key), "key%d", &n); err != nil || string(r.Value) != string(value(n)) {
				s.t.Errorf("record %q %q: %v", r.Key, r.Value, err)
			}
			headers := make([]schema.Header, len(r.Headers))
			for i, h := range r.Headers {
				headers[i] = schema.Header{Key: h.Key, Value: h.Value}
			}
			origin, ok := schema.Origin(headers)
			want := 1
			if n == 2 {
				want = 2
			}
			if !ok || origin.ID() != letter(n).ID() || origin.Replays != want || headers[0].Key != "trace" {
				s.t.Errorf("record of letter %d: origin %+v, %t, headers %v", n, origin, ok, headers)
			}
		}
	})
}

func TestReplayLeavesAlone(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0, func(d *schema.DeadLetter) { d.Timestamp = time.Now().Add(-25 * time.Hour) }),
			letter(1, func(d *schema.DeadLetter) { d.Class = schema.ClassPermanent }),
			letter(2, func(d *schema.DeadLetter) { d.Topic = "elsewhere" }),
			letter(3), letter(4))
		table := s.open()
		defer table.Close()
		c := deadletter.Choice{Topic: source, MaxAge: 24 * time.Hour, Filter: deadletter.Filter{Limit: 1}}
		plan, err := table.PlanReplay(s.t.Context(), c)
		if err != nil || plan.Settled != 1 || plan.Left[deadletter.LeftTooOld] != 1 || plan.Left[deadletter.LeftNotNamed] != 1 ||
			plan.Left[deadletter.LeftOtherTopic] != 1 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		if len(s.published()) != 0 {
			s.t.Fatal("a plan has published something")
		}
		if _, err := table.Replay(s.t.Context(), c, nil); err != nil {
			s.t.Fatal(err)
		}
		if n := len(s.published()); n != 1 {
			s.t.Errorf("%d records published, the limit is 1", n)
		}
		c.Filter = deadletter.Filter{Classes: []schema.Class{schema.ClassPermanent}}
		if plan, err := table.Replay(s.t.Context(), c, nil); err != nil || plan.Settled != 1 {
			s.t.Errorf("a class that is named: plan %+v, %v", plan, err)
		}
		if got := len(s.ids(deadletter.Filter{})); got != 3 {
			s.t.Errorf("%d letters left open", got)
		}
	})
}

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

// TestReplayKilledAnywhere cuts the operator off at each step of a letter: nothing is lost, and the next
// run repeats at most the letter in hand.
func TestReplayKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		step  string
		topic string
	}{
		{"while publishing", source},
		{"while settling", dlt},
	} {
		t.Run(tc.step, func(t *testing.T) {
			t.Parallel()
			onShelf(t, func(s *shelf) {
				s.put(letter(0), letter(1), letter(2), letter(3), letter(4))
				cut := &cuttable{dial: s.network.DialContext}
				seen := 0
				s.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: tc.topic, Observe: true, Count: 3, When: func(kmsg.Request) bool {
					if seen++; seen == 3 {
						go cut.cut()
					}
					return true
				}})
				cluster := s.cluster()
				cluster.Dial = cut.DialContext
				table, err := deadletter.Open(s.t.Context(), cluster, dlt)
				if err != nil {
					s.t.Fatal(err)
				}
				_, err = table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
				table.Close()
				if _, failed := errors.AsType[*deadletter.SettleError](err); !failed {
					s.t.Fatalf("replay returned %v", err)
				}
				again := s.open()
				defer again.Close()
				if _, err := again.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil); err != nil {
					s.t.Fatal(err)
				}
				s.wantOpen()
				times := map[string]int{}
				for _, r := range s.published() {
					times[string(r.Key)]++
				}
				if len(times) != 5 {
					s.t.Errorf("letters lost: %v", times)
				}
				if n := len(s.published()); n > 6 {
					s.t.Errorf("%d records published for 5 letters: more than the one in hand is repeated: %v", n, times)
				}
			})
		})
	}
}

// TestReplayInterrupted: a cancelled context ends a replay between two letters.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		s.put(letter(0), letter(1), letter(2), letter(3))
		table := s.open()
		defer table.Close()
		ctx, cancel := context.WithCancel(s.t.Context())
		plan, err := table.Replay(ctx, deadletter.Choice{Topic: source}, func(l *deadletter.Letter) {
			if l.Offset == 1 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) || plan.Settled != 2 {
			s.t.Errorf("plan %+v, %v", plan, err)
		}
		s.wantOpen(2, 3)
		if n := len(s.published()); n != 2 {
			s.t.Errorf("%d records published", n)
		}
	})
}

func TestRateOfReplay(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(20) {
			s.putTo(int32(o%3), letter(o), value(o))
		}
		table := s.open()
		defer table.Close()
		began := time.Now()
		if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source, Rate: 2}, nil); err != nil {
			s.t.Fatal(err)
		}
		if took := time.Since(began); took < 9500*time.Millisecond || took > 12*time.Second {
			s.t.Errorf("20 letters at 2 a second took %s", took)
		}
	})
}

// TestTwoOperators replay the same letters at the same time: each is published, none twice over more
// than twice, and all are settled.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		for o := range int64(50) {
			s.putTo(int32(o%3), letter(o), value(o))
		}
		var operators sync.WaitGroup
		for range 2 {
			table := s.open()
			operators.Go(func() {
				defer table.Close()
				if _, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil); err != nil {
					s.t.Error(err)
				}
			})
		}
		operators.Wait()
		s.wantOpen()
		times := map[string]int{}
		for _, r := range s.published() {
			times[string(r.Key)]++
		}
		if len(times) != 50 {
			s.t.Errorf("%d letters published, want 50", len(times))
		}
		for key, n := range times {
			if n > 2 {
				s.t.Errorf("%s published %d times", key, n)
			}
		}
	})
}

// TestPartitionsAdded: after partitions were added the same key hashes elsewhere; a letter is settled
// where it is, and one that is in both is one.
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

// cuttable is a network that can be cut for good.
type cuttable struct {
	dial  func(context.Context, string, string) (net.Conn, error)
	mu    sync.Mutex
	dead  bool
	conns []net.Conn
}

func (c *cuttable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil, errors.New("network is cut")
	}
	conn, err := c.dial(ctx, network, address)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, conn := range c.conns {
		_ = conn.Close()
	}
}
