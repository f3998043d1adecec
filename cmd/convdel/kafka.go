package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"convdel/consumer/cluster"
)

// These are the mechanisms of kafka-sasl.
const (
	saslPlain  = "plain"
	saslSHA256 = "scram-sha-256"
	saslSHA512 = "scram-sha-512"
)

// cluster reads Kafka's addresses and the login.
func (c *checker) cluster(b brokerSettings, s securitySettings, env func(string) (string, bool)) cluster.Config {
	config := cluster.Config{Brokers: c.addresses("brokers", b.Brokers)}
	config.TLS, config.Certificates = c.kafkaTLS(s)
	config.SASL = c.kafkaLogin(s, env)
	config.Insecure = c.yesNo("insecure", s.Insecure)
	c.exposedLogin(config, s)
	return config
}

// kafkaTLS returns nil without TLS, and no certificates if the system's are used.
func (c *checker) kafkaTLS(s securitySettings) (*tls.Config, *cluster.Certificates) {
	on := c.yesNo("kafka-tls", s.TLS)
	c.note("kafka-ca-file", s.CAFile)
	c.note("kafka-cert-file", s.CertFile)
	c.note("kafka-key-file", s.KeyFile)
	for _, file := range []struct{ flag, path string }{
		{"kafka-ca-file", s.CAFile}, {"kafka-cert-file", s.CertFile}, {"kafka-key-file", s.KeyFile},
	} {
		if file.path != "" && !on {
			c.conflict(file.flag, file.path, "it needs --kafka-tls")
		}
	}
	files := cluster.CertificateFiles{CA: s.CAFile, Cert: s.CertFile, Key: s.KeyFile}
	switch {
	case s.CertFile != "" && s.KeyFile == "":
		c.conflict("kafka-cert-file", s.CertFile, "it needs --kafka-key-file")
		files.Cert = ""
	case s.CertFile == "" && s.KeyFile != "":
		c.conflict("kafka-key-file", s.KeyFile, "it needs --kafka-cert-file")
		files.Key = ""
	}
	if bad := certificateError(cluster.CertificateFiles{CA: files.CA}); bad != nil {
		c.conflict("kafka-ca-file", files.CA, fmt.Sprintf("must be a readable file of PEM certificates (%v)", bad.Err))
	}
	if bad := certificateError(cluster.CertificateFiles{Cert: files.Cert, Key: files.Key}); bad != nil {
		c.conflict("kafka-cert-file", files.Cert, fmt.Sprintf("must be a PEM certificate that fits --kafka-key-file (%v)", bad.Err))
	}
	if !on {
		return nil, nil
	}
	certificates, err := cluster.ReadCertificates(files)
	if err != nil {
		return nil, nil // a problem that is noted
	}
	return &tls.Config{MinVersion: tls.VersionTLS12}, certificates
}

// certificateError returns why files can't be used; nil if they can.
func certificateError(files cluster.CertificateFiles) *cluster.CertificateError {
	_, err := cluster.ReadCertificates(files)
	bad, _ := errors.AsType[*cluster.CertificateError](err)
	return bad
}

func (c *checker) kafkaLogin(s securitySettings, env func(string) (string, bool)) sasl.Mechanism {
	mechanism := c.oneOf("kafka-sasl", s.SASL, "", saslPlain, saslSHA256, saslSHA512)
	c.note("kafka-username", s.Username)
	password := c.secret(kafkaPassword, env, s.SASL != "")
	if s.SASL == "" {
		if s.Username != "" {
			c.conflict("kafka-username", s.Username, "it needs --kafka-sasl")
		}
		if password.given() {
			c.problem(string(kafkaPassword), "%s is set, or its file: it needs --kafka-sasl", kafkaPassword)
		}
		return nil
	}
	if s.Username == "" {
		c.wrong("kafka-username", "", "the user to log in as, since --kafka-sasl is given")
	}
	return &saslLogin{mechanism: mechanism, username: s.Username, password: password}
}

// saslLogin reads the password at each login, so that a change in its file counts from the next connection on. It is a
// [sasl.Mechanism].
type saslLogin struct {
	mechanism, username string
	password            secretSource
}

// Name returns the mechanism's name in the protocol.
func (l *saslLogin) Name() string {
	switch l.mechanism {
	case saslSHA256:
		return scram.SHA256.Name()
	case saslSHA512:
		return scram.SHA512.Name()
	default:
		return plain.Mechanism{}.Name()
	}
}

// errPassword replaces errors of the mechanism that quote a part of the password.
var errPassword = errors.New("kafka password holds a character that SCRAM does not allow")

// Start begins one login.
func (l *saslLogin) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	password, err := l.password.read()
	if err != nil {
		return nil, nil, fmt.Errorf("kafka password: %w", err)
	}
	var mechanism sasl.Mechanism = plain.Mechanism{Username: l.username, Password: password}
	switch l.mechanism {
	case saslSHA256:
		mechanism, err = scram.Mechanism(scram.SHA256, l.username, password)
	case saslSHA512:
		mechanism, err = scram.Mechanism(scram.SHA512, l.username, password)
	}
	if err != nil {
		return nil, nil, errPassword
	}
	return mechanism.Start(ctx)
}
