package recordlog

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestThrottled: an answer without the partition is no error if the broker throttles.
func TestThrottled(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 1500
		return answer, nil, true
	})
	l := newLog(t, cluster, "events")
	f, err := l.Fetch(t.Context(), Request{Offset: 7, MaxBytes: 1 << 20, Epoch: NoEpoch})
	if err != nil || f.Throttled != 1500*time.Millisecond || f.HighWatermark != -1 || f.Stable != -1 {
		t.Fatalf("%+v, %v", f, err)
	}
	if list, err := delivered(t, f); err != nil || len(list) != 0 || f.Next != 7 {
		t.Errorf("%d records, next %d, %v", len(list), f.Next, err)
	}
}

// TestThrottledConnectionIsLeft: while a broker throttles, it does not read from the connection. Other requests use another
// one.
func TestThrottledConnectionIsLeft(t *testing.T) {
	t.Parallel()
	cluster := newCluster(t)
	var throttled atomic.Bool // it concerns all connections that exist then
	cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		answer, _ := req.ResponseKind().(*kmsg.FetchResponse)
		answer.ThrottleMillis = 10_000
		return answer, nil, true
	})
	l := newLog(t, cluster, "events")
	l.Transport.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if throttled.Load() {
			return c, err
		}
		return &deafConn{Conn: c, deaf: &throttled}, err
	}
	if _, err := l.Fetch(t.Context(), Request{MaxBytes: 1 << 20, Epoch: NoEpoch}); err != nil {
		t.Fatal(err)
	}
	throttled.Store(true)
	if _, err := l.Fetch(t.Context(), Request{MaxBytes: 1 << 20, Epoch: NoEpoch}); err != nil {
		t.Error("another fetch: ", err)
	}
	if _, err := l.Offset(t.Context(), 0, kafka.LastOffset); err != nil {
		t.Error("a question for an offset: ", err)
	}
}

// deafConn is a connection whose other side does not read while deaf is true.
type deafConn struct {
	net.Conn

	deaf *atomic.Bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if c.deaf.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
