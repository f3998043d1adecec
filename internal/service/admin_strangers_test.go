package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestAdminHosts: only names of this address are answered, so that no page in a browser reads it by a name of its own.
func TestAdminHosts(t *testing.T) {
	t.Parallel()
	known := knownHosts("admin.example:8080", []string{"convdel", "Convdel.Jobs.svc."})
	for _, host := range []string{
		"", "127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "[::1]", "10.1.2.3:8080", "localhost", "localhost:8080", "LOCALHOST.", "a.localhost:1",
		"admin.example", "admin.example:8080", "convdel:8080", "convdel.jobs.svc", "CONVDEL.jobs.SVC:9", "[fe80::1%eth0]:8080",
	} {
		if !known(host) {
			t.Errorf("%q is refused", host)
		}
	}
	for _, host := range []string{
		"evil.example", "evil.example:8080", "convdel.evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "notlocalhost", "0x7f000001",
		"2130706433", "jobs.svc", ":8080", ".", "evil.example:80:80", "[evil.example]",
	} {
		if known(host) {
			t.Errorf("%q is answered", host)
		}
	}
	if knownHosts(":8080", nil)("") != true || knownHosts(":8080", nil)(":8080") {
		t.Error("an address without a host has no name")
	}
}

// ask sends a raw request and returns what comes back, until the server closes the connection or an answer is complete.
func ask(t *testing.T, a *admin, request string) (status int, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", a.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.40q: %v", request, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, _ := io.ReadAll(response.Body)
	if response.Header.Get("Connection") == "close" || response.Close {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%.40q: the connection stays open", request)
		}
	}
	return response.StatusCode, string(text)
}

// TestAdminRefusals: what no operator, scraper or probe sends is refused at once, with a reason. A body that never comes holds nothing.
func TestAdminRefusals(t *testing.T) {
	t.Parallel()
	a := startTestAdmin(t)
	const to = " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	for request, want := range map[string]struct {
		status int
		reason string
	}{
		"GET /livez" + to + "\r\n":                                               {200, "live"},
		"HEAD /livez" + to + "\r\n":                                              {200, ""},
		"GET /livez HTTP/1.0\r\n\r\n":                                            {200, "live"},
		"GET /livez" + to + "Content-Length: 10\r\n\r\n":                         {413, "no body"},
		"GET /livez" + to + "Transfer-Encoding: chunked\r\n\r\n":                 {413, "no body"},
		"GET /livez" + to + "Content-Length: 10\r\nExpect: 100-continue\r\n\r\n": {413, "no body"},
		"POST /livez" + to + "Content-Length: 10\r\n\r\n":                        {405, "only GET and HEAD"},
		"DELETE /metrics" + to + "\r\n":                                          {405, "only GET and HEAD"},
		"TRACE /metrics" + to + "\r\n":                                           {405, "only GET and HEAD"},
		"OPTIONS *" + to + "\r\n":                                                {405, "only GET and HEAD"},
		"GET /livez HTTP/1.1\r\nHost: evil.example:8080\r\n\r\n":                 {421, "--admin-hosts"},
		"GET http://evil.example/livez" + to + "\r\n":                            {421, "--admin-hosts"},
		"GET /livez HTTP/1.1\r\nHost: " + strings.Repeat("e", 5000) + "\r\n\r\n": {421, "--admin-hosts"},
		"GET /livez HTTP/1.1\r\n\r\n":                                            {400, ""},
		"GET /livez" + to + "X: " + strings.Repeat("x", 20_000) + "\r\n\r\n":     {431, ""},
		"GET /livez?" + strings.Repeat("x", 20_000) + to + "\r\n":                {431, ""},
	} {
		status, body := ask(t, a, request)
		if status != want.status || !strings.Contains(body, want.reason) || len(body) > 1000 {
			t.Errorf("%.60q: %d %.200q, want %d %q", request, status, body, want.status, want.reason)
		}
	}
}

// TestProbesGetThrough: strangers hold 400 connections, and a probe is still answered. The connections are bounded.
func TestProbesGetThrough(t *testing.T) {
	t.Parallel()
	a := startTestAdmin(t)
	for i := range 400 {
		conn, err := net.Dial("tcp", a.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		begun := []string{"", "GET /livez HTTP/1.1\r\nHost: 127", "POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"}[i%3]
		_, _ = io.WriteString(conn, begun) // the server may have closed it
		if i%100 == 99 {
			if status, _ := ask(t, a, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"); status != http.StatusOK {
				t.Errorf("with %d connections: %d", i+1, status)
			}
		}
	}
	a.listener.mu.Lock()
	defer a.listener.mu.Unlock()
	if n := len(a.listener.open); n > maxConnections {
		t.Errorf("%d connections are open", n)
	}
}

// TestConnectionToClose: the client with the most connections gives one up: one without a request first, of those the oldest.
func TestConnectionToClose(t *testing.T) {
	t.Parallel()
	l := newListener(nil)
	began := time.Now()
	add := func(client string, age time.Duration, serving bool) *connection {
		c := &connection{of: l, client: netip.MustParseAddr(client), serving: serving, used: began.Add(-age)}
		l.open[c] = struct{}{}
		return c
	}
	add("10.0.0.1", time.Hour, false) // a scraper's, which is kept for its next scrape
	fresh := add("10.0.0.2", 0, false)
	for i := range maxConnections - 3 {
		add("10.0.0.9", time.Duration(i)*time.Second, false)
	}
	serving := add("10.0.0.9", time.Hour, true)
	if victim := l.victimLocked(fresh); victim != nil {
		t.Error("one is closed although there is room")
	}
	oldest := add("10.0.0.9", 10*time.Minute, false)
	if victim := l.victimLocked(fresh); victim != oldest {
		t.Errorf("closed: %+v", victim)
	}
	for c := range l.open {
		if c.client == oldest.client {
			c.serving = true
		}
	}
	if victim := l.victimLocked(fresh); victim != serving {
		t.Errorf("closed, of those that are served: %+v", victim)
	}
}

// pipes is a listener in virtual time.
type pipes struct {
	accepted chan net.Conn
	closed   chan struct{}
}

func newPipes() *pipes { return &pipes{accepted: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accepted:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080} }

func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.accepted <- theirs
	return ours
}

// inVirtualTime runs a test against an admin server whose time is virtual.
func inVirtualTime(t *testing.T, test func(t *testing.T, a *admin, p *pipes)) {
	t.Helper()
	a := newTestAdmin(t) // its address is not used
	_ = a.listener.Close()
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		a.listener = newListener(p)
		served := make(chan error, 1)
		go func() { served <- a.serve() }()
		test(t, a, p)
		if err := a.close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

// TestNobodyHoldsAConnection: a client that sends nothing, or never ends its request, or does not read its answer, is cut off.
func TestNobodyHoldsAConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send  string
		reads bool
		limit time.Duration
	}{
		"nothing":         {"", true, requestTime},
		"half a line":     {"GET /li", true, requestTime},
		"half a header":   {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", true, requestTime},
		"no body":         {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n", true, requestTime},
		"no next":         {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", true, idleTime},
		"answer not read": {"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", false, answerTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, a *admin, p *pipes) {
				t.Helper()
				conn := p.dial()
				defer func() { _ = conn.Close() }()
				began := time.Now()
				if c.send != "" {
					if _, err := io.WriteString(conn, c.send); err != nil {
						t.Fatal(err)
					}
				}
				if c.reads {
					_, _ = io.Copy(io.Discard, conn)
				} else {
					time.Sleep(c.limit + requestTime)
				}
				if took := time.Since(began); took > c.limit+requestTime {
					t.Errorf("cut off after %s, want %s", took, c.limit)
				}
				synctest.Wait()
				a.listener.mu.Lock()
				defer a.listener.mu.Unlock()
				if n := len(a.listener.open); n != 0 {
					t.Errorf("%d connections are open", n)
				}
			})
		})
	}
}

// TestPromise6_NobodyHoldsUpAStop: connections that strangers hold make no clean stop slow, and no failure of it.
func TestPromise6_NobodyHoldsUpAStop(t *testing.T) {
	t.Parallel()
	inVirtualTime(t, func(t *testing.T, a *admin, p *pipes) {
		t.Helper()
		var held []net.Conn
		for range 10 {
			conn := p.dial()
			held = append(held, conn)
			if _, err := fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: 127"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		began := time.Now()
		if err := a.close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(began); took > adminClose+time.Second {
			t.Errorf("close took %s", took)
		}
		for _, conn := range held {
			_ = conn.Close()
		}
	})
}
