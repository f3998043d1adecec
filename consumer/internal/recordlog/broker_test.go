package recordlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
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

// TestThrottled: a broker that throttles answers without the partition, which is no error.
func TestThrottled(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 1500
		return answer, nil, true
	})
	l := newLog(t, cluster, "events")
	f, err := l.Fetch(t.Context(), Request{Offset: 7, MaxBytes: 1 << 20, Epoch: NoEpoch})
	if err != nil || f.Throttled != 1500*time.Millisecond || f.HighWatermark != -1 || f.Stable != -1 {
		t.Fatalf("%+v, %v", f, err)
	}
	if list, err := delivered(t, f); err != nil || len(list) != 0 || f.Next != 7 {
		t.Errorf("%d records, next %d, %v", len(list), f.Next, err)
	}
}

// TestThrottledConnectionIsLeft: a broker that throttles does not listen to the connection until it has done so. Other requests
// do not wait for that.
func TestThrottledConnectionIsLeft(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	var throttled atomic.Bool // all connections that there are
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 10_000
		return answer, nil, true
	})
	l := newLog(t, cluster, "events")
	l.Transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if throttled.Load() {
			return c, err
		}
		return &deafConn{Conn: c, deaf: &throttled}, err
	}
	if _, err := l.Fetch(t.Context(), Request{MaxBytes: 1 << 20, Epoch: NoEpoch}); err != nil {
		t.Fatal(err)
	}
	throttled.Store(true)
	if _, err := l.Fetch(t.Context(), Request{MaxBytes: 1 << 20, Epoch: NoEpoch}); err != nil {
		t.Error("another fetch: ", err)
	}
	if _, err := l.Offset(t.Context(), 0, kafka.LastOffset); err != nil {
		t.Error("a question for an offset: ", err)
	}
}

// deafConn is a connection whose other side does not listen while deaf says so.
type deafConn struct {
	net.Conn

	deaf *atomic.Bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestOtherAnswers: an answer about something else is an error.
func TestOtherAnswers(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(a *kmsg.FetchResponse){
		"nothing":           func(a *kmsg.FetchResponse) { a.Topics = nil },
		"no partition":      func(a *kmsg.FetchResponse) { a.Topics[0].Partitions = nil },
		"another topic":     func(a *kmsg.FetchResponse) { a.Topics[0].Topic = "others" },
		"another partition": func(a *kmsg.FetchResponse) { a.Topics[0].Partitions[0].Partition = 1 },
		"an error":          func(a *kmsg.FetchResponse) { a.ErrorCode = int16(kafka.Unknown) },
		"gone":              func(a *kmsg.FetchResponse) { a.Topics[0].Partitions[0].ErrorCode = int16(kafka.OffsetOutOfRange) },
	} {
		a := kmsg.NewPtrFetchResponse()
		topic, p := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
		topic.Topic, topic.Partitions = "events", append(topic.Partitions, p)
		a.Topics = append(a.Topics, topic)
		edit(a)
		_, err := (&Log{Topic: "events"}).read(&answer{FetchResponse: a}, Request{})
		if err == nil || errors.Is(err, ErrOffsetGone) != (name == "gone") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOldBrokers: what brokers don't know is said by name, or left out.
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

// TestEveryVersion: the beginning of an answer has another shape in each version of Fetch.
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

// TestEpochs: a fetch says which leader it takes for the right one, and leaders tell where those before them have ended.
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

// TestOffsets: the first, the last, the one of a time, and where committed reads end.
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

// TestNoRoom: an answer that is larger than the room is not held, and the connection goes on.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t, kfake.NumBrokers(1))
	value := make([]byte, 400_000)
	for i := range value {
		value[i] = byte(rand.Uint32())
	}
	client := newProducer(t, cluster)
	produce(t, client, &kgo.Record{Value: value}, kgo.StringRecord("small"))
	l := newLog(t, cluster, "events")
	var closed atomic.Int32
	l.Transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return closing{conn, &closed}, err
	}
	request := Request{MaxBytes: 1000, Epoch: NoEpoch, Room: 1000}
	_, err := l.Fetch(t.Context(), request)
	need, ok := errors.AsType[*NeedRoomError](err)
	if !ok || need.Bytes < 400_000 || need.Bytes > 600_000 {
		t.Fatal(err)
	}
	request.Room = need.Bytes
	f, err := l.Fetch(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Each(request.Room, func(*Record) error { return nil })
	if need, ok = errors.AsType[*NeedRoomError](err); !ok || need.Bytes < 800_000 || need.Bytes > 1_200_000 {
		t.Fatal(err)
	}
	got := 0
	if err := f.Each(need.Bytes, func(r *Record) error {
		if got++; !bytes.Equal(r.Value, value) {
			t.Error("another value")
		}
		return nil
	}); err != nil || got != 1 || f.Next != 1 {
		t.Errorf("%d records, next %d, %v", got, f.Next, err)
	}

	l.Bounds.Batch = 100_000 // now no room would help
	request.Room = 50_000
	if f, err = l.Fetch(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	fault, ok := errors.AsType[*BatchError](f.Each(0, func(*Record) error { return nil }))
	if !ok || fault.Reason != ReasonTooLarge || fault.Raw != nil || fault.First != 0 || fault.Last != 0 || fault.Size < 400_000 || f.Next != 0 {
		t.Fatalf("%+v", fault)
	}
	if sum := sumOf(t, cluster); sum != fault.SHA256 {
		t.Error("another hash")
	}
	request.Offset = fault.Last + 1
	if f, err = l.Fetch(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if list, err := delivered(t, f); err != nil || len(list) != 1 || string(list[0].Value) != "small" {
		t.Errorf("behind it: %d records, %v", len(list), err)
	}
	if n := closed.Load(); n != 0 {
		t.Errorf("%d connections closed", n)
	}
}

// closing counts connections that are closed.
type closing struct {
	net.Conn

	closed *atomic.Int32
}

func (c closing) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// sumOf is the hash of the first batch in the log.
func sumOf(t *testing.T, cluster *kfake.Cluster) [32]byte {
	t.Helper()
	f, err := newLog(t, cluster, "events").Fetch(t.Context(), Request{MaxBytes: 1, Epoch: NoEpoch})
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(f.rest[:uncounted+binary.BigEndian.Uint32(f.rest[lengthAt:])])
}

// TestGivenUp: an answer that nobody waits for is not read into memory.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &wire{rw: bytes.NewBuffer([]byte{0x7f, 0, 0, 0})}
	if _, err := w.fetched(ctx, kmsg.NewPtrFetchRequest(), Request{}, Bounds{Batch: 1 << 40}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHugeBatchBehindALongList: a batch beyond the bounds is known for that behind a list of what was rolled back of any length.
func TestHugeBatchBehindALongList(t *testing.T) {
	t.Parallel()
	for _, aborted := range []int{0, 10, 5000, 100_000} {
		cluster := newCluster(t)
		batch := make([]byte, 200<<10)
		copy(batch, rawBatchHead(len(batch)))
		cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
			partition := kmsg.NewFetchResponseTopicPartition()
			partition.HighWatermark, partition.LastStableOffset, partition.RecordBatches = 100, 100, batch
			partition.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, aborted)
			topic := kmsg.NewFetchResponseTopic()
			topic.Topic, topic.Partitions = "events", append(topic.Partitions, partition)
			answer.Topics = append(answer.Topics, topic)
			return answer, nil, true
		})
		l := newLog(t, cluster, "events")
		l.Bounds = Bounds{Batch: 64 << 10, Record: 64 << 10}
		fetched, err := l.Fetch(t.Context(), Request{Offset: 40, MaxBytes: 16 << 10, Epoch: NoEpoch, Room: 32 << 10})
		if err != nil {
			t.Errorf("behind %d: %v", aborted, err)
			continue
		}
		var bad *BatchError
		if err := fetched.Each(0, nil); !errors.As(err, &bad) || bad.First != 40 || bad.Last != 42 || bad.Size != int64(len(batch)) || bad.SHA256 != sha256.Sum256(batch) {
			t.Errorf("behind %d: %v", aborted, err)
		}
	}
}

// rawBatchHead is the head of a batch of three records at offset 40, of so many bytes.
func rawBatchHead(size int) []byte {
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.LastOffsetDelta, b.NumRecords, b.Magic, b.Length = 40, 2, 3, 2, int32(size-uncounted)
	return b.AppendTo(nil)
}

// FuzzAnswer: no answer makes reading it panic, or find records where there are none.
func FuzzAnswer(f *testing.F) {
	f.Add(int16(11), []byte{})
	f.Add(int16(4), bytes.Repeat([]byte{0xff}, 64))
	f.Add(int16(10), append([]byte{0, 0, 0, 1}, (&kmsg.FetchResponse{Version: 10, Topics: []kmsg.FetchResponseTopic{{
		Topic: "events", Partitions: []kmsg.FetchResponseTopicPartition{{RecordBatches: []byte("batch")}},
	}}}).AppendTo(nil)...))
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		req := kmsg.NewPtrFetchRequest()
		req.Version = min(max(version, oldestFetch), newestFetch)
		_, at, found := recordsStart(req.Version, body)
		a, err := (&wire{asked: 1}).parseFetched(req, body)
		if err == nil && len(a.Topics) == 1 && len(a.Topics[0].Partitions) == 1 {
			records := a.Topics[0].Partitions[0].RecordBatches
			if len(records) > 0 && (!found || !bytes.HasPrefix(body[at:], records)) {
				t.Errorf("records are at %d, %t", at, found)
			}
			_, _ = (&Log{}).read(a, Request{})
		}
		skipTags(body)
	})
}
