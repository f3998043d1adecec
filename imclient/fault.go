package imclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Fault says in one word why the API itself has not answered a call.
type Fault string

// The faults. A metric or a log line may have one as a label, since there are no others.
const (
	// FaultTimeout means that the time ran out.
	FaultTimeout Fault = "timeout"
	// FaultRefused means that nothing listens at the address.
	FaultRefused Fault = "refused"
	// FaultReset means that the other side, or something on the way, has closed the connection before the end of the answer.
	FaultReset Fault = "reset"
	// FaultUnreachable means that no way leads to the address.
	FaultUnreachable Fault = "unreachable"
	// FaultDNS means that the host's name was not resolved.
	FaultDNS Fault = "dns"
	// FaultTLS means that there was no encrypted connection: the certificate or the protocol is wrong.
	FaultTLS Fault = "tls"
	// FaultHTTP4xx, FaultHTTP5xx and FaultHTTPOther are statuses other than 200, of the endpoint or of a proxy.
	FaultHTTP4xx   Fault = "http_4xx"
	FaultHTTP5xx   Fault = "http_5xx"
	FaultHTTPOther Fault = "http_other"
	// FaultNotJSON means that the answer is not the API's: no HTTP, too large, or not its JSON.
	FaultNotJSON Fault = "not_json"
	// FaultStopped means that the caller has ended the call.
	FaultStopped Fault = "stopped"
	// FaultOther is any other one; the error's text says which.
	FaultOther Fault = "other"
)

// Faults returns all of them.
func Faults() []Fault {
	return []Fault{
		FaultTimeout, FaultRefused, FaultReset, FaultUnreachable, FaultDNS, FaultTLS, FaultHTTP4xx, FaultHTTP5xx, FaultHTTPOther,
		FaultNotJSON, FaultStopped, FaultOther,
	}
}

// handshakeError is an error of beginning TLS.
type handshakeError struct{ error }

func (e *handshakeError) Unwrap() error { return e.error }

// faultOf names the fault behind an error of the connection. A connection that breaks while TLS begins is no fault of TLS.
func faultOf(err error) Fault {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return FaultDNS
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return FaultTimeout
	}
	for _, known := range []struct {
		fault  Fault
		causes []error
	}{
		{FaultStopped, []error{context.Canceled}},
		{FaultRefused, []error{syscall.ECONNREFUSED}},
		{FaultUnreachable, []error{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN}},
		{FaultReset, []error{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed}},
	} {
		for _, cause := range known.causes {
			if errors.Is(err, cause) {
				return known.fault
			}
		}
	}
	return faultOfText(err)
}

// faultOfText names the fault where neither the system nor a type does. An error that the other side sends in place of TLS has no type.
func faultOfText(err error) Fault {
	_, handshake := errors.AsType[*handshakeError](err)
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	switch text := err.Error(); {
	case handshake, certificate, strings.Contains(text, "tls: "):
		return FaultTLS
	case strings.Contains(text, "malformed"), strings.Contains(text, "MaxResponseHeaderBytes"):
		return FaultNotJSON
	}
	return FaultOther
}

// faultOfStatus names the fault of an HTTP status other than 200.
func faultOfStatus(status int) Fault {
	switch status / 100 {
	case http.StatusBadRequest / 100:
		return FaultHTTP4xx
	case http.StatusInternalServerError / 100:
		return FaultHTTP5xx
	}
	return FaultHTTPOther
}
