package outcome_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/outcome"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ends = "events.outcome"

// book is an outcome topic of four partitions in a synctest bubble, written as the service writes it.
type book struct {
	t       *testing.T
	network *kfake.VirtualNetwork
	kafka   *kfake.Cluster
	client  *kgo.Client
	topic   *outcome.Topic
}

func inBook(t *testing.T, test func(b *book)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &book{t: t, network: new(kfake.VirtualNetwork)}
		b.kafka = kfake.MustCluster(kfake.ListenFn(b.network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(4, ends))
		defer b.kafka.Close()
		var err error
		b.client, err = kgo.NewClient(kgo.SeedBrokers(b.kafka.ListenAddrs()...), kgo.Dialer(b.network.DialContext),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		defer b.client.Close()
		b.topic = b.open()
		defer func() { b.topic.Close() }()
		test(b)
		synctest.Wait()
	})
}

func (b *book) cluster() cluster.Config {
	return cluster.Config{Brokers: b.kafka.ListenAddrs(), Dial: b.network.DialContext}
}

func (b *book) open() *outcome.Topic {
	b.t.Helper()
	topic, err := outcome.Open(b.t.Context(), b.cluster(), ends)
	if err != nil {
		b.t.Fatal(err)
	}
	return topic
}

// ended is the outcome of the event at events/0/offset.
func ended(offset int64, edit ...func(*schema.Outcome)) schema.Outcome {
	o := schema.Outcome{
		Topic: "events", Offset: offset, Kind: schema.OutcomeDeleted, Group: "convdel", Attempts: 1, Ended: time.Now(),
		EventID: fmt.Sprint("id-", offset), EventSource: "/test",
		Event: &schema.Event{Conversation: schema.Conversation{From: fmt.Sprint("user", offset), Type: schema.C2C, To: "friend"}},
	}
	for _, e := range edit {
		e(&o)
	}
	return o
}

// write writes outcomes with the service's own writer, a second apart.
func (b *book) write(all ...schema.Outcome) {
	b.t.Helper()
	w, closeAll := b.cluster().Writer(ends)
	defer func() { _ = closeAll() }()
	for _, o := range all {
		r, err := o.Encode()
		if err == nil {
			err = w.WriteMessages(b.t.Context(), kafka.Message{Key: r.Key, Value: r.Value})
		}
		if err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// ids lists the outcomes that a filter selects.
func (b *book) ids(f outcome.Filter) ([]string, outcome.Totals) {
	b.t.Helper()
	var ids []string
	totals, err := b.topic.Each(b.t.Context(), f, func(o outcome.Found) error {
		ids = append(ids, o.ID())
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	slices.Sort(ids)
	return ids, totals
}

func TestFilters(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		began := time.Now()
		b.write(
			ended(0), ended(1, func(o *schema.Outcome) { o.Kind = schema.OutcomeExhausted }),
			ended(2, func(o *schema.Outcome) { o.ErasureID = "R-1" }),
			ended(3, func(o *schema.Outcome) { o.ReplayOf = "events/0/1" }),
			ended(4, func(o *schema.Outcome) { o.Event = nil }),
			ended(1, func(o *schema.Outcome) { o.Kind, o.By = schema.OutcomeReplayed, "alice" }),
		)
		one := ended(1).Record()
		for name, c := range map[string]struct {
			f        outcome.Filter
			want     []string
			unjudged int
		}{
			"all":     {outcome.Filter{}, []string{"0:deleted", "1:exhausted", "1:replayed", "2:deleted", "3:deleted", "4:deleted"}, 0},
			"record":  {outcome.Filter{Records: []string{one}, EveryPartition: true}, []string{"1:exhausted", "1:replayed", "3:deleted"}, 0},
			"erasure": {outcome.Filter{ErasureID: "R-1"}, []string{"2:deleted"}, 0},
			"event":   {outcome.Filter{EventID: "id-4"}, []string{"4:deleted"}, 0},
			"account": {outcome.Filter{Account: "user2"}, []string{"2:deleted"}, 1},
			"other":   {outcome.Filter{Account: "friend"}, []string{"0:deleted", "1:exhausted", "1:replayed", "2:deleted", "3:deleted"}, 1},
			"since":   {outcome.Filter{Since: began.Add(3 * time.Second)}, []string{"1:replayed", "3:deleted", "4:deleted"}, 0},
			"both":    {outcome.Filter{Account: "user2", ErasureID: "R-2"}, nil, 0},
		} {
			var want []string
			for _, id := range c.want {
				want = append(want, "events/0/"+id)
			}
			if got, totals := b.ids(c.f); !slices.Equal(got, want) || totals.Unjudged != c.unjudged {
				t.Errorf("%s: %v, want %v; %+v", name, got, want, totals)
			}
		}
	})
}

// TestOnlyTheKeysPartitionIsRead: it is the one into which the service's writer puts the key.
func TestOnlyTheKeysPartitionIsRead(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		const n = 40
		var all []schema.Outcome
		for i := range int64(n) {
			all = append(all, ended(i))
		}
		b.write(all...)
		for i := range int64(n) {
			got, totals := b.ids(outcome.Filter{Records: []string{ended(i).Record()}})
			if len(got) != 1 || got[0] != ended(i).ID() || totals.Records >= n {
				t.Errorf("%d: %v of %d records", i, got, totals.Records)
			}
		}
	})
}

// TestPartitionsAdded: an outcome that was written before lies in another partition than its key's now.
func TestPartitionsAdded(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		b.write(ended(0), ended(1), ended(2), ended(3), ended(4), ended(5))
		if _, err := kadm.NewClient(b.client).CreatePartitions(b.t.Context(), 3, ends); err != nil {
			b.t.Fatal(err)
		}
		b.topic.Close()
		b.topic = b.open()
		for i := range int64(6) {
			if got, _ := b.ids(outcome.Filter{Records: []string{ended(i).Record()}, EveryPartition: true}); len(got) != 1 {
				t.Errorf("%d: %v", i, got)
			}
		}
	})
}

// TestRecordsThatAreNoOutcomes: they are counted and named, whatever they look like.
func TestRecordsThatAreNoOutcomes(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		r, err := ended(7).Encode()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, foreign := range []*kgo.Record{
			{Key: []byte("events/0/8"), Value: r.Value},
			{Value: r.Value},
			{Key: r.Key},
			{Key: r.Key, Value: []byte("{}")},
			{Key: r.Key, Value: append(slices.Clip(r.Value), make([]byte, 70<<10)...)},
		} {
			foreign.Topic, foreign.Partition = ends, 2
			if err := b.client.ProduceSync(b.t.Context(), foreign).FirstErr(); err != nil {
				b.t.Fatal(err)
			}
		}
		got, totals := b.ids(outcome.Filter{})
		if len(got) != 0 || totals.Foreign != 5 || len(totals.Named) != 5 || totals.Records != 5 {
			t.Fatalf("%v, %+v", got, totals)
		}
		for i, f := range totals.Named {
			if _, ok := errors.AsType[*schema.OutcomeError](f.Err); !ok || f.Partition != 2 || f.Offset != int64(i) {
				t.Errorf("%d: %+v", i, f)
			}
		}
	})
}

// TestReadingGoesOn: where it has stopped, and before a transaction that is open.
func TestReadingGoesOn(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		var got []string
		passed := int64(0)
		reading := b.topic.Reading(outcome.Filter{})
		reading.Progress = func(n int64) { passed += n }
		next := func(want ...string) {
			b.t.Helper()
			got = got[:0]
			if err := reading.Next(b.t.Context(), func(o outcome.Found) error {
				got = append(got, o.ID())
				return nil
			}); err != nil {
				b.t.Fatal(err)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				b.t.Errorf("read %v, want %v", got, want)
			}
		}
		next()
		b.write(ended(0), ended(1))
		next("events/0/0:deleted", "events/0/1:deleted")
		next()
		client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.ListenAddrs()...), kgo.Dialer(b.network.DialContext),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("stranger"))
		if err != nil {
			b.t.Fatal(err)
		}
		defer client.Close()
		r, err := ended(2).Encode()
		if err == nil {
			err = client.BeginTransaction()
		}
		if err == nil {
			err = client.ProduceSync(b.t.Context(), &kgo.Record{Topic: ends, Partition: 3, Key: r.Key, Value: r.Value}).FirstErr()
		}
		if err != nil {
			b.t.Fatal(err)
		}
		next()
		if unread := reading.Totals().Unread; unread == nil || len(unread.Gaps) != 1 || unread.Gaps[0].Err != nil || unread.Gaps[0].Partition != 3 {
			b.t.Errorf("unread %+v", unread)
		}
		if err := client.EndTransaction(b.t.Context(), kgo.TryCommit); err != nil {
			b.t.Fatal(err)
		}
		next("events/0/2:deleted")
		if totals := reading.Totals(); totals.Unread != nil || totals.Records != 3 || passed != 4 {
			b.t.Errorf("totals %+v, passed %d", totals, passed)
		}
		if ahead, err := reading.Ahead(b.t.Context()); ahead != 0 || err != nil {
			b.t.Errorf("ahead %d, %v", ahead, err)
		}
	})
}

// TestAMissingTopic is told as such.
func TestAMissingTopic(t *testing.T) {
	t.Parallel()
	inBook(t, func(b *book) {
		_, err := outcome.Open(b.t.Context(), b.cluster(), "nothing")
		if _, ok := errors.AsType[*consumer.TopicError](err); !ok {
			t.Errorf("error %v", err)
		}
	})
}
