//go:build kafka

package e2e

import (
	"context"
	order "encoding/binary"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/testkit"
)

// wire is a network on which a test sees the requests of a group's member, and changes or withholds them.
type wire struct {
	*testkit.Dialer
	tb testing.TB

	mu    sync.Mutex
	sent  []groupRequest
	conns []*wireConn
	// edit, if not nil, may change a request. If it returns false, the request is withheld, and so has no answer.
	edit func(kmsg.Request) bool
}

// groupRequest is a request of a group's coordinator, and when it was sent.
type groupRequest struct {
	kmsg.Request
	at time.Time
}

func newWire(tb testing.TB) *wire {
	tb.Helper()
	w := &wire{tb: tb}
	w.Dialer = testkit.NewDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := &wireConn{Conn: conn, wire: w}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.conns = append(w.conns, c)
		return c, nil
	})
	return w
}

// set makes an edit count from now on.
func (w *wire) set(edit func(kmsg.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.edit = edit
}

// silence makes every open connection one that takes requests and never answers, as if the way had been lost.
func (w *wire) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.conns {
		c.mu.Lock()
		c.silent = true
		c.mu.Unlock()
	}
}

// requests are those of a kind that were sent since a time.
func requests[R kmsg.Request](w *wire, since time.Time) (of []R, at []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sent {
		if r, is := s.Request.(R); is && !s.at.Before(since) {
			of, at = append(of, r), append(at, s.at)
		}
	}
	return of, at
}

// pass notes a request, and returns it as it is to be sent; nil if it is withheld.
func (w *wire) pass(frame []byte) []byte {
	const size, lengthOfID = 4, 12
	key, version := int16(order.BigEndian.Uint16(frame[size:])), int16(order.BigEndian.Uint16(frame[size+2:]))
	watched := []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit}
	if !slices.Contains(watched, kmsg.Key(key)) {
		return frame
	}
	head := lengthOfID + 2 + max(0, int(int16(order.BigEndian.Uint16(frame[lengthOfID:]))))
	req := kmsg.RequestForKey(key)
	if req.SetVersion(version); req.IsFlexible() {
		head++ // no tags
	}
	if err := req.ReadFrom(slices.Clone(frame[head:])); err != nil {
		w.tb.Errorf("a request with key %d can't be read: %v", key, err)
		return frame
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.edit != nil && !w.edit(req) {
		return nil
	}
	w.sent = append(w.sent, groupRequest{req, time.Now()})
	frame = req.AppendTo(slices.Clone(frame[:head]))
	order.BigEndian.PutUint32(frame, uint32(len(frame)-size))
	return frame
}

// wireConn passes whole requests on.
type wireConn struct {
	net.Conn
	wire *wire

	mu     sync.Mutex
	part   []byte
	silent bool
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent {
		return len(b), nil
	}
	const size = 4
	c.part = append(c.part, b...)
	for len(c.part) >= size {
		end := size + int(order.BigEndian.Uint32(c.part))
		if len(c.part) < end {
			break
		}
		if out := c.wire.pass(c.part[:end]); out != nil {
			if _, err := c.Conn.Write(out); err != nil {
				return 0, err
			}
		}
		c.part = slices.Clone(c.part[end:])
	}
	return len(b), nil
}
