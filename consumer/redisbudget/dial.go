package redisbudget

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
)

// dialer makes the connections of a client. Each of them reads replies within bounds alone.
func dialer(dial func(ctx context.Context, network, address string) (net.Conn, error), secured *tls.Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{Timeout: slowest}).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if secured == nil {
			return guard(conn), nil
		}
		ctx, cancel := context.WithTimeout(ctx, slowest)
		defer cancel()
		over := tls.Client(conn, secured)
		if err := over.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return guard(over), nil
	}
}

// guarded is a connection whose client sees replies within bounds alone.
type guarded struct {
	net.Conn
	replies replies
	err     error
}

func (g *guarded) Read(b []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.Conn.Read(b)
	if wrong := g.replies.take(b[:n]); wrong != nil {
		g.err = wrong
		return 0, wrong
	}
	return n, err
}

// guardedSocket also lets the client find out whether an idle connection has died.
type guardedSocket struct {
	*guarded
	syscall.Conn
}

func guard(conn net.Conn) net.Conn {
	g := &guarded{Conn: conn}
	if socket, ok := conn.(syscall.Conn); ok {
		return guardedSocket{g, socket}
	}
	return g
}
