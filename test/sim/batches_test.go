package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

// These bound what a replica accepts of batches and records on days with odd batches. They are low, so that odd batches are
// small.
const (
	maxBatchBytes  = 1 << 20
	maxRecordBytes = 64 << 10
)

// batch is a batch that regular clients do not write, but that brokers take.
type batch struct {
	name      string
	at        time.Duration
	partition int32
	// records are the readable events, each at its offset delta. A record that is not in this list is nil.
	records []*planned
	// rest stands for the offsets from restAt on, if the batch can't be read to its end; nil otherwise.
	rest   *planned
	restAt int
	raw    []byte
	crc    uint32
}

// hostileKinds are the kinds of odd batches. A kind gets the events that the batch may have, and a function that encodes
// one of them at an offset delta.
// encoded at a delta of its choice.
var hostileKinds = []struct {
	name  string
	write func(b *batch, encode func(i int, delta int64) []byte) rawbatch.Batch
}{
	{"offsets beyond the end", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		return b.regular(encode, func(i int) int64 { return int64(1_000_000 + i) })
	}},
	{"offsets that are all the same", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		return b.regular(encode, func(int) int64 { return 0 })
	}},
	{"offsets that descend", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		return b.regular(encode, func(i int) int64 { return int64(-i) })
	}},
	{"zeros behind the compressed records", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) }).Compressed(rawbatch.Gzip)
		out.Records = append(out.Records, 0, 0, 0, 0)
		return out
	}},
	{"a record too few", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) })
		b.unreadableFrom(len(b.records))
		out.Count, out.LastOffsetDelta = out.Count+1, out.LastOffsetDelta+1
		return out
	}},
	{"a record too many", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) })
		out.Records = append(out.Records, encode(0, 0)...)
		b.unreadableFrom(len(b.records) - 1)
		return out
	}},
	{"records that are none", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) })
		b.unreadableFrom(len(b.records))
		out.Records = append(out.Records, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		out.Count, out.LastOffsetDelta = out.Count+3, out.LastOffsetDelta+3
		return out
	}},
	{"compressed records that are none", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) })
		b.unreadableFrom(0)
		out.Attributes = rawbatch.LZ4
		return out
	}},
	{"a value beyond what a batch may have", func(b *batch, encode func(int, int64) []byte) rawbatch.Batch {
		out := b.regular(encode, func(i int) int64 { return int64(i) })
		out.Records = slices.Concat(out.Records, rawbatch.Compress(rawbatch.None, rawbatch.LargeRecord(2*maxBatchBytes)))
		b.unreadableFrom(len(b.records))
		out.Count, out.LastOffsetDelta = out.Count+1, out.LastOffsetDelta+1
		return out.Compressed(rawbatch.Gzip)
	}},
}

// regular returns a batch of the records, with the kind's offset deltas.
func (b *batch) regular(encode func(int, int64) []byte, delta func(i int) int64) rawbatch.Batch {
	var records [][]byte
	for i := range b.records {
		records = append(records, encode(i, delta(i)))
	}
	return rawbatch.Of(epoch.Add(b.at).UnixMilli(), records...)
}

// unreadableFrom marks the records from at on as unreadable.
func (b *batch) unreadableFrom(at int) {
	b.rest = &planned{id: "rest of " + b.name, fate: unreadable, batched: true}
	b.restAt = at
	b.records = b.records[:at]
}

// drawBatches draws the day's odd batches from a random source of its own, so that it leaves the rest of the day unchanged.
func drawBatches(sc *scenario) (batches []*batch) {
	d := &drawer{Rand: rngOf(sc, 3), sc: sc}
	if d.chance(0.5) {
		return nil
	}
	for n := range 1 + d.IntN(6) {
		kind := pick(d.Rand, hostileKinds)
		b := &batch{
			name: fmt.Sprintf("batch %d, %s", n, kind.name), at: d.between(0, sc.length), partition: int32(d.IntN(int(sc.partitions))),
		}
		for i := range 1 + d.IntN(4) {
			e := &planned{id: fmt.Sprintf("batch-%d-%d", n, i), at: b.at, batched: true}
			e.From, e.Type, e.To = e.id, schema.C2C, "friend"
			e.value = fmt.Appendf(nil, `{"From_Account":%q,"Type":1,"To_Account":"friend"}`, e.id)
			if d.chance(0.2) {
				e.fate, e.value = undecodable, []byte("garbage "+e.id)
			}
			b.records = append(b.records, e)
		}
		all := slices.Clone(b.records)
		b.raw = kind.write(b, func(i int, delta int64) []byte {
			return rawbatch.Record{OffsetDelta: delta, Value: all[i].value, Headers: []schema.Header{{Key: idHeader, Value: []byte(all[i].id)}}}.Bytes()
		}).Bytes()
		b.crc = crcOf(b.raw)
		batches = append(batches, b)
		if sc.events = append(sc.events, b.records...); b.rest != nil {
			sc.events = append(sc.events, b.rest)
		}
	}
	return batches
}

// crcOf returns a batch's checksum, which identifies the batch: it does not cover the fields that brokers change.
func crcOf(raw []byte) uint32 {
	const at = 17
	return binary.BigEndian.Uint32(raw[at:])
}

// publishBatches publishes the odd batches, each at its time. It repeats until a broker has the batch, so it may publish
// one twice.
func (w *world) publishBatches() {
	batches := slices.Clone(w.sc.batches)
	slices.SortStableFunc(batches, func(a, b *batch) int { return int(a.at - b.at) })
	for _, b := range batches {
		time.Sleep(time.Until(w.began.Add(b.at)))
		w.mu.Lock()
		for _, e := range append(slices.Clone(b.records), b.rest) {
			if e != nil {
				w.sent[e.id] = time.Now()
			}
		}
		w.mu.Unlock()
		w.note("odd batch: %s, %d records to be read", b.name, len(b.records))
		for rawbatch.Send(context.Background(), w.odd, topic, b.partition, b.raw) != nil {
			time.Sleep(time.Second)
		}
	}
}

// readTopic reads the topic of events from its start to its end, batch by batch. It does not decode odd batches, since
// their content is known.
// is known.
func (w *world) readTopic() []*kgo.Record {
	byCRC := map[uint32]*batch{}
	for _, b := range w.sc.batches {
		byCRC[b.crc] = b
	}
	var all []*kgo.Record
	for _, p := range w.kafka.PartitionInfos(topic) {
		for offset := p.LogStartOffset; offset < p.HighWatermark; {
			answer, err := w.fetchOnce(p.Partition, offset)
			if err != nil {
				time.Sleep(time.Second) // a broker is away
				continue
			}
			for _, raw := range split(answer.RecordBatches) {
				base := int64(binary.BigEndian.Uint64(raw))
				last := base + int64(int32(binary.BigEndian.Uint32(raw[23:])))
				if b := byCRC[crcOf(raw)]; b != nil {
					all = append(all, b.entries(p.Partition, base, offset, raw)...)
				} else {
					all = append(all, decodeBatch(answer, p.Partition, offset, raw)...)
				}
				offset = max(offset, last+1)
			}
			if len(answer.RecordBatches) == 0 {
				break // only records of open transactions are left
			}
		}
	}
	return all
}

// entries returns the records of an odd batch from an offset on. Its unreadable rest is one entry.
func (b *batch) entries(partition int32, base, from int64, raw []byte) (all []*kgo.Record) {
	for i, e := range b.records {
		if base+int64(i) >= from {
			all = append(all, &kgo.Record{
				Topic: topic, Partition: partition, Offset: base + int64(i), Value: e.value, Timestamp: epoch.Add(b.at).Truncate(time.Millisecond),
				Headers: []kgo.RecordHeader{{Key: idHeader, Value: []byte(e.id)}},
			})
		}
	}
	if first := base + int64(b.restAt); b.rest != nil && first >= from {
		all = append(all, &kgo.Record{
			Topic: topic, Partition: partition, Offset: first, Value: bytes.Clone(raw),
			Headers: []kgo.RecordHeader{{Key: idHeader, Value: []byte(b.rest.id)}},
		})
	}
	return all
}

// fetchOnce makes one fetch from a partition's leader.
func (w *world) fetchOnce(partition int32, offset int64) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes = 1, 64<<20
	req.SessionEpoch = -1
	t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
	t.Topic, t.TopicID = topic, w.kafka.TopicInfo(topic).TopicID
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	res, err := req.RequestWith(context.Background(), w.odd)
	if err != nil {
		return nil, err
	}
	if len(res.Topics) == 0 || len(res.Topics[0].Partitions) == 0 || res.Topics[0].Partitions[0].ErrorCode != 0 {
		return nil, fmt.Errorf("fetch of %s/%d: %+v", topic, partition, res)
	}
	return &res.Topics[0].Partitions[0], nil
}

// split returns the whole batches of an answer.
func split(raw []byte) (batches [][]byte) {
	const head = 12
	for len(raw) > head {
		size := head + int(binary.BigEndian.Uint32(raw[8:]))
		if size > len(raw) {
			break
		}
		batches = append(batches, raw[:size])
		raw = raw[size:]
	}
	return batches
}

// decodeBatch decodes a batch with another client's library.
func decodeBatch(answer *kmsg.FetchResponseTopicPartition, partition int32, from int64, raw []byte) []*kgo.Record {
	one := *answer
	one.RecordBatches = raw
	read, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: false, Offset: from, IsolationLevel: kgo.ReadUncommitted(), Topic: topic, Partition: partition,
	}, &one, kgo.DefaultDecompressor(), nil)
	return read.Records
}

// judgeRest compares the dead letter of a batch's unreadable rest with the batch.
func (l *ledger) judgeRest(e *entry, r *kgo.Record) {
	d, err := schema.ParseDeadLetter(testkit.Headers(r))
	switch {
	case err != nil:
		l.w.fail("bytes", "the letter of %s does not parse: %v", e.id, err)
	case d.Class != schema.ClassUndecodable || d.Attempts != 0:
		l.w.fail("class", "the letter of %s, which can't be read, is %s after %d attempts", e.id, d.Class, d.Attempts)
	case d.Batch == nil || d.Batch.First != e.r.Offset || d.Batch.Last != e.last():
		l.w.fail("headers", "the letter of %s stands for %v, not for %d to %d", e.id, d.Batch, e.r.Offset, e.last())
	case !bytes.Equal(r.Value, e.r.Value) && d.Omitted == nil:
		l.w.fail("bytes", "the letter of %s has not the batch's %d bytes but %d", e.id, len(e.r.Value), len(r.Value))
	case d.Error == "" || d.Group != group || d.ID() != e.id:
		l.w.fail("headers", "the letter of %s: %+v", e.id, d)
	}
}

// last is the last offset of an entry.
func (e *entry) last() int64 {
	if e.fate != unreadable {
		return e.r.Offset
	}
	return int64(binary.BigEndian.Uint64(e.r.Value)) + int64(int32(binary.BigEndian.Uint32(e.r.Value[23:])))
}
