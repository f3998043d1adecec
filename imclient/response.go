package imclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds an answer, in bytes. The API's own answers are below a kilobyte.
const maxBody = 64 << 10

// judge turns an answer into nil, an *APIError or a *NetworkError. It reads the body to its end, so
// that the connection can be used again, unless that end is too far away.
func (c *Client) judge(resp *http.Response, used *signature) error {
	if resp.StatusCode != http.StatusOK {
		// Drained for the connection's sake alone: what a proxy has to say helps less than it could
		// give away.
		_, _ = io.CopyN(io.Discard, resp.Body, maxBody)
		return statusError("http status ", resp)
	}
	buf, _ := c.buffers.Get().(*bytes.Buffer)
	if buf == nil {
		buf = new(bytes.Buffer)
	}
	defer c.buffers.Put(buf)
	buf.Reset()
	_, err := buf.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return &NetworkError{Reason: "answer cut off", HTTPStatus: resp.StatusCode, Err: newCause(err, used.sig)}
	}
	if buf.Len() > maxBody {
		reason := fmt.Sprintf("answer larger than %d bytes", maxBody)
		return &NetworkError{Reason: reason, HTTPStatus: resp.StatusCode}
	}
	if known := c.success.Load(); known != nil && bytes.Equal(*known, buf.Bytes()) {
		used.accept()
		return nil
	}
	ok, code, info, err := decodeResult(buf.Bytes())
	if err != nil {
		reason := fmt.Sprintf("answer is not the api's json (%d bytes, content type %q)",
			buf.Len(), scrub(resp.Header.Get("Content-Type"), used.sig))
		return &NetworkError{Reason: reason, HTTPStatus: resp.StatusCode, Err: newCause(err, used.sig)}
	}
	if ok {
		used.accept()
		known := bytes.Clone(buf.Bytes())
		c.success.Store(&known)
		return nil
	}
	return c.apiError(resp, used, code, info)
}

// statusError is the error for an answer with a status other than 200.
func statusError(reason string, resp *http.Response) *NetworkError {
	e := &NetworkError{Reason: reason + strconv.Itoa(resp.StatusCode), HTTPStatus: resp.StatusCode, Throttled: throttled(resp)}
	if e.Throttled {
		e.RetryAfter = retryAfter(resp.Header, time.Now())
	}
	return e
}

// apiError builds the error for a code, and draws the conclusions about the signature.
func (c *Client) apiError(resp *http.Response, used *signature, code int, info string) error {
	e := &APIError{
		Code:       code,
		Info:       scrub(info, used.sig),
		HTTPStatus: resp.StatusCode,
		ClockSkew:  clockSkew(resp.Header.Get("Date")),
	}
	switch {
	case Classify(code) == Throttled:
		e.RetryAfter = retryAfter(resp.Header, time.Now())
	case code == CodeExpired:
		e.Renewed = c.signer.expired(used)
	case code >= 50001 && code <= 50005:
		// The call itself was judged, so the signature was found good.
		used.accept()
	}
	return e
}

// clockSkew is how far this machine's clock is ahead of a Date header, 0 if there is none.
func clockSkew(date string) time.Duration {
	t, err := http.ParseTime(date)
	if err != nil {
		return 0
	}
	return time.Now().Round(0).Sub(t).Truncate(time.Second)
}
