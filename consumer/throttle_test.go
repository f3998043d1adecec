package consumer_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
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
