package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/schema"
)

const (
	cutByRetention = "retention has removed records before they were read; going on at the start of the log"
	madeAnew       = "position is beyond the end of the log: beginning as start says"
)

// TestEndToEnd_LogCutWhileBehind removes records that a slow service has not read. The service names and counts them, and
// executes the rest.
func TestEndToEnd_LogCutWhileBehind(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2, imtest.Config{})
	all := events("user", 0, 1000)
	s.producePadded(all)
	admin := freeAddr(t)
	slow := s.sim.Script(imtest.Fault{Delay: 3 * time.Second})
	p := s.service("--max-in-flight", "20", "--calls-per-second", "0", "--admin-addr", admin)
	s.await(30*time.Second, "slow calls", func() bool { return s.sim.Stats().Calls >= 20 })
	s.cut(300)
	slow.Remove()
	s.await(time.Minute, "every offset committed", s.drained)
	s.wantCut(p, all, 300)
	if got := page(t, "http://"+admin+"/metrics"); !strings.Contains(got, "\nconvdel_offset_resets_total 2\n") {
		t.Errorf("not 2 resets of offsets in the metrics:\n%s", linesWith(got, "offset_resets"))
	}
	p.stop()
}

// TestEndToEnd_LogCutWhileStopped removes records while no replica runs, below and above the committed offsets.
func TestEndToEnd_LogCutWhileStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2, imtest.Config{})
	first := events("first", 0, 200)
	s.produce(values(t, first)...)
	p := s.service("--calls-per-second", "0")
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	second := events("second", 0, 400)
	s.produce(values(t, second)...)
	s.cut(100 + 50) // 100 of each partition have been committed
	p = s.service("--calls-per-second", "0")
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	s.wantCut(p, append(first, second...), 150)
	if deletes := s.deletes(); len(deletes) != 200+300 {
		t.Errorf("%d conversations deleted, want 500", len(deletes))
	}
}

// cut removes the records below an offset from both partitions.
func (s *stage) cut(below int64) {
	s.tb.Helper()
	offsets := kadm.Offsets{}
	for partition := range int32(2) {
		offsets.Add(kadm.Offset{Topic: s.topic, Partition: partition, At: below})
	}
	res, err := s.admin.DeleteRecords(s.tb.Context(), offsets)
	if err != nil || res.Error() != nil {
		s.tb.Fatal(err, res.Error())
	}
}

// wantCut checks that the missing events are those that the service reports as removed, that these were below the cut, and
// that none was repeated. Events are round-robin over two partitions.
func (s *stage) wantCut(p *process, all []schema.Event, below int64) {
	s.tb.Helper()
	deletes := s.deletes()
	missing := int64(0)
	for i, e := range all {
		switch n := deletes[e.From]; {
		case n > 1:
			s.tb.Errorf("%s done %d times", e.From, n)
		case n == 0 && int64(i/2) >= below:
			s.tb.Errorf("%s at offset %d lost, the log was cut below %d", e.From, i/2, below)
		case n == 0:
			missing++
		}
	}
	lines := p.lines(cutByRetention)
	said := int64(0)
	for _, l := range lines {
		said += l.number("offsets_lost")
		if l.text("level") != "ERROR" {
			s.tb.Errorf("lost records are no error in the log: %v", l)
		}
	}
	if len(lines) != 2 || missing == 0 || said != missing {
		s.tb.Errorf("%d events gone, the log says %d in %d lines", missing, said, len(lines))
	}
	s.tb.Logf("%d of %d events were cut off unread, and the log says so", missing, len(all))
}

// TestEndToEnd_PartitionsAdded adds partitions while two replicas run. Their events are executed from the first record on,
// although it was published before the group knew of the partitions.
func TestEndToEnd_PartitionsAdded(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2, imtest.Config{})
	replicas := []*process{s.service(), s.service()}
	s.awaitMembers(2)
	first := events("first", 0, 100)
	s.produce(values(t, first)...)
	s.await(30*time.Second, "every offset committed", s.drained)
	res, err := s.admin.UpdatePartitions(t.Context(), 6, s.topic)
	if err != nil || res.Error() != nil {
		t.Fatal(err, res.Error())
	}
	s.await(30*time.Second, "leaders of the new partitions", func() bool { return s.leads(s.topic, 6) })
	added := time.Now()
	second := events("second", 0, 300)
	s.renewClient()
	s.produce(values(t, second)...)
	s.await(time.Minute, "every offset committed", s.drained)
	t.Logf("events in new partitions done after %s", time.Since(added).Round(100*time.Millisecond))
	for _, p := range replicas {
		p.stop()
	}
	if again := s.wantDeleted(first, second); again != 0 {
		t.Errorf("%d events done twice", again)
	}
}

// TestEndToEnd_TopicRecreated deletes the topic and creates it again while a replica runs. All of its events are executed,
// whether the new topic ends before the old position or behind it.
func TestEndToEnd_TopicRecreated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		fresh int
	}{{"Shorter", 100}, {"Longer", 900}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 3, imtest.Config{})
			old := events("old", 0, 300)
			s.produce(values(t, old)...)
			p := s.service("--calls-per-second", "0")
			s.await(time.Minute, "every offset committed", s.drained)
			s.recreate()
			fresh := events("fresh", 0, test.fresh)
			s.produce(values(t, fresh)...)
			s.await(90*time.Second, "all of the new topic deleted", func() bool { return len(s.deletes()) >= 300+test.fresh })
			s.await(time.Minute, "every offset committed", s.drained)
			p.stop()
			t.Logf("%d events done again", s.wantDeleted(old, fresh))
			if n := len(s.deadLetters()); n != 0 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

// TestEndToEnd_TopicRecreatedWhileStopped does the same while no replica runs.
func TestEndToEnd_TopicRecreatedWhileStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, imtest.Config{})
	old := events("old", 0, 300)
	s.produce(values(t, old)...)
	p := s.service("--calls-per-second", "0")
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	s.recreate()
	fresh := events("fresh", 0, 600)
	s.produce(values(t, fresh)...)
	p = s.service("--calls-per-second", "0")
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	if again := s.wantDeleted(old, fresh); again != 0 {
		t.Errorf("%d events done twice", again)
	}
}

// TestEndToEnd_OffsetsBeyondTheEnd: committed offsets beyond the end of the topic do not hide its events. A tool that sets
// offsets, or a log that was cut at its end, leaves such offsets.
func TestEndToEnd_OffsetsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3, imtest.Config{})
	all := events("user", 0, 90)
	s.produce(values(t, all)...)
	beyond := kadm.Offsets{}
	for partition := range int32(3) {
		beyond.Add(kadm.Offset{Topic: s.topic, Partition: partition, At: 5000, LeaderEpoch: -1})
	}
	if err := s.admin.CommitAllOffsets(t.Context(), s.group, beyond); err != nil {
		t.Fatal(err)
	}
	p := s.service()
	s.await(time.Minute, "all events deleted", func() bool { return len(s.deletes()) == len(all) })
	s.await(time.Minute, "offsets of the log that is there", func() bool { return s.committed()[0] == 30 && s.drained() })
	p.stop()
	if again := s.wantDeleted(all); again != 0 {
		t.Errorf("%d events done twice", again)
	}
	if n := len(p.lines(madeAnew)); n != 3 {
		t.Errorf("%d lines in the log say what happened to 3 partitions", n)
	}
}

// recreate deletes the topic and creates it again, empty, with the same number of partitions.
func (s *stage) recreate() {
	s.tb.Helper()
	ctx := s.tb.Context()
	topics, err := s.admin.ListTopics(ctx, s.topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	partitions, former := int32(len(topics[s.topic].Partitions)), [16]byte(topics[s.topic].ID)
	if res, err := s.admin.DeleteTopics(ctx, s.topic); err != nil || res.Error() != nil {
		s.tb.Fatal(err, res.Error())
	}
	s.await(30*time.Second, "the topic made anew", func() bool {
		res, err := s.admin.CreateTopic(ctx, partitions, -1, nil, s.topic)
		return err == nil && res.Err == nil
	})
	s.await(30*time.Second, "leaders of the new topic", func() bool {
		id, _ := s.known(s.topic, partitions)
		return id != former && s.leads(s.topic, partitions) // brokers may still know the former one alone
	})
	s.renewClient()
}

// renewClient replaces the client, since the old one knows the former topic.
func (s *stage) renewClient() {
	s.tb.Helper()
	s.client = s.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// producePadded writes events round-robin over two partitions, so that a fetch brings few of them: in small batches, with
// text beside the event that does not compress.
func (s *stage) producePadded(all []schema.Event) {
	s.tb.Helper()
	for batch := range slices.Chunk(all, 20) {
		padded := values(s.tb, batch)
		for i, v := range padded {
			padded[i] = fmt.Appendf(v[:len(v)-1], `,"Padding":"%s"}`, noise(1500))
		}
		s.produce(padded...)
	}
}

func noise(n int) string {
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('a' + rand.IntN(26))
	}
	return string(text)
}

// committed returns the group's offsets by partition.
func (s *stage) committed() map[int32]int64 {
	s.tb.Helper()
	offsets, err := s.admin.FetchOffsets(s.tb.Context(), s.group)
	if err != nil || offsets.Error() != nil {
		s.tb.Fatal(err, offsets.Error())
	}
	at := make(map[int32]int64)
	for partition, o := range offsets[s.topic] {
		at[partition] = o.At
	}
	return at
}

// line is one record of the service's log.
type line map[string]any

func (l line) text(key string) string  { return fmt.Sprint(l[key]) }
func (l line) number(key string) int64 { f, _ := l[key].(float64); return int64(f) }

// lines returns the log's records with a message.
func (p *process) lines(message string) []line {
	var found []line
	for scan := bufio.NewScanner(strings.NewReader(p.stderr.String())); scan.Scan(); {
		var l line
		if json.Unmarshal(scan.Bytes(), &l) == nil && l.text("msg") == message {
			found = append(found, l)
		}
	}
	return found
}

func linesWith(text, part string) string {
	var found []string
	for l := range strings.Lines(text) {
		if strings.Contains(l, part) {
			found = append(found, l)
		}
	}
	return strings.Join(found, "")
}
