package imclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds the answer to a delete, in bytes. The API's own answers are below a kilobyte.
const maxBody = 64 << 10

// judge turns the answer to a delete into nil, an *APIError or a *NetworkError.
func (c *Client) judge(resp *answer, used *signature) error {
	buf, _ := c.buffers.Get().(*bytes.Buffer)
	if buf == nil {
		buf = new(bytes.Buffer)
	}
	defer c.buffers.Put(buf)
	buf.Reset()
	if err := readAnswer(resp.Response, used, buf, maxBody); err != nil {
		return err
	}
	if known := c.success.Load(); known != nil && bytes.Equal(*known, buf.Bytes()) {
		used.accept()
		c.clock.note(resp)
		return nil
	}
	if err := c.judgeResult(resp, used, buf.Bytes()); err != nil {
		return err
	}
	known := bytes.Clone(buf.Bytes())
	c.success.Store(&known)
	return nil
}

// readAnswer reads the body of an answer with status 200 to its end, so that the connection can be used again, unless that end is
// further away than most bytes.
func readAnswer(resp *http.Response, used *signature, to *bytes.Buffer, most int) error {
	if resp.StatusCode != http.StatusOK {
		drain(resp)
		return statusError("http status ", resp)
	}
	if _, err := to.ReadFrom(io.LimitReader(resp.Body, int64(most)+1)); err != nil {
		return &NetworkError{Reason: "answer cut off", HTTPStatus: resp.StatusCode, Fault: faultOf(err), Err: newCause(err, used.sig)}
	}
	if to.Len() > most {
		reason := fmt.Sprintf("answer larger than %d bytes", most)
		return &NetworkError{Reason: reason, HTTPStatus: resp.StatusCode, Fault: FaultNotJSON}
	}
	return nil
}

// drain reads the body of an answer that nobody needs, for the connection's sake alone: what a proxy has to say helps less than it could
// give away. Behind a 101 there is no body but the bare connection, which no deadline bounds.
func drain(resp *http.Response) {
	if resp.StatusCode >= http.StatusOK {
		_, _ = io.CopyN(io.Discard, resp.Body, maxBody)
	}
}

// judgeResult returns nil if a body says success. It draws the conclusions about the signature.
func (c *Client) judgeResult(resp *answer, used *signature, body []byte) error {
	ok, code, info, err := decodeResult(body)
	switch {
	case err != nil:
		return notTheAPIs(resp.Response, used, len(body), err)
	case !ok:
		return c.apiError(resp, used, code, info)
	}
	used.accept()
	c.clock.note(resp)
	return nil
}

// notTheAPIs returns the error for a body of so many bytes that is not the API's.
func notTheAPIs(resp *http.Response, used *signature, size int, err error) error {
	reason := fmt.Sprintf("answer is not the api's json (%d bytes, content type %q)", size, scrub(resp.Header.Get("Content-Type"), used.sig))
	return &NetworkError{Reason: reason, HTTPStatus: resp.StatusCode, Fault: FaultNotJSON, Err: newCause(err, used.sig)}
}

// statusError is the error for an answer with a status other than 200.
func statusError(reason string, resp *http.Response) *NetworkError {
	e := &NetworkError{
		Reason: reason + strconv.Itoa(resp.StatusCode), HTTPStatus: resp.StatusCode, Fault: faultOfStatus(resp.StatusCode), Throttled: throttled(resp),
	}
	if e.Throttled {
		e.RetryAfter = retryAfter(resp.Header, time.Now())
	}
	return e
}

// apiError builds the error for a code, and draws the conclusions about the signature.
func (c *Client) apiError(resp *answer, used *signature, code int, info string) error {
	c.clock.note(resp)
	e := &APIError{
		Code:       code,
		Info:       scrub(info, used.sig),
		HTTPStatus: resp.StatusCode,
		ClockSkew:  resp.skew.Truncate(time.Second),
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
