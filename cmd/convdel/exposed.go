package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"convdel/consumer/cluster"
	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/loopback"
)

// This file refuses to send secrets unencrypted to other hosts, unless --insecure allows it. What is sent to this machine over its
// loopback interface nobody else can read. Package redisbudget does the same for the password of Redis, and package cluster for the
// brokers that are found later.

// exposedLogin refuses a login to Kafka that leaves this machine unencrypted. SCRAM sends no password, but what it sends is enough to
// try passwords, and tells nobody from the broker.
func (c *checker) exposedLogin(cfg cluster.Config, s securitySettings) {
	login, ok := cfg.SASL.(*saslLogin)
	if !ok || !login.password.given() || cfg.TLS != nil || cfg.Insecure {
		return
	}
	var others []string
	for _, broker := range cfg.Brokers {
		if !loopback.Address(broker) {
			others = append(others, broker)
		}
	}
	if others != nil {
		c.conflict("kafka-sasl", s.SASL, fmt.Sprintf("it needs --kafka-tls, since the login can be read on the way to %s (--insecure allows that)",
			strings.Join(others, ", ")))
	}
}

// exposedSignature refuses an endpoint to which signatures leave this machine unencrypted. The simulator's own key is no secret, so
// signatures made with it may. It returns the source of the key to use.
func (c *checker) exposedSignature(endpoint *url.URL, key imclient.KeySource, insecure bool) (source imclient.KeySource, allowed bool) {
	if insecure || endpoint.Scheme != "http" || loopback.Host(endpoint.Hostname()) {
		return key, insecure
	}
	key = simulatorsKey{key}
	if _, err := key.Key(); errors.Is(err, errRealKey) {
		c.conflict("im-endpoint", endpoint.String(),
			"must be https://, since signatures made with the secret key can be read on the way to another host (--insecure allows that)")
	}
	return key, true
}

// errRealKey says that a key is not the simulator's.
var errRealKey = errors.New("the secret key is not the simulator's: no signature is sent to an http:// endpoint on another host")

// simulatorsKey is a source of a key that may only be the simulator's, also if its file changes.
type simulatorsKey struct{ imclient.KeySource }

// Key returns the key.
func (s simulatorsKey) Key() (string, error) {
	key, err := s.KeySource.Key()
	if err == nil && key != imtest.PublishedKey {
		return "", errRealKey
	}
	return key, err
}

// String keeps the key out of printed settings.
func (simulatorsKey) String() string { return "secret" }

// GoString does the same for %#v.
func (simulatorsKey) GoString() string { return "secret" }
