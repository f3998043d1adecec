package imclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxInfo bounds the text of a server that an error carries, in bytes.
const maxInfo = 256

// notableSkew is the difference between two clocks that is worth a word: less than this is how long
// a call may take, and no signature is that short-lived.
const notableSkew = time.Minute

// APIError is an answer of the API other than success.
type APIError struct {
	// Code is the API's ErrorCode or ResultCode, see [Classify] and [Explain]. It is 0 for an answer
	// that says FAIL and names no code.
	Code int
	// Info is the API's ErrorInfo or ResultInfo: at most 256 bytes, without control characters and
	// without the call's signature, should the API have repeated it.
	Info string
	// HTTPStatus is 200: whatever comes with another status is a [NetworkError].
	HTTPStatus int
	// Renewed comes with code 70001 (UserSig expired) only: the signature has been dropped, and the
	// next call makes a new one. Call again at once; this call counts as no attempt. It is false if
	// the call had itself used a signature made for that reason: then age is not what is wrong with
	// it, more likely a clock, and the class is [Halt].
	Renewed bool
	// ClockSkew is how far this machine's clock is ahead of the server's (negative: behind), from
	// the answer's Date header, to the second at best; 0 if the answer has none.
	ClockSkew time.Duration
}

// Error names the code, and what the API says about it or, if it says nothing, what the code means.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("im api: code ")
	b.WriteString(strconv.Itoa(e.Code))
	info := e.Info
	if info == "" {
		info, _ = Explain(e.Code)
	}
	b.WriteString(": ")
	b.WriteString(info)
	if e.signatureRefused() && e.ClockSkew.Abs() >= notableSkew {
		direction := "ahead of"
		if e.ClockSkew < 0 {
			direction = "behind"
		}
		fmt.Fprintf(&b, " (this machine's clock is %s %s the server's)", e.ClockSkew.Abs().Round(time.Second), direction)
	}
	return b.String()
}

// signatureRefused covers 70001 to 70052, the codes about a UserSig, for which a clock can be the
// cause.
func (e *APIError) signatureRefused() bool { return e.Code >= 70001 && e.Code <= 70052 }

// Class is [Classify] of the code, except that a 70001 with Renewed set is [Transient].
func (e *APIError) Class() Class {
	if e.Renewed {
		return Transient
	}
	return Classify(e.Code)
}

// NetworkError means that there was no answer that could be understood: no connection, no answer in
// time, an HTTP status other than 200 (which this API never sends on its own account), or a body that
// is not the API's result. Whether the API has done what it was asked is unknown.
type NetworkError struct {
	// Reason says which of these it was.
	Reason string
	// HTTPStatus is 0 if there was no HTTP answer.
	HTTPStatus int
	// Err is the cause, nil if the status says it all. It is not what net/http returned but a copy of
	// its text, cleaned of the signature, so there is little to unwrap: [context.DeadlineExceeded],
	// [context.Canceled], [io.EOF], [io.ErrUnexpectedEOF], [net.ErrClosed], a [syscall.Errno] or a
	// [*net.DNSError], where one of these was in the chain.
	Err error
}

// Error says what went wrong, without URL.
func (e *NetworkError) Error() string {
	text := "im api: " + e.Reason
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// Timeout says whether time ran out, as in [net.Error].
func (e *NetworkError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// RequestError is a [DeleteRequest] that was not sent: the API has no way to say it. Its class is
// [Permanent].
type RequestError struct {
	// Field is the name in the API's request: From_Account, Type or To_Account.
	Field string
	// Problem is what is wrong with it.
	Problem string
}

// Error names the field.
func (e *RequestError) Error() string { return "im request: " + e.Field + ": " + e.Problem }

// causeError is what remains of a foreign error: its text without secrets, and at most one error
// that is known to hold none. Foreign errors are not kept in the chain, since any of them may carry
// the URL or what a server has sent, in a field that shows only under %#v.
type causeError struct {
	text  string
	known error
}

func newCause(err error, secret string) error {
	return &causeError{text: scrub(err.Error(), secret), known: knownCause(err)}
}

func (e *causeError) Error() string { return e.text }

func (e *causeError) Unwrap() error { return e.known }

func knownCause(err error) error {
	for _, known := range []error{
		context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF, net.ErrClosed,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return &net.DNSError{
			Err:         scrub(dns.Err, ""),
			Name:        scrub(dns.Name, ""),
			IsTimeout:   dns.IsTimeout,
			IsTemporary: dns.IsTemporary,
			IsNotFound:  dns.IsNotFound,
		}
	}
	return nil
}
