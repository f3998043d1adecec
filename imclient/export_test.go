package imclient

import "net/http"

// Transport lets tests trust a certificate.
func (c *Client) Transport() *http.Transport { return c.transport }

// Sig is the signature at hand, empty if there is none.
func (c *Client) Sig() string {
	if current := c.signer.current.Load(); current != nil {
		return current.sig
	}
	return ""
}

// BodyOf is the JSON that is sent for a request.
func BodyOf(r DeleteRequest) []byte { return r.body() }
