package cluster

import (
	"net"
	"sync/atomic"
	"time"
)

// ioTimeout bounds a read or a write for which kafka-go sets no deadline of its own, such as its metadata reads. A broker
// that accepts a connection and then says nothing would hold these for ever.
const ioTimeout = 10 * time.Second

// deadlineConn gives every read and write a deadline, unless its user has set one. kafka-go reads from a connection only
// while a request is under way, so an idle connection is not cut.
type deadlineConn struct {
	net.Conn
	userRead, userWrite atomic.Bool
}

func (d *deadlineConn) Read(b []byte) (int, error) {
	if !d.userRead.Load() {
		if err := d.Conn.SetReadDeadline(time.Now().Add(ioTimeout)); err != nil {
			return 0, err
		}
	}
	return d.Conn.Read(b)
}

func (d *deadlineConn) Write(b []byte) (int, error) {
	if !d.userWrite.Load() {
		if err := d.Conn.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
			return 0, err
		}
	}
	return d.Conn.Write(b)
}

func (d *deadlineConn) SetDeadline(t time.Time) error {
	d.userRead.Store(!t.IsZero())
	d.userWrite.Store(!t.IsZero())
	return d.Conn.SetDeadline(t)
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.userRead.Store(!t.IsZero())
	return d.Conn.SetReadDeadline(t)
}

func (d *deadlineConn) SetWriteDeadline(t time.Time) error {
	d.userWrite.Store(!t.IsZero())
	return d.Conn.SetWriteDeadline(t)
}
