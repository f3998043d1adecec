package imclient

import "net/http"

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
