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

// maxInfo bounds how much of a server's text an error carries, in bytes.
const maxInfo = 256

// notableSkew is the least difference between two clocks that is mentioned. A call may take almost so long, and no
// signature has a shorter lifetime.
const notableSkew = time.Minute

// APIError is an answer of the API that is not a success.
type APIError struct {
	// Code is the API's ErrorCode or ResultCode, see [Classify] and [Explain]. It is 0 for an answer that says FAIL without
	// a code.
	Code int
	// Info is the API's ErrorInfo or ResultInfo: at most 256 bytes, without control characters, and without the call's
	// signature, which the API may have repeated.
	Info string
	// HTTPStatus is 200, since an answer with another status is a [NetworkError].
	HTTPStatus int
	// RetryAfter is for how long the answer asks for no call, 0 to 1m. It is set only if the class is [Throttled].
	RetryAfter time.Duration
	// Renewed is set only with code 70001 (UserSig expired). The signature has been dropped, and the next call makes a new
	// one. So call again at once; this call uses up no attempt. Renewed is false if the call's own signature was made for
	// that reason. Then its age is not the reason, more likely a clock, and the class is [Halt].
	Renewed bool
	// ClockSkew is how far this machine's clock is ahead of the server's (negative: behind), by the answer's Date header and
	// the middle of the call, in whole seconds. It is 0 if the answer has no such header.
	ClockSkew time.Duration
}

// Error names the code and the API's text. Without a text it says what the code means.
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

// signatureRefused returns true for 70001 to 70052, the codes about a UserSig. A wrong clock can be their reason.
func (e *APIError) signatureRefused() bool { return e.Code >= 70001 && e.Code <= 70052 }

// Class is [Classify] of the code, except that a 70001 with Renewed set is [Transient].
func (e *APIError) Class() Class {
	if e.Renewed {
		return Transient
	}
	return Classify(e.Code)
}

// NetworkError means that there was no valid answer: no connection, no answer in time, an HTTP status other than 200 (which
// this API itself never sends), or a body that is not the API's result. It is unknown whether the API has executed the
// call.
type NetworkError struct {
	// Reason says which of these happened.
	Reason string
	// Fault is the same in one word.
	Fault Fault
	// HTTPStatus is 0 if there was no HTTP answer.
	HTTPStatus int
	// Throttled says that the status is 429, or 503 with a Retry-After. What stands before the API takes no more calls for a
	// moment, and the class is [Throttled].
	Throttled bool
	// RetryAfter is for how long the answer asks for no call, 0 to 1m. It is 0 if the answer has no Retry-After, or none that makes
	// sense. It is set only with Throttled.
	RetryAfter time.Duration
	// Err is the cause, nil if the status is the whole cause. It is a copy of the text of net/http's error, without the
	// signature. It wraps at most one error, if that was in the chain: [context.DeadlineExceeded], [context.Canceled],
	// [io.EOF], [io.ErrUnexpectedEOF], [net.ErrClosed], a [syscall.Errno] or a [*net.DNSError].
	Err error
}

// Error returns a text without the URL.
func (e *NetworkError) Error() string {
	text := "im api: " + e.Reason
	if e.RetryAfter > 0 {
		text += " (retry after " + e.RetryAfter.String() + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *NetworkError) Unwrap() error { return e.Err }

// Class is [Transient], or [Throttled] if the answer is.
func (e *NetworkError) Class() Class {
	if e.Throttled {
		return Throttled
	}
	return Transient
}

// Timeout returns true if the time ran out, as in [net.Error].
func (e *NetworkError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// RequestError is a [DeleteRequest] or [ListRequest] that was not sent, since the API has no form for it. Its class is [Permanent].
type RequestError struct {
	// Field is the field's name in the API's request: From_Account, Type, To_Account or AssistFlags.
	Field string
	// Problem says what is wrong with the field.
	Problem string
}

// Error names the field.
func (e *RequestError) Error() string { return "im request: " + e.Field + ": " + e.Problem }

// causeError replaces a foreign error: it has its text without secrets, and wraps at most one error that is known to hold
// no secret. Foreign errors are not kept in the chain, since each may carry the URL or a server's text in a field that only
// %#v shows.
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
