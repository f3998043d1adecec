package evidence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"convdel/consumer/cluster"
	"convdel/consumer/evidence"
	"convdel/consumer/internal/offsets"
	"convdel/internal/testkit"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic   = "events"
	letters = "events.dead-letter"
	ends    = "events.outcome"
	group   = "convdel"
)

// desk is a cluster with the topics of a service, in a synctest bubble. The tests play the service.
type desk struct {
	t       *testing.T
	network *kfake.VirtualNetwork
	// dial is the network of the reader; it can be cut.
	dial   *testkit.Dialer
	kafka  *kfake.Cluster
	client *kgo.Client
	admin  *kadm.Client
	// readers are closed at the end.
	readers []*evidence.Reader
}

func atDesk(t *testing.T, test func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, network: new(kfake.VirtualNetwork)}
		d.dial = testkit.NewDialer(d.network.DialContext)
		d.kafka = kfake.MustCluster(kfake.ListenFn(d.network.Listen), kfake.NumBrokers(1), kfake.Ports(9092),
			kfake.SeedTopics(3, topic), kfake.SeedTopics(2, letters), kfake.SeedTopics(3, ends))
		defer d.kafka.Close()
		var err error
		d.client, err = kgo.NewClient(kgo.SeedBrokers(d.kafka.ListenAddrs()...), kgo.Dialer(d.network.DialContext),
			kgo.RecordPartitioner(chosen()))
		if err != nil {
			t.Fatal(err)
		}
		defer d.client.Close()
		d.admin = kadm.NewClient(d.client)
		defer func() {
			for _, r := range d.readers {
				r.Close()
			}
		}()
		test(d)
		synctest.Wait()
	})
}

// chosen puts records into the partition that they name, and those of the outcome topic where their keys belong.
func chosen() kgo.Partitioner {
	byKey := kgo.StickyKeyPartitioner(nil)
	return kgo.BasicConsistentPartitioner(func(name string) func(*kgo.Record, int) int {
		keyed := byKey.ForTopic(name)
		return func(r *kgo.Record, n int) int {
			if name == ends && r.Partition == 0 {
				return keyed.Partition(r, n)
			}
			return int(r.Partition)
		}
	})
}

// reader opens the topics, with the outcomes unless told not to.
func (d *desk) reader(edit ...func(*evidence.Config)) *evidence.Reader {
	d.t.Helper()
	cfg := evidence.Config{
		Cluster: cluster.Config{Brokers: d.kafka.ListenAddrs(), Dial: d.dial.DialContext},
		Topic:   topic, Group: group, DeadLetterTopic: letters, OutcomeTopic: ends,
	}
	for _, e := range edit {
		e(&cfg)
	}
	r, err := evidence.Open(d.t.Context(), cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	d.readers = append(d.readers, r)
	return r
}

func withoutOutcomes(cfg *evidence.Config) { cfg.OutcomeTopic = "" }

func (d *desk) produce(r *kgo.Record) *kgo.Record {
	d.t.Helper()
	if err := d.client.ProduceSync(d.t.Context(), r).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
	return r
}

func conversation(from, to string) schema.Conversation {
	return schema.Conversation{From: from, Type: schema.C2C, To: to}
}

// asks is an event with an ID of its own.
func asks(from, to string) schema.Event {
	return schema.Event{Conversation: conversation(from, to), ClearRamble: true, ID: "id-" + from + "-" + to, Source: "/test"}
}

// source is the record of an event.
func source(t *testing.T, e schema.Event) schema.Record {
	t.Helper()
	value, headers, err := e.EncodeCloudEventBinary()
	if err != nil {
		t.Fatal(err)
	}
	return schema.Record{Key: []byte(e.Key()), Value: value, Headers: headers}
}

// publish writes the record of an event, and returns its ID.
func (d *desk) publish(partition int32, e schema.Event) string {
	d.t.Helper()
	return d.put(partition, source(d.t, e))
}

// put writes any record to the topic of events, and returns its ID.
func (d *desk) put(partition int32, r schema.Record) string {
	d.t.Helper()
	out := &kgo.Record{Topic: topic, Partition: partition, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return idOf(d.produce(out))
}

func idOf(r *kgo.Record) string {
	return schema.DeadLetter{Topic: topic, Partition: int(r.Partition), Offset: r.Offset}.ID()
}

func parse(id string) (string, int, int64) {
	name, partition, offset, err := schema.ParseID(id)
	if err != nil {
		panic(err)
	}
	return name, partition, offset
}

// end writes the outcome of an event.
func (d *desk) end(id string, kind schema.OutcomeKind, e *schema.Event, edit ...func(*schema.Outcome)) {
	d.t.Helper()
	o := schema.Outcome{Kind: kind, Group: group, Attempts: 1, Ended: time.Now()}
	o.Topic, o.Partition, o.Offset = parse(id)
	if e != nil {
		o.Event, o.EventID, o.EventSource, o.ErasureID = &schema.Event{Conversation: e.Conversation, ClearRamble: e.ClearRamble}, e.ID, e.Source, e.ErasureID
	}
	for _, f := range edit {
		f(&o)
	}
	r, err := o.Encode()
	if err != nil {
		d.t.Fatal(err)
	}
	d.produce(&kgo.Record{Topic: ends, Key: r.Key, Value: r.Value})
}

// dead is the dead letter of a record.
func dead(id string, class schema.Class) schema.DeadLetter {
	l := schema.DeadLetter{Class: class, Code: 50004, Error: "no", Attempts: 6, LastAttempt: time.Now(), Timestamp: time.Now(), Group: group}
	l.Topic, l.Partition, l.Offset = parse(id)
	return l
}

// bury writes a dead letter of a record.
func (d *desk) bury(l schema.DeadLetter, r schema.Record) {
	d.t.Helper()
	l.Key = r.Key
	value := r.Value
	if l.Omitted != nil {
		value = nil
	}
	if value == nil {
		value = []byte{}
	}
	out := &kgo.Record{Topic: letters, Key: []byte(l.ID()), Value: value}
	for _, h := range l.Headers(r.Headers) {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	d.produce(out)
}

// settle writes the tombstone of a dead letter.
func (d *desk) settle(id, by, reason string) {
	d.t.Helper()
	out := &kgo.Record{Topic: letters, Key: []byte(id)}
	for _, h := range (schema.Settlement{By: by, At: time.Now(), Reason: reason}).Headers() {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	d.produce(out)
}

// replay publishes the record of a dead letter again, as an operator does.
func (d *desk) replay(partition int32, l schema.DeadLetter, r schema.Record) string {
	d.t.Helper()
	l.Key = r.Key
	again, err := l.Replay(r.Value, r.Headers)
	if err != nil {
		d.t.Fatal(err)
	}
	return d.put(partition, again)
}

// commit commits an offset as the service does, with finished offsets above it.
func (d *desk) commit(partition int, offset int64, finished ...int64) {
	d.t.Helper()
	s := offsets.Unstamped()
	s.App, s.DeadLetterTopic, s.Partition, s.Offset = "1400000000", letters, partition, offset
	var ranges []offsets.Range
	for _, o := range finished {
		ranges = append(ranges, offsets.Range{First: o, Last: o})
	}
	d.commitAs(partition, offset, s.WithFinished(ranges).Metadata(offsets.Everything))
}

func (d *desk) commitAs(partition int, offset int64, metadata string) {
	d.t.Helper()
	var all kadm.Offsets
	all.Add(kadm.Offset{Topic: topic, Partition: int32(partition), At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := d.admin.CommitAllOffsets(d.t.Context(), group, all); err != nil {
		d.t.Fatal(err)
	}
}

// find returns the events that a query selects.
func (d *desk) find(r *evidence.Reader, q evidence.Query) ([]*evidence.Event, evidence.Totals) {
	d.t.Helper()
	events, totals, err := r.Find(d.t.Context(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	return events, totals
}

// one returns the only event with an ID.
func (d *desk) one(r *evidence.Reader, id string) *evidence.Event {
	d.t.Helper()
	events, _ := d.find(r, evidence.Query{Records: []string{id}})
	if len(events) != 1 || events[0].ID != id {
		d.t.Fatalf("found %d events, want %s", len(events), id)
	}
	return events[0]
}

// trim removes the records of a partition below an offset, as retention does.
func (d *desk) trim(partition int32, offset int64) {
	d.t.Helper()
	var all kadm.Offsets
	all.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset})
	if _, err := d.admin.DeleteRecords(d.t.Context(), all); err != nil {
		d.t.Fatal(err)
	}
}

// transact opens a transaction with the record of an event in partition 0; end ends it.
func (d *desk) transact(e schema.Event) (end func(kgo.TransactionEndTry)) {
	d.t.Helper()
	return d.transactIn(topic, source(d.t, e).Value)
}

func (d *desk) transactIn(name string, value []byte) (end func(kgo.TransactionEndTry)) {
	d.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(d.kafka.ListenAddrs()...), kgo.Dialer(d.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("stranger"), kgo.TransactionTimeout(10*time.Minute))
	if err != nil {
		d.t.Fatal(err)
	}
	if err := client.BeginTransaction(); err != nil {
		d.t.Fatal(err)
	}
	if err := client.ProduceSync(d.t.Context(), &kgo.Record{Topic: name, Value: value}).FirstErr(); err != nil {
		d.t.Fatal(err)
	}
	return func(how kgo.TransactionEndTry) {
		d.t.Helper()
		defer client.Close()
		if err := client.EndTransaction(d.t.Context(), how); err != nil {
			d.t.Fatal(err)
		}
	}
}
