// Package rawbatch makes batches of records byte for byte, for tests of code that reads them. Regular clients make no such
// batches.
package rawbatch

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/schema"
)

// These are the codecs, as a batch's attributes number them.
const (
	None int16 = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// LogAppendTime is the attribute of a batch whose time is the broker's.
const LogAppendTime int16 = 1 << 3

// Batch is a batch of format 2. The fields of a batch made by [Of] fit each other. A test sets some of them to wrong
// values.
type Batch struct {
	// Base is the first offset, and LeaderEpoch the leader's epoch, of a batch in a log. A producer's batch has 0 and -1.
	Base        int64
	LeaderEpoch int32
	// Magic is the number of the format.
	Magic int8
	// Attributes has the codec, the type of time and flags. Setting a codec here does not compress Records.
	Attributes      int16
	LastOffsetDelta int32
	// BaseTime and MaxTime are in milliseconds.
	BaseTime, MaxTime int64
	// Producer is the producer's ID; -1 for a producer without idempotence.
	Producer int64
	Count    int32
	// Records are the bytes behind the head.
	Records []byte
	// Length is written instead of the right length, unless it is nil.
	Length *int32
	// WrongCRC makes the checksum false.
	WrongCRC bool
}

// Of makes a regular batch of uncompressed records, all with the same time, in milliseconds.
func Of(at int64, records ...[]byte) Batch {
	last := int32(len(records)) - 1 //nolint:gosec // a handful
	return Batch{LeaderEpoch: -1, Magic: 2, Producer: -1, LastOffsetDelta: last, BaseTime: at, MaxTime: at, Count: last + 1, Records: bytes.Join(records, nil)}
}

// Compressed returns the batch with its records compressed.
func (b Batch) Compressed(codec int16) Batch {
	b.Attributes |= codec
	b.Records = Compress(codec, bytes.NewReader(b.Records))
	return b
}

// headSize is the size of a batch's head. The checksum is at crcAt and covers the bytes from crcFrom on. The length does
// not count the first bytes, as many as uncounted says.
const headSize, crcAt, crcFrom, uncounted = 61, 17, 21, 12

// Bytes is the batch as a Produce request and the log have it.
func (b Batch) Bytes() []byte {
	head := kmsg.RecordBatch{
		FirstOffset: b.Base, Length: int32(headSize - uncounted + len(b.Records)), //nolint:gosec // megabytes
		PartitionLeaderEpoch: b.LeaderEpoch, Magic: b.Magic, Attributes: b.Attributes,
		LastOffsetDelta: b.LastOffsetDelta, FirstTimestamp: b.BaseTime, MaxTimestamp: b.MaxTime,
		ProducerID: b.Producer, ProducerEpoch: -1, FirstSequence: -1, NumRecords: b.Count, Records: b.Records,
	}
	if b.Length != nil {
		head.Length = *b.Length
	}
	raw := head.AppendTo(nil)
	crc := crc32.Checksum(raw[crcFrom:], crc32.MakeTable(crc32.Castagnoli))
	if b.WrongCRC {
		crc++
	}
	binary.BigEndian.PutUint32(raw[crcAt:], crc)
	return raw
}

// Record holds a record's fields. A key, a value or a header's value that is nil is null.
type Record struct {
	OffsetDelta, TimeDelta int64
	Key, Value             []byte
	Headers                []schema.Header
	// These are written instead of the right numbers, unless they are nil.
	Size, KeySize, ValueSize, HeaderCount *int64
	// Tail follows the headers.
	Tail []byte
}

// Bytes returns the record with its size in front of it.
func (r Record) Bytes() []byte {
	body := r.Body()
	size := int64(len(body))
	if r.Size != nil {
		size = *r.Size
	}
	return append(binary.AppendVarint(nil, size), body...)
}

// Body returns the record without its size.
func (r Record) Body() []byte {
	b := binary.AppendVarint([]byte{0}, r.TimeDelta) // no attributes
	b = binary.AppendVarint(b, r.OffsetDelta)
	b = appendField(b, r.Key, r.KeySize)
	b = appendField(b, r.Value, r.ValueSize)
	count := int64(len(r.Headers))
	if r.HeaderCount != nil {
		count = *r.HeaderCount
	}
	b = binary.AppendVarint(b, count)
	for _, h := range r.Headers {
		b = appendField(b, []byte(h.Key), nil)
		b = appendField(b, h.Value, nil)
	}
	return append(b, r.Tail...)
}

// appendField appends a field with its size in front of it, or with a wrong size if size is not nil.
func appendField(b, field []byte, size *int64) []byte {
	n := int64(len(field))
	switch {
	case size != nil:
		n = *size
	case field == nil:
		n = -1
	}
	return append(binary.AppendVarint(b, n), field...)
}

// Plain returns a record with a value, the offset delta that it names, and a number of headers without name and value.
func Plain(offsetDelta int64, value []byte, emptyHeaders int) []byte {
	r := Record{OffsetDelta: offsetDelta, Value: value}
	for range emptyHeaders {
		r.Headers = append(r.Headers, schema.Header{Value: []byte{}})
	}
	return r.Bytes()
}

// LargeRecord returns one record whose value has valueBytes zeros. It is made while it is read.
func LargeRecord(valueBytes int64) io.Reader {
	body := binary.AppendVarint([]byte{0, 0, 0, 1}, valueBytes) // no key
	size := int64(len(body)) + valueBytes + 1
	head := append(binary.AppendVarint(nil, size), body...)
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, valueBytes), bytes.NewReader([]byte{0}))
}

// ManyHeaders returns one record with a value and so many empty headers. It is made while it is read.
func ManyHeaders(value []byte, headers int64) io.Reader {
	body := binary.AppendVarint([]byte{0, 0, 0, 1}, int64(len(value)))
	body = append(body, value...)
	body = binary.AppendVarint(body, headers)
	head := append(binary.AppendVarint(nil, int64(len(body))+2*headers), body...)
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, 2*headers))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Compress returns the records compressed with a codec.
func Compress(codec int16, records io.Reader) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case Gzip:
		w = gzip.NewWriter(&out)
	case Snappy:
		all, _ := io.ReadAll(records) // reading from memory never fails
		return s2.EncodeSnappy(nil, all)
	case LZ4:
		w = lz4.NewWriter(&out)
	case Zstd:
		z, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err) // the options are legal
		}
		w = z
	default:
		_, _ = out.ReadFrom(records)
		return out.Bytes()
	}
	// lz4's writer can't be closed after its own ReadFrom.
	if _, err := io.Copy(struct{ io.Writer }{w}, records); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Send produces a batch unchanged.
func Send(ctx context.Context, client *kgo.Client, topic string, partition int32, batch []byte) error {
	leader, id, err := find(ctx, client, topic, partition)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	t, p := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Topic, t.TopicID, t.Partitions = topic, id, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := client.Broker(int(leader)).Request(ctx, req)
	if err != nil {
		return err
	}
	res, _ := answer.(*kmsg.ProduceResponse)
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("produce to %s/%d: %w", topic, partition, err)
			}
		}
	}
	return nil
}

// find returns a partition's leader and the topic's ID.
func find(ctx context.Context, client *kgo.Client, topic string, partition int32) (leader int32, id [16]byte, err error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = new(topic)
	req.Topics = append(req.Topics, t)
	res, err := req.RequestWith(ctx, client)
	if err != nil {
		return 0, id, err
	}
	for _, p := range res.Topics[0].Partitions {
		if p.Partition == partition {
			return p.Leader, res.Topics[0].TopicID, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return 0, id, fmt.Errorf("%s/%d: %w", topic, partition, cmp.Or(kerr.ErrorForCode(res.Topics[0].ErrorCode), error(kerr.UnknownTopicOrPartition)))
}
