package testkit

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Dial opens a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer is a network that can be cut, for a moment or for good. It may be used by several goroutines.
type Dialer struct {
	dial    Dial
	mu      sync.Mutex
	severed bool
	conns   map[net.Conn]struct{}
}

// NewDialer returns a network that opens its connections by dial.
func NewDialer(dial Dial) *Dialer {
	return &Dialer{dial: dial, conns: make(map[net.Conn]struct{})}
}

// DialContext opens a connection, unless the network is severed.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !d.remember(nil) {
		return nil, fmt.Errorf("dial %s: network is cut", address)
	}
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if !d.remember(conn) {
		_ = conn.Close()
		return nil, fmt.Errorf("dial %s: network is cut", address)
	}
	return conn, nil
}

// remember notes a connection for the next cut, and returns false if the network is severed.
func (d *Dialer) remember(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if conn != nil && !d.severed {
		d.conns[conn] = struct{}{}
	}
	return !d.severed
}

// Cut closes every open connection. New ones may be opened.
func (d *Dialer) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		_ = conn.Close()
	}
	clear(d.conns)
}

// Sever closes every open connection and refuses new ones until Mend is called.
func (d *Dialer) Sever() {
	d.mu.Lock()
	d.severed = true
	d.mu.Unlock()
	d.Cut()
}

// Mend ends a Sever: connections may be opened again.
func (d *Dialer) Mend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.severed = false
}
