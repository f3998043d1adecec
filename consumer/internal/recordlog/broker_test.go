package recordlog

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func newCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	cluster := kfake.MustCluster(append([]kfake.Opt{kfake.NumBrokers(2), kfake.SeedTopics(2, "events")}, opts...)...)
	t.Cleanup(cluster.Close)
	return cluster
}

func newProducer(t *testing.T, cluster *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("events"),
		kgo.ProducerBatchMaxBytes(1 << 20), kgo.ProducerBatchCompression(kgo.NoCompression()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(t *testing.T, client *kgo.Client, records ...*kgo.Record) {
	t.Helper()
	for _, r := range records {
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func values(n int) []*kgo.Record {
	list := make([]*kgo.Record, n)
	for i := range list {
		list[i] = kgo.StringRecord(fmt.Sprint("value ", i))
	}
	return list
}

// TestOldBrokers: where a broker is too old for a request, the error says so, or the result is left out.
func TestOldBrokers(t *testing.T) {
	t.Parallel()
	versions := kversion.V2_2_0()
	versions.SetMaxKeyVersion(int16(kmsg.Fetch), 3)
	l := newLog(t, newCluster(t, kfake.MaxVersions(versions)), "events")
	if _, err := l.Fetch(t.Context(), Request{MaxBytes: 1000, Epoch: NoEpoch}); !errors.Is(err, ErrOldBroker) {
		t.Errorf("Fetch: %v", err)
	}
	if found, end, err := l.EndOfEpoch(t.Context(), 0, NoEpoch, 0); found != NoEpoch || end != -1 || err != nil {
		t.Errorf("EndOfEpoch: %d, %d, %v", found, end, err)
	}
}

// TestEveryVersion: the records are found in an answer of each version of Fetch.
func TestEveryVersion(t *testing.T) {
	t.Parallel()
	for version := int16(4); version <= newestFetch; version++ {
		versions := kversion.Stable()
		versions.SetMaxKeyVersion(int16(kmsg.Fetch), version)
		cluster := newCluster(t, kfake.MaxVersions(versions))
		produce(t, newProducer(t, cluster), &kgo.Record{Value: make([]byte, 200_000)})
		l := newLog(t, cluster, "events")
		l.Bounds.Batch = 1000
		f, err := l.Fetch(t.Context(), Request{MaxBytes: 1000, Epoch: NoEpoch, Room: 10_000})
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if fault, ok := errors.AsType[*BatchError](f.Each(0, nil)); !ok || fault.First != 0 || fault.Last != 0 {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestEpochs: a fetch names the epoch of the leader that it expects, and leaders tell at which offset an earlier epoch
// ended.
func TestEpochs(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	client := newProducer(t, cluster)
	ctx := t.Context()
	epoch := func() int32 {
		topic, err := newLog(t, cluster, "events").Describe(ctx)
		if err != nil || len(topic.Epochs) != 2 {
			t.Fatal(topic, err)
		}
		return topic.Epochs[0]
	}
	produce(t, client, values(3)...)
	first := epoch()
	if err := cluster.MoveTopicPartition("events", 0, 1-cluster.LeaderFor("events", 0)); err != nil {
		t.Fatal(err)
	}
	client = newProducer(t, cluster)
	produce(t, client, values(2)...)
	second := epoch()
	if second <= first {
		t.Fatalf("epoch %d after %d", second, first)
	}
	l := newLog(t, cluster, "events")
	for asked, want := range map[int32]error{NoEpoch: nil, second: nil, first: kafka.FencedLeaderEpoch, second + 1: kafka.UnknownLeaderEpoch} {
		if _, err := l.Fetch(ctx, Request{MaxBytes: 1 << 20, Epoch: asked}); !errors.Is(err, want) {
			t.Errorf("fetch for epoch %d: %v, want %v", asked, err, want)
		}
		if _, _, err := l.EndOfEpoch(ctx, 0, asked, first); !errors.Is(err, want) {
			t.Errorf("question for epoch %d: %v, want %v", asked, err, want)
		}
	}
	for asked, want := range map[int32][2]int64{first: {int64(first), 3}, second: {int64(second), 5}, second + 5: {int64(NoEpoch), -1}} {
		if found, end, err := l.EndOfEpoch(ctx, 0, second, asked); err != nil || int64(found) != want[0] || end != want[1] {
			t.Errorf("end of epoch %d: %d, %d, %v; want %v", asked, found, end, err, want)
		}
	}
	f, err := l.Fetch(ctx, Request{MaxBytes: 1 << 20, Epoch: second})
	if err != nil {
		t.Fatal(err)
	}
	list, err := delivered(t, f)
	if err != nil || len(list) != 5 || list[0].Epoch != first || list[4].Epoch != second {
		t.Errorf("%d records, %v", len(list), err)
	}
	if _, _, err := l.EndOfEpoch(ctx, 99, NoEpoch, 0); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("of no partition: %v", err)
	}
}

// TestOffsets asks for the first and the last offset, the offset of a time, and the end of committed reads.
func TestOffsets(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	client := newProducer(t, cluster)
	at := time.UnixMilli(1_700_000_000_000)
	for i, r := range values(5) {
		r.Timestamp = at.Add(time.Duration(i) * time.Minute)
		produce(t, client, r)
	}
	l, ctx := newLog(t, cluster, "events"), t.Context()
	for when, want := range map[time.Time]int64{{}: 0, at: 0, at.Add(time.Second): 1, at.Add(4 * time.Minute): 4, at.Add(time.Hour): 5} {
		if got, err := l.OffsetAt(ctx, 0, when); err != nil || got != want {
			t.Errorf("at %v: %d, %v; want %d", when, got, err, want)
		}
	}
	writer := newProducer(t, cluster, kgo.TransactionalID("writer"))
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(t, writer, values(2)...)
	produce(t, client, values(1)...)
	ask := func(want, stable int64) {
		t.Helper()
		first, err1 := l.Offset(ctx, 0, kafka.FirstOffset)
		last, err2 := l.Offset(ctx, 0, kafka.LastOffset)
		committed, err3 := l.Stable(ctx, 0)
		if err := errors.Join(err1, err2, err3); err != nil || first != 0 || last != want || committed != stable {
			t.Errorf("%d to %d, stable %d, %v; want %d and %d", first, last, committed, err, want, stable)
		}
	}
	ask(8, 5)
	f, err := l.Fetch(ctx, Request{MaxBytes: 1 << 20, Epoch: NoEpoch})
	if err != nil || f.HighWatermark != 8 || f.Stable != 5 {
		t.Fatalf("%+v, %v", f, err)
	}
	if list, err := delivered(t, f); err != nil || len(list) != 5 || f.Next != 5 {
		t.Errorf("%d records, next %d, %v", len(list), f.Next, err)
	}
	if err := writer.EndTransaction(ctx, kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	ask(9, 9)
	if f, err = l.Fetch(ctx, Request{MaxBytes: 1 << 20, Epoch: NoEpoch, Offset: 5}); err != nil {
		t.Fatal(err)
	}
	list, err := delivered(t, f)
	if err != nil || len(list) != 4 || list[0].Use || list[1].Use || !list[2].Use || list[3].Use || f.Next != 9 {
		t.Errorf("%d records, next %d, %v", len(list), f.Next, err)
	}
	if _, err := l.Offset(ctx, 9, kafka.LastOffset); !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("of no partition: %v", err)
	}
}
