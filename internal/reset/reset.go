// Package reset has connections end by a reset, so that nothing leaves after their end.
package reset

import "net"

// AtClose has the kernel drop, when a TCP connection is closed, what the other side has not acknowledged by then, and reset the connection. Else the
// kernel goes on to deliver that, for minutes where the network is down.
//
// It does nothing to other connections. Those that wrap a TCP connection close it: hand it the lowest one.
func AtClose(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it fails only where the connection is closed already
	}
}
