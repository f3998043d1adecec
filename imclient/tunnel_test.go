package imclient_test

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

// relay connects two connections until one of them ends.
func relay(a net.Conn, fromA io.Reader, b net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(b, fromA); _ = b.Close() })
	both.Go(func() { _, _ = io.Copy(a, b); _ = a.Close() })
	both.Wait()
}

// connectProxy is an HTTP proxy for CONNECT that asks for a password. It counts the connections.
func connectProxy(connected *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := parseBasic(r.Header.Get("Proxy-Authorization"))
		if r.Method != http.MethodConnect || user != "user" || password != "hunter2" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		target, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		connected.Add(1)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		relay(conn, buf, target)
	}
}

func parseBasic(header string) (user, password string, ok bool) {
	return (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
}

// socksProxy serves SOCKS5 without a password until its listener is closed.
func socksProxy(t *testing.T, connected *atomic.Int32) string {
	t.Helper()
	listener := listen(t)
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				head := make([]byte, 2)
				_, _ = io.ReadFull(in, head)
				_, _ = in.Discard(int(head[1]))
				_, _ = conn.Write([]byte{5, 0})
				request := make([]byte, 10) // an IPv4 address
				if _, err := io.ReadFull(in, request); err != nil {
					return
				}
				address := net.JoinHostPort(net.IP(request[4:8]).String(), strconv.Itoa(int(binary.BigEndian.Uint16(request[8:]))))
				target, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", address)
				if err != nil {
					return
				}
				connected.Add(1)
				_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				relay(conn, in, target)
			})
		}
	})
	return "socks5://" + listener.Addr().String()
}

// tlsServer serves a handler with TLS and tells which certificate to trust.
func tlsServer(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func trusting(t *testing.T, endpoint string, proxy string, servers ...*httptest.Server) *imclient.Client {
	t.Helper()
	client := newClient(t, endpoint, func(c *imclient.Config) { c.CallTimeout = 20 * time.Second })
	roots := x509.NewCertPool()
	for _, server := range servers {
		if server.Certificate() != nil {
			roots.AddCert(server.Certificate())
		}
	}
	client.Transport().TLSClientConfig.RootCAs = roots
	via, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	client.UseProxy(via)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// TestThroughProxies: calls go through proxies of all kinds, on one connection, and say when they are sent.
func TestThroughProxies(t *testing.T) {
	t.Parallel()
	sim := imtest.New(simConfig())
	t.Cleanup(sim.Close)
	secure := tlsServer(t, sim)
	plain := httptest.NewServer(sim)
	t.Cleanup(plain.Close)
	var connected atomic.Int32
	proxy := httptest.NewServer(connectProxy(&connected))
	t.Cleanup(proxy.Close)
	secureProxy := tlsServer(t, connectProxy(&connected))
	socks := socksProxy(t, &connected)
	withUser := func(u string) string { return strings.Replace(u, "//", "//user:hunter2@", 1) }
	for _, tt := range []struct{ name, endpoint, proxy string }{
		{"http", secure.URL, withUser(proxy.URL)},
		{"https", secure.URL, withUser(secureProxy.URL)},
		{"socks5", secure.URL, socks},
		{"socks5 without TLS", plain.URL, socks},
	} {
		connected.Store(0)
		client := trusting(t, tt.endpoint, tt.proxy, secure, secureProxy)
		for range 3 {
			r, sent := counted("hello")
			if err := client.DeleteConversation(t.Context(), r); err != nil || sent.Load() != 1 {
				t.Errorf("%s: sent %d times: %v", tt.name, sent.Load(), err)
			}
		}
		if n := connected.Load(); n != 1 {
			t.Errorf("%s: %d connections through the proxy", tt.name, n)
		}
		client.CloseIdleConnections()
	}
}

// TestProxyRefusesToConnect: the error names the proxy, and what it is: throttled too.
func TestProxyRefusesToConnect(t *testing.T) {
	t.Parallel()
	secure := tlsServer(t, http.NotFoundHandler())
	for _, tt := range []struct {
		status int
		class  imclient.Class
		wait   time.Duration
	}{
		{407, imclient.Transient, 0}, {429, imclient.Throttled, 3 * time.Second}, {503, imclient.Throttled, 3 * time.Second}, {502, imclient.Transient, 0},
	} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, r.Header.Get("Proxy-Authorization"))
		}))
		r, sent := counted("hello")
		err := trusting(t, secure.URL, strings.Replace(proxy.URL, "//", "//user:hunter2@", 1), secure).DeleteConversation(t.Context(), r)
		network, ok := errors.AsType[*imclient.NetworkError](err)
		if !ok || network.HTTPStatus != tt.status || network.RetryAfter != tt.wait || imclient.ClassOf(err) != tt.class ||
			!strings.HasPrefix(err.Error(), "im api: the proxy answers http status ") {
			t.Errorf("%d: got %#v", tt.status, err)
		}
		if sent.Load() != 0 {
			t.Errorf("%d: said to be sent", tt.status)
		}
		proxy.Close()
	}
}

// TestProxyThatHangs: a proxy that accepts and says nothing holds up a call for its timeout.
func TestProxyThatHangs(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	client := newClient(t, "https://im.invalid", func(c *imclient.Config) { c.CallTimeout = 50 * time.Millisecond })
	client.UseProxy(&url.URL{Scheme: "http", Host: listener.Addr().String()})
	err := client.DeleteConversation(t.Context(), request)
	checkNetworkError(t, err, 0, "no answer")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v is no timeout", err)
	}
}
