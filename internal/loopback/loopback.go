// Package loopback tells this machine from others. What is sent to this machine over its loopback interface nobody else can read.
package loopback

import (
	"net"
	"net/netip"
	"strings"
)

// Host returns true if a host's name or address is this machine's loopback interface. Of names only localhost is: what others stand
// for is up to whoever answers for them.
func Host(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Address does the same for host:port. An address without a port is not on this machine.
func Address(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && Host(host)
}
