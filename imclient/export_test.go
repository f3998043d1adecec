package imclient

import (
	"net/http"
	"net/url"
)

// Transport gives tests access to the transport, to make it trust a certificate.
func (c *Client) Transport() *http.Transport { return c.transport }

// Sig returns the present signature, empty if there is none.
func (c *Client) Sig() string {
	if current := c.signer.current.Load(); current != nil {
		return current.sig
	}
	return ""
}

// BodyOf returns the JSON of a request.
func BodyOf(r DeleteRequest) []byte { return r.body() }

// UseProxy has the client go through a proxy, as if the environment had named it. That never names one for this machine.
func (c *Client) UseProxy(proxy *url.URL) {
	roots := c.transport.TLSClientConfig.RootCAs
	c.transport = newTransport(c.shown, &url.URL{Scheme: c.scheme, Host: c.host}, proxy)
	c.transport.TLSClientConfig.RootCAs = roots
}
