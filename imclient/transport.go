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

// idleTimeout is how long an unused connection is kept: well below the minute or so after which load
// balancers drop theirs. One that is dropped while a call goes out costs that call its answer.
const idleTimeout = 30 * time.Second

// newTransport sets up the connections. What is not set is on purpose: no MaxConnsPerHost, since
// whoever calls already bounds the calls; no ResponseHeaderTimeout, since each call has a deadline.
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
		// Answers are too small to gain from it, and a bound on the body is then one on its size.
		DisableCompression: true,
		Protocols:          protocols,
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
	}
	return t
}

// dialer bounds the making of a connection. The call's own deadline does not: net/http goes on
// connecting after a call has given up, for the next one's benefit.
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

// sentConn is the connection at the bottom, below TLS. It tells a hook when a write has succeeded:
// net/http's own WroteRequest comes before the buffer is flushed, so before anything is on its way.
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
	// flushing: the whole request is in the buffer, and the next write of the connection sends it.
	flushing bool
	done     bool
}

func (h *sentHook) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(info httptrace.GotConnInfo) { h.gotConn(info.Conn) },
		WroteRequest: func(info httptrace.WroteRequestInfo) { h.wroteRequest(info.Err) },
	})
}

// gotConn looks for the connection below the TLS of the endpoint and that of a proxy.
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

// settle ends the waiting for the hook: with an answer, or with a write still under way, the request
// has to be taken for sent. Without either it never will be, because net/http has closed the
// connection before it returned. A nil hook has nothing to settle.
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
