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
)

// tap listens on the replicas' connections to the brokers: what they commit, and which dead letters
// have been acknowledged.
type tap struct {
	mu      sync.Mutex
	commits []commit
	acked   map[string]time.Time // by ID of the letter: when first
	writer  map[string]string    // by ID of the letter: which replica wrote it first
	tried   map[string]string    // by ID of the letter: which replica tried to last
	heard   map[string]time.Time // of members of the group, by ID: when last
	strange []string
	// careless counts writes that do not wait for all replicas of the log.
	careless int
}

// commit is what a replica asked the broker to remember of a partition.
type commit struct {
	at        time.Time
	by        string
	partition int32
	offset    int64
	// above are the offsets from offset on that are said to have ended already, both ends included.
	above [][2]int64
}

func newTap() *tap {
	return &tap{acked: map[string]time.Time{}, writer: map[string]string{}, tried: map[string]string{}, heard: map[string]time.Time{}}
}

// asked looks at a request on its way to a broker.
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
		r.letters = map[int32][]string{}
		if req.Acks != -1 {
			t.careless++
		}
		for _, topic := range req.Topics {
			for _, part := range topic.Partitions {
				r.letters[part.Partition] = t.lettersIn(part.Records)
				for _, id := range r.letters[part.Partition] {
					t.tried[id] = p.name
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

// memberOf is the member of the group that a request comes from.
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

// silent says whether nothing has been heard of a member for so long.
func (t *tap) silent(id string, since time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, known := t.heard[id]
	if !known {
		t.heard[id] = time.Now()
	}
	return known && time.Since(last) > since
}

// by is which replica wrote a letter; if it was never acknowledged, though it may be there, which tried to.
func (t *tap) by(id string) string {
	if name, ok := t.writer[id]; ok {
		return name
	}
	return t.tried[id]
}

func (t *tap) lettersIn(batch []byte) []string {
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
		ids = append(ids, string(r.Key))
	}
	return ids
}

// answered looks at an answer that its client is about to get.
func (t *tap) answered(p *party, r request, frame []byte) {
	if r.letters == nil {
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
			for _, id := range r.letters[part.Partition] {
				if _, before := t.acked[id]; !before {
					t.acked[id], t.writer[id] = time.Now(), p.name
				}
			}
		}
	}
}

// finished reads the list of ended offsets that a commit carries, by the form that docs/design.md gives it: on purpose
// not with the service's own code.
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
