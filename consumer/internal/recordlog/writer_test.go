package recordlog

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"convdel/internal/testkit/rawbatch"
)

// written is a batch of some records, which rawbatch writes. The embedded head is as a log has it. Its Records, Count and
// LastOffsetDelta follow from the fields below.
type written struct {
	rawbatch.Batch
	records []writtenRecord
	// lastDelta and count are written instead of the right numbers, unless they are nil.
	lastDelta, count *int32
	pack             func([]byte) []byte
	// tail follows the records, afterwards follows the compressed records.
	tail, afterwards []byte
}

// writtenRecord is a record at an offset delta. It names offsetNumber instead, unless that is nil.
type writtenRecord struct {
	rawbatch.Record
	offsetNumber *int64
}

// of returns a batch of records with these values at consecutive offsets.
func of(base int64, values ...string) *written {
	w := &written{Batch: rawbatch.Of(1_700_000_000_000)}
	w.Base, w.LeaderEpoch, w.MaxTime = base, 7, 1_700_000_009_000
	for i, v := range values {
		w.records = append(w.records, writtenRecord{Record: rawbatch.Record{OffsetDelta: int64(i), TimeDelta: int64(i), Value: []byte(v)}})
	}
	return w
}

func or[T any](p *T, v T) T {
	if p != nil {
		return *p
	}
	return v
}

// bytes returns the batch as the log has it.
func (w *written) bytes() []byte {
	var data []byte
	last := int32(-1)
	for _, r := range w.records {
		last = max(last, int32(r.OffsetDelta))
		r.OffsetDelta = or(r.offsetNumber, r.OffsetDelta)
		data = append(data, r.Bytes()...)
	}
	data = append(data, w.tail...)
	if w.pack != nil {
		data = w.pack(data)
	}
	b := w.Batch
	b.Records = slices.Concat(data, w.afterwards)
	b.LastOffsetDelta, b.Count = or(w.lastDelta, last), or(w.count, int32(len(w.records)))
	return b.Bytes()
}

// codec sets the batch's compression.
func (w *written) codec(c int16, pack func([]byte) []byte) *written {
	w.Attributes |= c
	w.pack = pack
	return w
}

func packGzip(b []byte) []byte { return rawbatch.Compress(rawbatch.Gzip, bytes.NewReader(b)) }

func packSnappy(b []byte) []byte { return rawbatch.Compress(rawbatch.Snappy, bytes.NewReader(b)) }

// packXerial compresses with the frame of Java's Snappy library.
func packXerial(size int) func([]byte) []byte {
	return func(b []byte) []byte { return xerial(b, size) }
}

func xerial(b []byte, size int) []byte {
	out := []byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01")
	for len(b) > 0 {
		n := min(len(b), size)
		block := snappy.Encode(nil, b[:n])
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
		b = b[n:]
	}
	return out
}

func packLZ4(options ...lz4.Option) func([]byte) []byte {
	return func(b []byte) []byte {
		var out bytes.Buffer
		z := lz4.NewWriter(&out)
		if err := z.Apply(append([]lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb)}, options...)...); err != nil {
			panic(err)
		}
		_, _ = z.Write(b)
		_ = z.Close()
		return out.Bytes()
	}
}

func packZstd(options ...zstd.EOption) func([]byte) []byte {
	return func(b []byte) []byte {
		var out bytes.Buffer
		z, err := zstd.NewWriter(&out, append([]zstd.EOption{zstd.WithEncoderConcurrency(1)}, options...)...)
		if err != nil {
			panic(err)
		}
		for len(b) > 0 { // in pieces, since a single write declares the size
			n := min(len(b), 1<<20)
			_, _ = z.Write(b[:n])
			b = b[n:]
		}
		_ = z.Close()
		return out.Bytes()
	}
}

type packing struct {
	name  string
	codec int16
	pack  func([]byte) []byte
}

// packings returns all ways to compress a batch.
func packings() []packing {
	return []packing{
		{"none", codecNone, nil},
		{"gzip", codecGzip, packGzip},
		{"snappy", codecSnappy, packSnappy},
		{"xerial", codecSnappy, packXerial(32 << 10)},
		{"xerial, small blocks", codecSnappy, packXerial(50)},
		{"lz4", codecLZ4, packLZ4()},
		{"lz4 checksums", codecLZ4, func(b []byte) []byte {
			return packLZ4(lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(b))))(b)
		}},
		{"zstd", codecZstd, packZstd()},
		{"zstd whole", codecZstd, func(b []byte) []byte {
			z, _ := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
			return z.EncodeAll(b, nil)
		}},
		{"zstd 128 MiB", codecZstd, packZstd(zstd.WithWindowSize(128 << 20))},
	}
}

// answered returns the result of a fetch from an offset that brings these batches.
func answered(l *Log, from int64, batches ...[]byte) *Fetched {
	b := bytes.Join(batches, nil)
	return &Fetched{HighWatermark: -1, Next: from, log: l, held: int64(len(b)), rest: b, aborted: newAbortedSet(nil)}
}

// delivered reads all records of an answer.
func delivered(t *testing.T, f *Fetched) ([]*Record, error) {
	t.Helper()
	var list []*Record
	err := f.Each(0, func(r *Record) error {
		list = append(list, r)
		return nil
	})
	return list, err
}

func join(batches ...interface{ bytes() []byte }) []byte {
	var b []byte
	for _, one := range batches {
		b = append(b, one.bytes()...)
	}
	return b
}
