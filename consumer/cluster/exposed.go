package cluster

import (
	"errors"

	"convdel/internal/loopback"
)

var errExposed = errors.New("a login is not sent unencrypted to another host, unless --insecure allows it")

// exposed returns an error if the login would leave this machine unencrypted. The brokers themselves name their addresses, so the
// address of each connection counts, not only those of the Config.
func (o *opening) exposed() error {
	if o.SASL == nil || o.TLS != nil || o.Insecure || loopback.Address(o.broker) {
		return nil
	}
	return &loginError{Encryption, errExposed}
}
