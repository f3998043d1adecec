package deadletter_test

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/deadletter"
)

// send writes a batch with any attributes, number of records and bytes, and a right checksum.
func (s *shelf) send(partition int32, attributes int16, count int32, records []byte) {
	s.t.Helper()
	const headSize, crcFrom, uncounted = 61, 21, 12
	raw := make([]byte, headSize, headSize+len(records))
	binary.BigEndian.PutUint32(raw[8:], uint32(headSize-uncounted+len(records)))
	raw[16] = 2
	binary.BigEndian.PutUint16(raw[21:], uint16(attributes))
	binary.BigEndian.PutUint32(raw[23:], uint32(count-1))
	for i := 43; i < 57; i++ {
		raw[i] = 0xff // no producer
	}
	binary.BigEndian.PutUint32(raw[57:], uint32(count))
	raw = append(raw, records...)
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 1000
	topic, part := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	metadata, err := s.client.Request(s.t.Context(), kmsg.NewPtrMetadataRequest())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, known := range metadata.(*kmsg.MetadataResponse).Topics {
		if *known.Topic == dlt {
			topic.TopicID = known.TopicID
		}
	}
	topic.Topic, part.Partition, part.Records = dlt, partition, raw
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	res, err := req.RequestWith(s.t.Context(), s.client)
	if err != nil {
		s.t.Fatal(err)
	}
	if code := res.Topics[0].Partitions[0].ErrorCode; code != 0 {
		s.t.Fatalf("the broker refuses the batch: %d", code)
	}
}

// TestABatchThatCannotBeReadHidesNoNeighbour: other programs' unreadable batches in the topic are stepped over and
// reported. The letters around them are shown and settled.
func TestABatchThatCannotBeReadHidesNoNeighbour(t *testing.T) {
	t.Parallel()
	onShelf(t, func(s *shelf) {
		const gzip = 1
		s.put(letter(0), letter(1))
		s.send(0, gzip, 5, []byte("not compressed"))
		s.put(letter(3), letter(4))
		s.send(1, 0, 2, []byte{0xff, 0xff})
		s.put(letter(6), letter(2))
		s.wantOpen(0, 1, 3, 4, 6, 2)
		table := s.open()
		defer table.Close()
		var noticed []deadletter.Gap
		table.Notice = func(g deadletter.Gap) { noticed = append(noticed, g) }
		plan, err := table.Replay(s.t.Context(), deadletter.Choice{Topic: source}, nil)
		if err != nil || plan.Settled != 6 || plan.Unread == nil || len(plan.Unread.Gaps) != 2 {
			s.t.Fatalf("plan %+v, %v", plan, err)
		}
		for _, want := range []deadletter.Gap{{Partition: 0, First: 1, Last: 5}, {Partition: 1, First: 2, Last: 3}} {
			if !slices.ContainsFunc(noticed, func(g deadletter.Gap) bool {
				return g.Err != nil && g.Partition == want.Partition && g.First == want.First && g.Last == want.Last
			}) {
				s.t.Errorf("noticed %+v, want %+v", noticed, want)
			}
		}
		s.wantOpen()
		s.produce(&kgo.Record{Topic: dlt, Partition: 0, Key: []byte("x"), Value: []byte("x")})
		s.wantOpen()
	})
}
