package service

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// maxConnections bounds the connections to the admin server.
const maxConnections = 64

// listener accepts every connection, so that a probe gets through however many connections strangers hold. Beyond maxConnections it
// closes one: of the client with the most, one that has no request to be answered, and of those the one that was used the longest
// ago.
type listener struct {
	net.Listener

	mu   sync.Mutex
	open map[*connection]struct{}
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, open: make(map[*connection]struct{})}
}

// connection is an accepted connection.
type connection struct {
	net.Conn

	of *listener
	// client is the other side's IP address.
	client netip.Addr
	// serving says that a request is being answered, used when that or the connection began. of.mu guards both.
	serving bool
	used    time.Time
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &connection{Conn: accepted, of: l, used: time.Now()}
	if tcp, err := netip.ParseAddrPort(accepted.RemoteAddr().String()); err == nil {
		c.client = tcp.Addr()
	}
	l.mu.Lock()
	l.open[c] = struct{}{}
	victim := l.victimLocked(c)
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Close() // the server notices
	}
	return c, nil
}

// victimLocked returns the connection to close because of a new one; nil if there is room.
func (l *listener) victimLocked(fresh *connection) *connection {
	if len(l.open) <= maxConnections {
		return nil
	}
	count := make(map[netip.Addr]int)
	for c := range l.open {
		count[c.client]++
	}
	var victim *connection
	for c := range l.open {
		if c != fresh && (victim == nil || before(c, victim, count)) {
			victim = c
		}
	}
	return victim
}

// before returns true if a is to be closed rather than b. count is the number of each client's connections.
func before(a, b *connection, count map[netip.Addr]int) bool {
	if count[a.client] != count[b.client] {
		return count[a.client] > count[b.client]
	}
	if a.serving != b.serving {
		return b.serving
	}
	return a.used.Before(b.used)
}

// serves notes that a request's answer begins or has ended.
func (c *connection) serves(yes bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.serving, c.used = yes, time.Now()
}

// Close ends the connection.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// connectionKey is the key of a request's connection in its context.
type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// connectionOf returns the connection of a request; nil in tests without one.
func connectionOf(r *http.Request) *connection {
	c, _ := r.Context().Value(connectionKey{}).(*connection)
	return c
}
