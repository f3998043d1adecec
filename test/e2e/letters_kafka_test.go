//go:build kafka

package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestPromise4_KafkaLettersThatDoNotFit: the topic of events takes larger records than the dead-letter topic, and together
// they are more than the service keeps in memory. Dead letters that do not fit lack their record's value and describe it.
// No event waits for them.
func TestPromise4_KafkaLettersThatDoNotFit(t *testing.T) {
	t.Parallel()
	const large, size = 17, 1_048_500
	s := newStage(t, 3, imtest.Config{})
	s.configure(s.topic, "max.message.bytes", "2000000")
	first, last := events("before", 0, 150), events("after", 0, 150)
	s.produce(values(t, first)...)
	producer := s.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1_900_000))
	sums := make(map[string]string)
	write := func(value []byte) {
		r := &kgo.Record{Topic: s.topic, Key: []byte("key"), Value: value}
		if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(value)
		sums[fmt.Sprint(s.topic, "/0/", r.Offset)] = hex.EncodeToString(sum[:])
	}
	for range large {
		value := make([]byte, size) // random bytes don't compress
		_, _ = rand.Read(value)
		write(value)
	}
	text := []byte(noise(size)) // this text compresses
	write(text)
	s.produce(values(t, last)...)

	p := s.service()
	s.await(2*time.Minute, "every offset committed", s.drained)
	p.stop()
	if again := s.wantDeleted(first, last); again != 0 {
		t.Errorf("%d events done twice", again)
	}
	letters := s.deadLetters()
	wantKinds(t, letterKinds(letters), map[string]int{"undecodable 0": large + 1})
	whole := 0
	for id, sum := range sums {
		l := letters[id]
		if l == nil {
			t.Errorf("no dead letter %s", id)
			continue
		}
		omitted := testkit.Header(l, schema.HeaderOmitted)
		if omitted == "" && bytes.Equal(l.Value, text) {
			whole++
			continue
		}
		if len(l.Value) != 0 || !strings.Contains(omitted, strconv.Itoa(size)) || !strings.Contains(omitted, sum) || testkit.Header(l, schema.HeaderKey) != "key" {
			t.Errorf("letter %s: %d bytes, %q", id, len(l.Value), omitted)
		}
	}
	if whole != 1 {
		t.Errorf("%d letters have the value that fits when it is compressed", whole)
	}
}

// command runs convdel to its end, and returns its standard output and standard error.
func (s *stage) command(limit time.Duration, args ...string) string {
	s.tb.Helper()
	p := s.start(nil, args...)
	await(s.tb, limit, "the end of convdel "+args[0], func() bool {
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	if p.err != nil {
		s.tb.Errorf("convdel %s: %v\n%s", strings.Join(args, " "), p.err, p.stderr.String())
	}
	return p.stderr.String()
}

// lettersCommand runs one of the commands on dead letters.
func (s *stage) lettersCommand(name string, flags ...string) string {
	s.tb.Helper()
	return s.command(2*time.Minute, append([]string{
		"deadletters", name, "--brokers", strings.Join(s.brokers, ","), "--topic", s.topic, "--dead-letter-topic", s.dlt,
	}, flags...)...)
}

// listed returns the IDs that `convdel deadletters list` prints, ascending, and its whole output.
func (s *stage) listed() (ids []string, all string) {
	s.tb.Helper()
	all = s.lettersCommand("list", "--format", "ndjson")
	for l := range strings.Lines(all) {
		var letter struct{ ID string }
		if json.Unmarshal([]byte(l), &letter) == nil && letter.ID != "" {
			ids = append(ids, letter.ID)
		}
	}
	slices.Sort(ids)
	return ids, all
}

// ids returns the IDs of dead letters of the first partition, ascending.
func (s *stage) ids(offsets ...int64) (ids []string) {
	for _, o := range offsets {
		ids = append(ids, schema.DeadLetter{Topic: s.topic, Offset: o}.ID())
	}
	slices.Sort(ids)
	return ids
}

// TestKafka_OpenTransactionAmongDeadLetters: another program's transaction stays open in the dead-letter topic. A list ends
// where the transaction begins, and reports that. It is complete once the transaction has ended.
func TestKafka_OpenTransactionAmongDeadLetters(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	p := s.service()
	s.produce([]byte("garbage 0"), []byte("garbage 1"))
	s.await(time.Minute, "every offset committed", s.drained)
	stranger := s.newClient(kgo.TransactionalID(s.dlt), kgo.TransactionTimeout(5*time.Minute))
	if err := stranger.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := stranger.ProduceSync(t.Context(), &kgo.Record{Topic: s.dlt, Key: []byte("stranger"), Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s.produce([]byte("garbage 2"))
	s.await(time.Minute, "every offset committed", s.drained) // a dead letter behind the transaction is written all the same
	p.stop()

	const behind = "2 offsets (2 to 3) lie behind an open transaction"
	ids, said := s.listed()
	if !slices.Equal(ids, s.ids(0, 1)) || !strings.Contains(said, behind) {
		t.Errorf("listed %v, and said:\n%s", ids, said)
	}
	if said := s.lettersCommand("list", "--summary"); !strings.Contains(said, "2 letters UNDECODABLE") || !strings.Contains(said, behind) {
		t.Errorf("the summary says:\n%s", said)
	}
	if err := stranger.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	s.await(30*time.Second, "all letters listed", func() bool {
		ids, said = s.listed()
		return len(ids) == 3 && !strings.Contains(said, "lie behind")
	})
}

// TestPromise1_KafkaForgedHeadersHideNoLetter: records that falsely claim to be replays become dead letters of their own.
// They hide no other dead letter from the list, and a settlement settles the letters of its plan.
func TestPromise1_KafkaForgedHeadersHideNoLetter(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	s.produce([]byte("garbage 0"), []byte("garbage 1"), []byte("garbage 2"))
	for n, of := range []int64{0, 1, 2, 7, 6, 8} { // the records at 3 to 8 name three other letters, each other, and themselves
		s.produceForged(fmt.Appendf(nil, "garbage %d", 3+n), of)
	}
	good := events("user", 0, 20)
	s.produce(values(t, good)...)
	p := s.service()
	s.await(time.Minute, "every offset committed", s.drained)
	p.stop()
	if again := s.wantDeleted(good); again != 0 {
		t.Errorf("%d events done twice", again)
	}

	ids, said := s.listed()
	if want := s.ids(0, 1, 2, 3, 4, 5, 6, 7, 8); !slices.Equal(ids, want) {
		t.Errorf("listed %v, want %v:\n%s", ids, want, said)
	}
	discarded := s.ids(3, 4, 6)
	plan := s.lettersCommand("discard", "--id", strings.Join(discarded, ","), "--reason", "forged")
	s.lettersCommand("discard", "--id", strings.Join(discarded, ","), "--reason", "forged", "--yes")
	var settled []string
	for id, l := range s.deadLetters() {
		if l.Value == nil {
			settled = append(settled, id)
		}
	}
	slices.Sort(settled)
	if !slices.Equal(settled, discarded) {
		t.Errorf("settled %v, and the plan was:\n%s", settled, plan)
	}
	if ids, said = s.listed(); !slices.Equal(ids, s.ids(0, 1, 2, 5, 7, 8)) {
		t.Errorf("listed %v:\n%s", ids, said)
	}
}

// produceForged writes a record that claims to be a replay of the dead letter of the record at an offset.
func (s *stage) produceForged(value []byte, of int64) {
	s.tb.Helper()
	r := &kgo.Record{Topic: s.topic, Value: value}
	for _, h := range (schema.DeadLetter{Topic: s.topic, Offset: of, Timestamp: time.Now()}).ReplayHeaders(nil) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if err := s.client.ProduceSync(s.tb.Context(), r).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}
