package recordlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestOtherAnswers: an answer to another request, or about another partition, is an error.
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

// TestNoRoom: an answer that is larger than the room is not held, and the connection can be used again.
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

	l.Bounds.Batch = 100_000 // now no room is enough
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

// closing counts the connections that are closed.
type closing struct {
	net.Conn

	closed *atomic.Int32
}

func (c closing) Close() error {
	c.closed.Add(1)
	return c.Conn.Close()
}

// sumOf returns the hash of the first batch in the log.
func sumOf(t *testing.T, cluster *kfake.Cluster) [32]byte {
	t.Helper()
	f, err := newLog(t, cluster, "events").Fetch(t.Context(), Request{MaxBytes: 1, Epoch: NoEpoch})
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(f.rest[:uncounted+binary.BigEndian.Uint32(f.rest[lengthAt:])])
}

// TestGivenUp: an answer is not read into memory after its request was given up.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := &wire{rw: bytes.NewBuffer([]byte{0x7f, 0, 0, 0})}
	if _, err := w.fetched(ctx, kmsg.NewPtrFetchRequest(), Request{}, Bounds{Batch: 1 << 40}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestHugeBatchBehindALongList: a batch beyond the bounds is recognized behind a list of aborted transactions of any
// length.
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

// rawBatchHead returns the head of a batch of three records at offset 40 with a given size.
func rawBatchHead(size int) []byte {
	b := kmsg.NewRecordBatch()
	b.FirstOffset, b.LastOffsetDelta, b.NumRecords, b.Magic, b.Length = 40, 2, 3, 2, int32(size-uncounted)
	return b.AppendTo(nil)
}

// FuzzAnswer: no answer makes the reader panic, or find records where there are none.
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
