package sim

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/schema"
)

// tap listens on the replicas' connections to the brokers. It records commits, and which dead letters and outcomes were acknowledged.
type tap struct {
	mu      sync.Mutex
	commits []commit
	acked   map[string]time.Time // when a letter was first acknowledged, by ID
	writer  map[string]string    // which replica wrote a letter first, by ID
	tried   map[string]string    // which replica last tried to write a letter, by ID
	told    map[string]time.Time // when an outcome was first on its way to a broker, by id
	proven  map[string]time.Time // when an outcome of an event's end was first acknowledged, by the record's ID
	ackedAs map[string]time.Time // when an outcome was first acknowledged, by id
	heard   map[string]time.Time // when a member of the group was last heard of, by ID
	strange []string
	// careless counts writes that do not wait for all in-sync replicas of the log.
	careless int
}

// commit is a commit of a partition that a replica has asked for.
type commit struct {
	at        time.Time
	by        string
	partition int32
	offset    int64
	// above are the finished offsets above offset by the commit's list, as ranges with both ends included.
	above [][2]int64
}

func newTap() *tap {
	return &tap{acked: map[string]time.Time{}, writer: map[string]string{}, tried: map[string]string{}, told: map[string]time.Time{}, proven: map[string]time.Time{}, ackedAs: map[string]time.Time{}, heard: map[string]time.Time{}}
}

// asked reads a request on its way to a broker.
func (t *tap) asked(p *party, r *request, frame []byte) {
	if !slices.Contains([]kmsg.Key{kmsg.Produce, kmsg.OffsetCommit, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup}, kmsg.Key(r.key)) {
		return
	}
	arrives := !p.isMute()
	body := kbin.Reader{Src: frame[12:]}
	body.NullableString()
	req := kmsg.RequestForKey(r.key)
	req.SetVersion(r.version)
	if req.IsFlexible() {
		kmsg.SkipTags(&body)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := req.ReadFrom(body.Src); err != nil {
		t.strange = append(t.strange, "a request that does not parse: "+err.Error())
		return
	}
	if m, ok := memberOf(req); ok && arrives {
		t.heard[m] = time.Now()
	}
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		r.written = map[place][]string{}
		if req.Acks != -1 {
			t.careless++
		}
		for _, topic := range req.Topics {
			for _, part := range topic.Partitions {
				ids := t.writtenIn(topic.Topic, part.Records)
				r.written[place{topic.Topic, part.Partition}] = ids
				for _, id := range ids {
					if topic.Topic == deadLetters {
						t.tried[id] = p.name
					} else if _, before := t.told[id]; !before {
						t.told[id] = time.Now()
					}
				}
			}
		}
	case *kmsg.OffsetCommitRequest:
		for _, topic := range req.Topics {
			for _, part := range topic.Partitions {
				c := commit{at: time.Now(), by: p.name, partition: part.Partition, offset: part.Offset}
				if part.Metadata != nil {
					c.above = t.finished(part.Offset, *part.Metadata)
				}
				t.commits = append(t.commits, c)
			}
		}
	}
}

// memberOf returns the member of the group that sent a request.
func memberOf(req kmsg.Request) (id string, ok bool) {
	switch req := req.(type) {
	case *kmsg.HeartbeatRequest:
		return req.MemberID, true
	case *kmsg.JoinGroupRequest:
		return req.MemberID, true
	case *kmsg.SyncGroupRequest:
		return req.MemberID, true
	case *kmsg.OffsetCommitRequest:
		return req.MemberID, true
	}
	return "", false
}

// silent returns true if a member has sent nothing for so long.
func (t *tap) silent(id string, since time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.heard[id]
	if !known {
		t.heard[id] = time.Now()
	}
	return known && time.Since(last) > since
}

// by returns the replica that wrote a dead letter. If no write was acknowledged, it is the replica that last tried.
func (t *tap) by(id string) string {
	if name, ok := t.writer[id]; ok {
		return name
	}
	return t.tried[id]
}

// writtenIn returns the IDs of the dead letters, or the ids of the outcomes, in a batch.
func (t *tap) writtenIn(topic string, batch []byte) []string {
	var b kmsg.RecordBatch
	if err := b.ReadFrom(batch); err != nil {
		t.strange = append(t.strange, "a batch that does not parse: "+err.Error())
		return nil
	}
	records, err := kfake.BatchRecords(b)
	if err != nil {
		t.strange = append(t.strange, "a batch whose records do not parse: "+err.Error())
	}
	var ids []string
	for _, r := range records {
		id := string(r.Key)
		if topic == outcomes {
			o, err := schema.DecodeOutcome(r.Key, r.Value)
			if err != nil {
				t.strange = append(t.strange, err.Error())
			}
			id = o.ID()
		}
		ids = append(ids, id)
	}
	return ids
}

// answered reads an answer on its way to its client.
func (t *tap) answered(p *party, r request, frame []byte) {
	if r.written == nil {
		return
	}
	res := kmsg.NewPtrProduceResponse()
	res.SetVersion(r.version)
	body := kbin.Reader{Src: frame[8:]}
	if res.IsFlexible() {
		kmsg.SkipTags(&body)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := res.ReadFrom(body.Src); err != nil {
		t.strange = append(t.strange, "an answer that does not parse: "+err.Error())
		return
	}
	for _, topic := range res.Topics {
		for _, part := range topic.Partitions {
			if part.ErrorCode != 0 {
				continue
			}
			for _, id := range r.written[place{topic.Topic, part.Partition}] {
				if topic.Topic == outcomes {
					if _, before := t.ackedAs[id]; !before {
						t.ackedAs[id] = time.Now()
					}
					id, _, _ = strings.Cut(id, ":")
					if _, before := t.proven[id]; !before {
						t.proven[id] = time.Now()
					}
				} else if _, before := t.acked[id]; !before {
					t.acked[id], t.writer[id] = time.Now(), p.name
				}
			}
		}
	}
}

// finished reads the list of finished offsets in a commit, by its definition in docs/design.md. On purpose it does not use
// the service's code.
func (t *tap) finished(watermark int64, metadata string) [][2]int64 {
	fields := strings.Fields(metadata)
	if len(fields) == 0 {
		return nil
	}
	words := make(map[string]string)
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		words[key] = value
	}
	list := words["done"]
	if list == "" && fields[0] == "convdel3" {
		return nil
	}
	buf, err := base64.RawStdEncoding.DecodeString(list[1:])
	if err != nil || fields[0] != "convdel3" || words["at"] != strconv.FormatInt(watermark, 10) {
		t.strange = append(t.strange, "commit metadata that does not parse: "+metadata)
		return nil
	}
	var above [][2]int64
	if list[0] == 'b' {
		for i := range 8 * len(buf) {
			if buf[i/8]&(1<<(i%8)) != 0 {
				above = append(above, [2]int64{watermark + int64(i), watermark + int64(i)})
			}
		}
		return above
	}
	for from := watermark; len(buf) > 0; {
		gap, n := binary.Uvarint(buf)
		length, m := binary.Uvarint(buf[n:])
		if n <= 0 || m <= 0 {
			t.strange = append(t.strange, "commit metadata that ends early: "+metadata)
			return above
		}
		buf = buf[n+m:]
		first := from + int64(gap)
		from = first + int64(length)
		above = append(above, [2]int64{first, from})
	}
	return above
}
