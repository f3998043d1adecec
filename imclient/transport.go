package imclient

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// idleTimeout is how long an unused connection is kept. It is well below the minute or so after which load balancers drop
// theirs. A call on a connection that is being dropped loses its answer.
const idleTimeout = 30 * time.Second

// newTransport configures the connections. Two settings are missing on purpose. MaxConnsPerHost is not needed, since the
// user of the client bounds the calls. ResponseHeaderTimeout is not needed, since each call has a deadline.
func newTransport(cfg Config, proxy *url.URL) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	t := &http.Transport{
		DialContext:            dialer(cfg),
		TLSHandshakeTimeout:    cfg.CallTimeout,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)},
		MaxIdleConnsPerHost:    cfg.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxBody,
		// Answers are too small to gain from compression, and without it the bound on the body bounds its size in memory.
		DisableCompression: true,
		Protocols:          protocols,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

// dialer bounds the making of a connection. The call's own deadline does not: after a call was given up, net/http continues
// to connect for the next call.
func dialer(cfg Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, cfg.CallTimeout)
		defer cancel()
		conn, err := cfg.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &sentConn{Conn: conn}, nil
	}
}

// sentConn is the lowest connection, below TLS. It tells a hook when a write has succeeded. net/http's own WroteRequest
// comes before the buffer is flushed, so before anything is sent.
type sentConn struct {
	net.Conn
	hook atomic.Pointer[sentHook]
}

func (c *sentConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if hook := c.hook.Load(); hook != nil {
		c.hook.Store(nil)
		hook.flushed(err)
	}
	return n, err
}

// sentHook calls one call's Sent, once, and not after settle.
type sentHook struct {
	call func()

	mu   sync.Mutex
	conn *sentConn
	// flushing says that the whole request is in the buffer. The next write of the connection sends it.
	flushing bool
	done     bool
}

func (h *sentHook) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { h.gotConn(info.Conn) },
		WroteRequest: func(info httptrace.WroteRequestInfo) { h.wroteRequest(info.Err) },
	})
}

// gotConn finds the connection below the TLS of the endpoint and that of a proxy.
func (h *sentHook) gotConn(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushing = false
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
func (h *sentHook) wroteRequest(err error) {
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

func (h *sentHook) flushed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushing = false
	if err == nil {
		h.fire()
	}
}

// settle ends the waiting for the hook. If there was an answer, or a write is still under way, the request counts as sent.
// Otherwise it never will be sent, since net/http closes the connection before it returns. A nil hook does nothing.
func (h *sentHook) settle(answered bool) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if answered || h.flushing {
		h.fire()
	}
	h.done = true
}

func (h *sentHook) fire() {
	if !h.done {
		h.done = true
		h.call()
	}
}
