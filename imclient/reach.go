package imclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Reached is what an endpoint has answered to a request without a signature.
type Reached struct {
	// Took is how long the answer took, the making of the connection included.
	Took time.Duration
	// HTTPStatus is the status of the answer.
	HTTPStatus int
	// API says that the answer is the API's JSON. Code and Info are its error code and text; an API refuses a request without a signature.
	API  bool
	Code int
	Info string
	// Dated says that the answer has a Date header. Ahead is how far this machine's clock is ahead of it then (negative: behind), to
	// about a second.
	Dated bool
	Ahead time.Duration
}

// Reach asks the endpoint for a list, without a signature, an app or an account, and so for nothing at all. It tells whether the API
// can be reached, and its time. It makes one call, which the API counts for no app. The error is a [*NetworkError]: there was no
// HTTP answer.
func (c *Client) Reach(ctx context.Context) (*Reached, error) {
	deadline := c.deadlines.begin(ctx)
	found, err := c.reach(deadline) //nolint:contextcheck // it ends with ctx
	c.deadlines.done(deadline, err == nil)
	return found, err
}

func (c *Client) reach(ctx context.Context) (*Reached, error) {
	body, hook := []byte("{}"), new(callHook)
	req := c.blank.WithContext(hook.trace(ctx)) // a copy
	req.URL = &url.URL{Scheme: c.scheme, Host: c.host, Path: listPath, RawQuery: "contenttype=json"}
	req.ContentLength = int64(len(body))
	req.Body = io.NopCloser(bytes.NewReader(body))
	began := time.Now()
	resp, err := c.roundTrip(req, hook, "")
	took := time.Since(began)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // all of it that is wanted has been read by then
	found := &Reached{Took: took, HTTPStatus: resp.StatusCode}
	if resp.dated {
		found.Dated, found.Ahead = true, resp.skew.Truncate(time.Second)
	}
	if resp.StatusCode != http.StatusOK {
		drain(resp.Response)
		return found, nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, &NetworkError{Reason: "answer cut off", HTTPStatus: resp.StatusCode, Err: newCause(err, "")}
	}
	if _, code, info, err := decodeResult(text); err == nil {
		found.API, found.Code, found.Info = true, code, scrub(info, "")
	}
	return found, nil
}

// Signature makes a signature, and returns when it expires. It makes no call, so it does not tell whether the API takes the signature.
// The error is a [*KeyError].
func (c *Client) Signature(ctx context.Context) (expires time.Time, err error) {
	sig, err := c.signer.get(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return sig.expires, nil
}
