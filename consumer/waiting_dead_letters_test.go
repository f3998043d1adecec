package consumer_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/internal/testkit/rawbatch"
)

// TestPromise4_LettersThatWaitComeBack: large letters that waited for a dead-letter topic take up all places, and partitions with
// more of the same wait for places with what they have fetched. Once the topic takes letters again, all of that moves.
func TestPromise4_LettersThatWaitComeBack(t *testing.T) {
	t.Parallel()
	plain := func(n int) func(int32) []byte {
		return func(p int32) []byte {
			var records [][]byte
			for i := range n {
				records = append(records, rawbatch.Plain(int64(i), bytes.Repeat([]byte{byte(p), 0xff}, 1500), 0))
			}
			return rawbatch.Of(now(), records...).Bytes()
		}
	}
	large := func(_ int32) []byte { // records that take much of the bytes in flight, and room for large batches
		var records [][]byte
		for i := range 6 {
			records = append(records, rawbatch.Plain(int64(i), bytes.Repeat([]byte{byte(i)}, 1<<20), 0))
		}
		return rawbatch.Of(now(), records...).Compressed(rawbatch.Zstd).Bytes()
	}
	for _, test := range []struct {
		name             string
		batch            func(int32) []byte
		partitions       int32
		batches, letters int // of each partition
		edit             func(*consumer.Config)
	}{
		{"at the defaults", plain(40), 3, 20, 800, func(*consumer.Config) {}},
		{"in small rooms", plain(30), 8, 5, 150, func(c *consumer.Config) { c.MaxInFlight, c.MaxInFlightBytes = 400, 64<<10 }},
		{"large", large, 2, 2, 12, func(c *consumer.Config) { c.MaxInFlight, c.MaxInFlightBytes = 12, 2<<20 }},
		{"large in small rooms", large, 2, 2, 12, func(c *consumer.Config) { c.MaxInFlight, c.MaxInFlightBytes = 12, 1<<20 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			inWorld(t, worldOptions{partitions: 9}, func(w *world) {
				setTopicConfig(w.t, w, testTopic, "max.message.bytes", "9000000")
				setTopicConfig(w.t, w, testDLT, "max.message.bytes", "9000000")
				for range test.batches {
					for p := range test.partitions {
						w.send(p, test.batch(p))
					}
				}
				refused := w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
				w.start(test.edit)
				time.Sleep(time.Minute)
				refused.Remove()
				time.Sleep(10 * time.Second)
				w.publish(8, eventValues(0, 5)...)
				w.awaitDrained(10 * time.Minute)
				w.wantDeletedOnce(0, 5)
				if n := len(w.letterKeys()); n != int(test.partitions)*test.letters {
					w.t.Errorf("%d dead letters, want %d", n, int(test.partitions)*test.letters)
				}
			})
		})
	}
}

// TestPromise8_ManyQuietPartitions: an answer that comes to a quiet partition is small, or waits for its share of the memory.
func TestPromise8_ManyQuietPartitions(t *testing.T) {
	t.Parallel()
	const partitions, size = 60, 20 << 10
	inWorld(t, worldOptions{partitions: partitions}, func(w *world) {
		w.api.set(time.Hour, nil)
		w.start(func(c *consumer.Config) { c.MaxInFlight = 8 })
		time.Sleep(10 * time.Second)
		fetched := w.countFetches() // those that take a share
		for p := range int32(partitions) {
			padding := bytes.Repeat([]byte("x"), size)
			var records [][]byte
			for i := range 10 {
				records = append(records, rawbatch.Plain(int64(i), fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","P":%q}`, int(p)*10+i, padding), 0))
			}
			w.send(p, rawbatch.Of(now(), records...).Bytes())
		}
		time.Sleep(time.Minute)
		if n := fetched.made(); n == 0 || n > 20 {
			w.t.Errorf("%d partitions hold an answer of %d KiB", n, 10*size>>10)
		}
		w.api.set(time.Millisecond, nil)
	})
}
