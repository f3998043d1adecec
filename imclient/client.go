package imclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// These are the paths of the two kinds of calls.
const (
	deletePath = "/v4/recentcontact/delete"
	listPath   = "/v4/recentcontact/get_list"
)

// Client calls the API. Any number of goroutines may use it. Make one with [New] and keep it, since it holds the
// connections and the signature.
type Client struct {
	scheme, host string
	// blank is a request with the fields that all requests have in common. They share its header, which net/http only reads.
	blank     http.Request
	deadlines *deadlines
	transport *http.Transport
	signer    *signer
	clock     *clock
	buffers   sync.Pool // Of *bytes.Buffer, for answers.
	// success is the body of the last answer that was a success. The API repeats it byte for byte, and to compare it is
	// cheaper than to decode it.
	success atomic.Pointer[[]byte]
	shown   Config
}

// New checks the configuration and returns a client. It makes no call and reads no key. The error joins one [*ConfigError]
// for each wrong setting.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	endpoint, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	proxy, err := proxyFor(endpoint, os.Getenv)
	if err != nil {
		return nil, err
	}
	if unencrypted(endpoint) {
		cfg.Logger.Warn("im-endpoint is not https: the signature can be read on the way",
			slog.String("host", endpoint.Host))
	}
	return &Client{
		scheme: endpoint.Scheme,
		host:   endpoint.Host,
		blank: http.Request{
			Method: http.MethodPost,
			Host:   endpoint.Host,
			Header: http.Header{
				"Content-Type": {"application/json"},
				"User-Agent":   {"convdel"},
			},
			Proto:      "HTTP/1.1",
			ProtoMajor: 1,
			ProtoMinor: 1,
		},
		deadlines: newDeadlines(cfg.CallTimeout, cfg.MaxConcurrent),
		transport: newTransport(cfg, endpoint, proxy),
		signer:    newSigner(cfg),
		clock:     newClock(),
		shown:     cfg,
	}, nil
}

// DeleteConversation deletes one conversation, with one call: v4/recentcontact/delete. It returns
// nil only if the API has said so in a well-formed answer. Otherwise the error is an [*APIError], a
// [*NetworkError], a [*KeyError] or a [*RequestError]; [ClassOf] says what to do about it. It takes
// no longer than CallTimeout, or until ctx ends.
func (c *Client) DeleteConversation(ctx context.Context, r DeleteRequest) error {
	if err := r.validate(); err != nil {
		return err
	}
	deadline := c.deadlines.begin(ctx)
	err := c.call(deadline, &r)            //nolint:contextcheck // it ends with ctx
	c.deadlines.done(deadline, err == nil) // the answer has been read to its end
	return err
}

// call makes the call, within ctx.
func (c *Client) call(ctx context.Context, r *DeleteRequest) error {
	sig, err := c.signer.get(ctx)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, deletePath, sig, r.body(), r.Sent)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // All of it that is wanted has been read by then.
	return c.judge(resp, sig)
}

// send sends a request and returns its answer. sent is a request's Sent.
func (c *Client) send(ctx context.Context, path string, sig *signature, body []byte, sent func()) (*answer, error) {
	hook := &callHook{sent: sent}
	return c.roundTrip(c.request(hook.trace(ctx), path, sig, body), hook, sig.sig)
}

// roundTrip makes a call whose context has the hook. Its errors do not show the signature.
func (c *Client) roundTrip(req *http.Request, hook *callHook, sig string) (*answer, error) {
	began := time.Now()
	// The transport itself, not an http.Client: no redirects to follow, no *url.Error that prints the
	// URL with the signature in it.
	resp, err := c.transport.RoundTrip(req) //nolint:bodyclose // the caller closes that of the answer
	hook.settle(err == nil)
	if refusal, ok := errors.AsType[*tunnelError](err); ok {
		return nil, refusal.networkError()
	}
	if err != nil {
		return nil, &NetworkError{Reason: "no answer", Fault: faultOf(err), Err: newCause(err, sig)}
	}
	return newAnswer(resp, began, time.Now()), nil
}

// request is http.NewRequestWithContext without parsing the same URL again for each call.
func (c *Client) request(ctx context.Context, path string, sig *signature, body []byte) *http.Request {
	var digits [len("4294967295")]byte
	//nolint:gosec // random only has to differ from call to call, nobody gains from guessing it
	random := strconv.AppendUint(digits[:0], uint64(rand.Uint32()), 10)
	req := c.blank.WithContext(ctx) // a copy
	req.URL = &url.URL{
		Scheme: c.scheme, Host: c.host, Path: path, RawQuery: sig.query + string(random) + "&contenttype=json",
	}
	req.ContentLength = int64(len(body))
	// net/http knows this combination to be in memory and sends header and body in one packet.
	req.Body = io.NopCloser(bytes.NewReader(body))
	// Lets net/http take another connection when nothing at all could be written to the first. A
	// request of which anything was written it never repeats, POST being what it is.
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return req
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.transport.CloseIdleConnections() }

// String shows what the client was configured with, without its secret.
func (c *Client) String() string { return fmt.Sprintf("imclient.Client(%s)", c.shown) }

// GoString is [Client.String].
func (c *Client) GoString() string { return c.String() }

// LogValue is what slog shows.
func (c *Client) LogValue() slog.Value { return c.shown.LogValue() }
