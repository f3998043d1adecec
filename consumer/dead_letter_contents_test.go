package consumer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit"
	"convdel/schema"
)

// TestLetterThatDoesNotFit: a dead letter that the broker refuses for its size, in whatever form, is kept and tried
// again, alone, and holds up no other letter.
func TestLetterThatDoesNotFit(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		const codec, codecs = 22, 7
		refused := w.kafka.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.MessageTooLarge, Count: -1,
			When: func(r kmsg.Request) bool {
				p, _ := r.(*kmsg.ProduceRequest)
				batch := p.Topics[0].Partitions[0].Records
				return batch[codec]&codecs != 0 || bytes.Contains(batch, []byte("events/0/20")) // none but that letter is compressed
			},
		})
		var values [][]byte
		for n := range 50 {
			values = append(values, fmt.Append(nil, "garbage ", n))
		}
		w.publish(0, values...)
		w.start()
		w.await(time.Minute, "49 dead letters", func() bool { return len(w.letterKeys()) == 49 })
		time.Sleep(time.Minute)
		if c := w.committed()[0]; c != 20 {
			t.Errorf("committed %d, want 20: that record has not ended", c)
		}
		refused.Remove()
		w.awaitDrained(2 * time.Minute)
		if n := len(w.letterKeys()); n != 50 {
			t.Errorf("%d dead letters, want 50", n)
		}
	})
}

// TestPromise1_LettersOfRecordsThatAreGone: where retention removes a record while its letter waits for the dead-letter topic, the
// letter says what it lacks, and keeps the event.
func TestPromise1_LettersOfRecordsThatAreGone(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		value := fmt.Appendf(nil, `{"From_Account":"user1","Type":1,"To_Account":"friend","ClearRamble":1,"P":%q}`, strings.Repeat("x", 10_000))
		w.publish(0, value, bytes.Repeat([]byte("garbage "), 1000))
		w.api.set(time.Millisecond, func(consumer.Call, int) consumer.Answer { return verdict(consumer.Permanent, 50001) })
		refused := w.refuseLetters()
		w.start()
		time.Sleep(time.Minute)
		if err := w.kafka.DeleteRecords(testTopic, 0, 2); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // one that was being written in that moment waits again
		refused.Remove()
		w.awaitDrained(5 * time.Minute)
		for _, l := range w.deadLetters() {
			d, err := schema.ParseDeadLetter(testkit.Headers(l))
			if err != nil || d.Omitted == nil || len(l.Value) != 0 || !strings.Contains(d.Omitted.Why, "gone") {
				t.Errorf("letter %s: omitted %+v, %d bytes, %v", l.Key, d.Omitted, len(l.Value), err)
				continue
			}
			if d.Offset != 0 {
				continue
			}
			sum := sha256.Sum256(value)
			e, err := schema.Decode(d.Event, nil)
			if err != nil || e.Conversation != conversation(1) || !e.ClearRamble || d.Omitted.Size != int64(len(value)) || d.Omitted.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("event %+v, %v; omitted %+v", e, err, d.Omitted)
			}
		}
		if n := len(w.letterKeys()); n != 2 {
			t.Errorf("%d dead letters, want 2", n)
		}
	})
}

// TestPromise1_LettersTheTopicTakesOnlyInPart: a letter that the topic does not take in full is written compressed, then
// without its value, then with nothing but its own headers; it holds up nobody.
func TestPromise1_LettersTheTopicTakesOnlyInPart(t *testing.T) {
	t.Parallel()
	noise := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rand.Uint32())
		}
		return b
	}
	event := fmt.Appendf(nil, `{"From_Account":"user1","Type":1,"To_Account":"friend","ClearRamble":0,"P":"%x"}`, noise(4000))
	for _, test := range []struct {
		name                string
		record              kgo.Record
		whole, event, keeps bool
	}{
		{"compressed", kgo.Record{Value: bytes.Repeat([]byte("garbage "), 5000)}, true, false, true},
		{"without its value", kgo.Record{Value: noise(5000), Key: []byte("key")}, false, false, true},
		{"without its value, but with its event", kgo.Record{Value: event, Key: []byte("key")}, false, true, true},
		{"with nothing", kgo.Record{Value: eventValue(1), Key: noise(3000)}, false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{}, func(w *world) {
				t := w.t
				setTopicConfig(t, w, testDLT, "max.message.bytes", "2000")
				w.api.set(time.Millisecond, func(c consumer.Call, _ int) consumer.Answer {
					if c.Conversation == conversation(1) {
						return verdict(consumer.Permanent, 50001)
					}
					return verdict(consumer.Deleted, 0)
				})
				record := test.record
				record.Topic, record.Headers = testTopic, []kgo.RecordHeader{{Key: "own", Value: []byte("1")}}
				w.produce(&record)
				w.publish(0, eventValues(10, 20)...)
				w.start(func(c *consumer.Config) { c.MaxInFlightBytes = 8 << 10 })
				w.awaitDrained(time.Minute)
				w.wantDeletedOnce(10, 20)
				l := w.deadLetters()[0]
				d, err := schema.ParseDeadLetter(testkit.Headers(l))
				if err != nil || (d.Omitted == nil) != test.whole || bytes.Equal(l.Value, record.Value) != test.whole {
					t.Errorf("omitted %+v, %d bytes, %v", d.Omitted, len(l.Value), err)
				}
				if (testkit.Header(l, "own") == "1") != test.keeps || (d.Key != nil) != (test.keeps && record.Key != nil) {
					t.Errorf("headers %v", l.Headers)
				}
				if e, err := schema.Decode(d.Event, nil); (err == nil && e.Conversation == conversation(1)) != test.event {
					t.Errorf("event %+v, %v", e, err)
				}
			})
		})
	}
}

// TestLetterOfACompressedRecord: a record that fits its topic only compressed fits the dead-letter topic
// as well.
func TestLetterOfACompressedRecord(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		t := w.t
		for _, topic := range []string{testTopic, testDLT} {
			setTopicConfig(t, w, topic, "max.message.bytes", "9000")
		}
		w.publish(0, []byte(strings.Repeat("garbage ", 20_000)), eventValue(1))
		w.start()
		w.awaitDrained(5 * time.Minute)
		if n := len(w.letterKeys()); n != 1 {
			t.Errorf("%d dead letters", n)
		}
	})
}
