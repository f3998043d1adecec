package consumer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit/rawbatch"
)

// TestPromise4_ThrottledPartitionsHoldUpNoOther: partitions whose broker wants no fetch for a while keep no memory meanwhile that
// others, of other brokers, need to be read.
func TestPromise4_ThrottledPartitionsHoldUpNoOther(t *testing.T) {
	t.Parallel()
	const throttled = 20
	inWorld(t, worldOptions{partitions: throttled + 1}, func(w *world) {
		for p := range int32(throttled + 1) {
			w.publish(p, eventValues(10*int(p), 10*int(p)+10)...)
		}
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			if f, _ := req.(*kmsg.FetchRequest); f.Topics[0].Partitions[0].Partition == throttled {
				return nil, nil, false
			}
			res, _ := req.ResponseKind().(*kmsg.FetchResponse)
			res.ThrottleMillis = 10_000
			return res, nil, true
		})
		r := w.start()
		w.await(time.Minute, "a generation", func() bool { return r.Status().Live })
		time.Sleep(2 * time.Second)
		if n := w.deleted(10*throttled, 10*throttled+10); n != 10 {
			w.t.Errorf("%d of 10 events of a partition that is not throttled are deleted", n)
		}
	})
}

// TestBacklogIsFetchedOnce: what is fetched is not thrown away for want of memory and fetched again, which a client's quota would
// count twice.
func TestBacklogIsFetchedOnce(t *testing.T) {
	t.Parallel()
	inWorld(t, worldOptions{}, func(w *world) {
		const batches, records = 100, 20
		padding := strings.Repeat("x", 1500)
		for b := range batches {
			list := make([][]byte, records)
			for r := range list {
				value := fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","ClearRamble":0,"P":"%s"}`, b*records+r, padding)
				list[r] = rawbatch.Plain(int64(r), value, 0)
			}
			w.send(0, rawbatch.Of(now(), list...).Bytes())
		}
		fetched := make(map[int64]int)
		w.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.kafka.KeepControl()
			f, _ := req.(*kmsg.FetchRequest)
			fetched[f.Topics[0].Partitions[0].FetchOffset]++
			return nil, nil, false
		})
		w.start()
		w.awaitDrained(time.Minute)
		for offset, n := range fetched {
			if n > 1 && offset < batches*records && offset > 0 { // the first one's age is looked at, too
				w.t.Errorf("fetched %d times from offset %d on", n, offset)
			}
		}
	})
}
