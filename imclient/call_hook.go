package imclient

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// sentConn is the lowest connection, below TLS. It tells a hook when a write has succeeded. net/http's own WroteRequest
// comes before the buffer is flushed, so before anything is sent.
type sentConn struct {
	net.Conn
	hook atomic.Pointer[callHook]
}

func (c *sentConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if hook := c.hook.Load(); hook != nil {
		c.hook.Store(nil)
		hook.flushed(err)
	}
	return n, err
}

// callHook follows a call through net/http. It calls the call's Sent, once, and not after settle. It tells the connection which call it
// serves.
type callHook struct {
	// sent is nil if nobody wants to know.
	sent func()

	mu      sync.Mutex
	answers *answerConn
	conn    *sentConn
	// flushing says that the whole request is in the buffer. The next write of the connection sends it.
	flushing bool
	done     bool
}

func (h *callHook) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { h.gotConn(info.Conn) },
		WroteRequest: func(info httptrace.WroteRequestInfo) { h.wroteRequest(info.Err) },
		PutIdleConn:  func(error) { h.answered() },
	})
}

// answered runs when the connection is free for the next call, in the goroutine that reads from it.
func (h *callHook) answered() {
	h.mu.Lock()
	conn := h.answers
	h.mu.Unlock()
	if conn != nil {
		conn.answered(h)
	}
}

// gotConn finds the topmost connection, and the one below the TLS of the endpoint and that of a proxy.
func (h *callHook) gotConn(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushing = false
	if h.answers, _ = conn.(*answerConn); h.answers != nil {
		h.answers.got(h)
	}
	for {
		switch c := conn.(type) {
		case *sentConn:
			h.conn = c
			return
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			h.conn = nil
			return
		}
	}
}

// wroteRequest runs when the request is in the buffer, in the goroutine that flushes it next.
func (h *callHook) wroteRequest(err error) {
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushing = true
	if h.conn != nil {
		h.conn.hook.Store(h)
	}
}

func (h *callHook) flushed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushing = false
	if err == nil {
		h.fire()
	}
}

// settle ends the waiting for the hook. If there was an answer, or a write is still under way, the request counts as sent.
// Otherwise it never will be sent, since net/http closes the connection before it returns.
func (h *callHook) settle(answered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if answered || h.flushing {
		h.fire()
	}
	h.done = true
}

func (h *callHook) fire() {
	if !h.done {
		h.done = true
		if h.sent != nil {
			h.sent()
		}
	}
}
