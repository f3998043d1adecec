package testkit

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// Unread is a server on loopback that reads little or nothing of a connection, so that the kernel of the other side has to keep most of what is written.
// Bubbles can't hold it.
type Unread struct {
	tb       testing.TB
	listener *net.TCPListener
	accepted chan *net.TCPConn
}

// unreadBytes are more than the kernel of a server takes in that does not read, and fewer than that of a client keeps.
const unreadBytes = 128 << 10

// NewUnread starts such a server.
func NewUnread(tb testing.TB) *Unread {
	tb.Helper()
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		tb.Fatal(err)
	}
	u := &Unread{tb: tb, listener: listener, accepted: make(chan *net.TCPConn, 1)}
	tb.Cleanup(func() { _ = listener.Close() })
	return u
}

// Address is host and port.
func (u *Unread) Address() string { return u.listener.Addr().String() }

// DialContext makes the only connection.
func (u *Unread) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Address())
	if err != nil {
		return nil, err
	}
	server, err := u.listener.AcceptTCP()
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	u.tb.Cleanup(func() { _ = server.Close() })
	u.accepted <- server
	tcp, _ := conn.(*net.TCPConn)
	return conn, errors.Join(server.SetReadBuffer(4<<10), tcp.SetWriteBuffer(1<<20))
}

// Conn is the server's end of the connection, once it is made.
func (u *Unread) Conn() *net.TCPConn { return <-u.accepted }

// Fill writes so much that what is written later stays with the kernel.
func (u *Unread) Fill(conn net.Conn) error {
	if err := conn.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(make([]byte, unreadBytes)); err != nil {
		return err
	}
	return conn.SetWriteDeadline(time.Time{})
}

// WantReset reads what the server's end of a connection still gets after the other end is closed. The connection must end by a reset, before all that
// filled it has arrived.
func (u *Unread) WantReset(conn *net.TCPConn) {
	u.tb.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		u.tb.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if !errors.Is(err, syscall.ECONNRESET) || len(got) >= unreadBytes {
		u.tb.Errorf("after the close %d bytes arrived, and then: %v; want a reset before %d", len(got), err, unreadBytes)
	}
}
