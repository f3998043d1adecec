package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/segmentio/kafka-go"
)

// Reason says what a [RefusedError] is about.
type Reason string

// These are the reasons.
const (
	// Login: user and password are wrong, or can't be used.
	Login Reason = "login"
	// Mechanism: the broker has no such login.
	Mechanism Reason = "mechanism"
	// Certificate: the broker does not take this client's certificate, or misses it.
	Certificate Reason = "certificate"
	// Trust: this client does not trust the broker's certificate.
	Trust Reason = "trust"
	// Encryption: one side speaks TLS that the other does not speak.
	Encryption Reason = "encryption"
	// Permission: the user lacks a right.
	Permission Reason = "permission"
)

// RefusedError says that a broker has answered, and that it or this client refuses to go on. Trying again does not help until
// somebody changes a setting, on either side.
type RefusedError struct {
	// Broker is its address, host:port; empty if any broker may have refused.
	Broker string
	Reason Reason
	// Err is the verdict: a [kafka.Error], or that of TLS.
	Err error
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("%v: %s", e.Err, e.Advice())
	if e.Broker != "" {
		return e.Broker + ": " + text
	}
	return text
}

// Advice names the settings to check.
func (e *RefusedError) Advice() string { return "check " + e.Reason.check() }

// Unwrap returns the verdict.
func (e *RefusedError) Unwrap() error { return e.Err }

// check names the settings of convdel to look at.
func (r Reason) check() string {
	switch r {
	case Login:
		return "--kafka-username, CONVDEL_KAFKA_PASSWORD (or its _FILE) and --kafka-sasl"
	case Mechanism:
		return "--kafka-sasl, and --brokers: each port has its own kinds of login"
	case Certificate:
		return "--kafka-cert-file and --kafka-key-file: the broker asks for a certificate that it trusts"
	case Trust:
		return "--kafka-ca-file, and that --brokers has the names in the broker's certificate"
	case Encryption:
		return "--kafka-tls, and the ports in --brokers"
	case Permission:
	}
	return "the ACLs of the user in --kafka-username"
}

// Refusal returns err if it holds a [*RefusedError], and makes one of it if brokers say that the user lacks a right. Otherwise it
// returns nil: what the error says may be over by itself.
func Refusal(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return err
	}
	for _, code := range []kafka.Error{
		kafka.TopicAuthorizationFailed, kafka.GroupAuthorizationFailed, kafka.ClusterAuthorizationFailed, kafka.TransactionalIDAuthorizationFailed,
	} {
		if errors.Is(err, code) {
			return &RefusedError{Reason: Permission, Err: err}
		}
	}
	if each, ok := errors.AsType[kafka.WriteErrors](err); ok { // kafka-go does not unwrap these
		for _, one := range each {
			if refusal := Refusal(one); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

// BrokerError says that a broker could not be connected to.
type BrokerError struct {
	// Broker is its address, host:port.
	Broker string
	// Hint is what the reason may be, where that can't be known; or empty.
	Hint string
	Err  error
}

func (e *BrokerError) Error() string {
	text := e.Broker + ": " + e.Err.Error()
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *BrokerError) Unwrap() error { return e.Err }

// step is a step of making a connection ready.
type step string

const (
	stepDial     step = "connect"
	stepTLS      step = "TLS handshake"
	stepVersions step = "first request"
	stepLogin    step = "login"
	stepMetadata step = "metadata request"
)

// trouble is the evidence of an attempt that has failed.
type trouble struct {
	broker string
	step   step
	err    error
	// tls and login say what this client does. certified says that it has shown a certificate, asked that the broker has asked
	// for one.
	tls, login, certified, asked bool
}

// The errors that this package itself finds.
var (
	errSilent  = errors.New("no answer")
	errNoKafka = errors.New("what answers is not Kafka")
	errTLS     = errors.New("the broker speaks TLS")
	errNoLogin = errors.New("the broker offers no login")
	// errHungUp is a login that the broker ends by closing the connection.
	errHungUp = errors.New("the broker has closed the connection at the login")
)

// loginError is a login that this client or the broker ends.
type loginError struct {
	reason Reason
	err    error
}

func (e *loginError) Error() string { return e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

// ruling returns the error that the evidence makes: a [*RefusedError] or a [*BrokerError].
func (t trouble) ruling() error {
	what := t.err
	if errors.Is(what, os.ErrDeadlineExceeded) {
		what = errSilent
	}
	what = fmt.Errorf("%s: %w", t.step, what)
	if reason := t.refused(); reason != "" {
		return &RefusedError{Broker: t.broker, Reason: reason, Err: what}
	}
	return &BrokerError{Broker: t.broker, Hint: t.hint(), Err: what}
}

// refused returns the reason of a refusal; empty if the error may be over by itself.
func (t trouble) refused() Reason {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](t.err); ok {
		return Trust
	}
	if errors.Is(t.err, errTLS) {
		return Encryption
	}
	if failed, ok := errors.AsType[*loginError](t.err); ok {
		return failed.reason
	}
	// Package tls does not export the type of an alert that the other side sends.
	op, ok := errors.AsType[*net.OpError](t.err)
	if !ok || op.Op != "remote error" {
		return ""
	}
	alert := op.Err.Error()
	switch {
	case strings.Contains(alert, "internal error"), strings.Contains(alert, "user canceled"):
		return ""
	case strings.Contains(alert, "certificate"), strings.Contains(alert, "access denied"), t.asked && !t.certified:
		return Certificate
	}
	return Encryption
}

// hint returns what may be the reason of a connection that the broker has closed, or of a handshake without an answer.
func (t trouble) hint() string {
	closed := isHangUp(t.err)
	_, plain := errors.AsType[tls.RecordHeaderError](t.err)
	switch {
	case t.step == stepTLS && (closed || plain || errors.Is(t.err, os.ErrDeadlineExceeded)):
		return "this port may speak no TLS: check --kafka-tls and --brokers"
	case !closed:
		return ""
	case t.step == stepVersions && !t.tls:
		return "this port may speak TLS: check --kafka-tls and --brokers"
	case t.step == stepVersions && t.asked && !t.certified:
		return "the broker asks for a certificate: check --kafka-cert-file"
	case t.step == stepMetadata && !t.login:
		return "this port may ask for a login: check --kafka-sasl and --brokers"
	}
	return ""
}

// isHangUp says whether the other side has closed the connection.
func isHangUp(err error) bool {
	for _, one := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}
