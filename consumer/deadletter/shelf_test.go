package deadletter_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/internal/testkit"
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

// ids lists the letters that a filter selects, in order.
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

// published reads the source topic, where replays publish.
func (s *shelf) published() []*kgo.Record {
	s.t.Helper()
	return s.read(source)
}

func (s *shelf) read(topic string) []*kgo.Record {
	s.t.Helper()
	all, err := testkit.ReadTopic(s.t.Context(), s.client, topic)
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}
