// Package rawbatch makes batches of records byte for byte, as no well-behaved client would, for tests of whoever reads them.
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
)

// The codecs, as a batch's attributes have them.
const (
	None int16 = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// LogAppendTime is the attribute by which a batch's time is the broker's.
const LogAppendTime int16 = 1 << 3

// Batch is a batch of format 2. What is left at zero is as in a batch of one producer without idempotence.
type Batch struct {
	// Attributes has codec, time type and flags. It does not compress Records by itself.
	Attributes      int16
	LastOffsetDelta int32
	// BaseTime and MaxTime are in milliseconds.
	BaseTime, MaxTime int64
	Count             int32
	// Records are what stands behind the head.
	Records []byte
}

// Of makes a regular batch of uncompressed records, with the time at which they all were made in milliseconds.
func Of(at int64, records ...[]byte) Batch {
	last := int32(len(records)) - 1 //nolint:gosec // a handful
	return Batch{LastOffsetDelta: last, BaseTime: at, MaxTime: at, Count: last + 1, Records: bytes.Join(records, nil)}
}

// Compressed returns the batch with its records compressed.
func (b Batch) Compressed(codec int16) Batch {
	b.Attributes |= codec
	b.Records = Compress(codec, bytes.NewReader(b.Records))
	return b
}

// headSize is a batch's head, crcFrom where what its checksum covers begins, uncounted what its length does not count.
const headSize, crcFrom, uncounted = 61, 21, 12

// Bytes is the batch as a Produce request has it, with a right length and checksum.
func (b Batch) Bytes() []byte {
	raw := make([]byte, headSize, headSize+len(b.Records))
	binary.BigEndian.PutUint32(raw[8:], uint32(headSize-uncounted+len(b.Records))) //nolint:gosec // megabytes
	binary.BigEndian.PutUint32(raw[12:], 0xffffffff)                               // leader epoch: the broker's
	raw[16] = 2
	binary.BigEndian.PutUint16(raw[21:], uint16(b.Attributes))      //nolint:gosec // bits
	binary.BigEndian.PutUint32(raw[23:], uint32(b.LastOffsetDelta)) //nolint:gosec // bits
	binary.BigEndian.PutUint64(raw[27:], uint64(b.BaseTime))        //nolint:gosec // bits
	binary.BigEndian.PutUint64(raw[35:], uint64(b.MaxTime))         //nolint:gosec // bits
	for i := 43; i < 57; i++ {
		raw[i] = 0xff // no producer ID, epoch and sequence
	}
	binary.BigEndian.PutUint32(raw[57:], uint32(b.Count)) //nolint:gosec // bits
	raw = append(raw, b.Records...)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// Record is a record whose offset delta is told, with so many headers of no name and no value.
func Record(offsetDelta int64, value []byte, emptyHeaders int) []byte {
	b := []byte{0, 0} // attributes, time delta
	b = binary.AppendVarint(b, offsetDelta)
	b = binary.AppendVarint(b, -1) // no key
	if value == nil {
		b = binary.AppendVarint(b, -1)
	} else {
		b = binary.AppendVarint(b, int64(len(value)))
		b = append(b, value...)
	}
	b = binary.AppendVarint(b, int64(emptyHeaders))
	b = append(b, make([]byte, 2*emptyHeaders)...)
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

// Header is a header of a record.
type Header struct {
	Key   string
	Value []byte
}

// RecordOf is a record without a key, with headers.
func RecordOf(offsetDelta int64, value []byte, headers ...Header) []byte {
	b := []byte{0, 0} // attributes, time delta
	b = binary.AppendVarint(b, offsetDelta)
	b = binary.AppendVarint(b, -1) // no key
	b = binary.AppendVarint(b, int64(len(value)))
	b = append(b, value...)
	b = binary.AppendVarint(b, int64(len(headers)))
	for _, h := range headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = binary.AppendVarint(b, int64(len(h.Value)))
		b = append(b, h.Value...)
	}
	return append(binary.AppendVarint(nil, int64(len(b))), b...)
}

// LargeRecord is one record with a value of so many zeros, made while it is read.
func LargeRecord(valueBytes int64) io.Reader {
	body := binary.AppendVarint([]byte{0, 0, 0, 1}, valueBytes) // no key
	size := int64(len(body)) + valueBytes + 1
	head := append(binary.AppendVarint(nil, size), body...)
	return io.MultiReader(bytes.NewReader(head), io.LimitReader(zeros{}, valueBytes), bytes.NewReader([]byte{0}))
}

// ManyHeaders is one record with a value and so many empty headers, made while it is read.
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

// Compress returns what a codec makes of records.
func Compress(codec int16, records io.Reader) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case Gzip:
		w = gzip.NewWriter(&out)
	case Snappy:
		all, _ := io.ReadAll(records) // what is in memory can't fail
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

// Send produces a batch as it is.
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

// find asks who leads a partition, and for its topic's ID.
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
