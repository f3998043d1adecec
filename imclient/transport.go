package imclient

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"time"
)

// idleTimeout is how long an unused connection is kept. It is well below the minute or so after which load balancers drop
// theirs. A call on a connection that is being dropped loses its answer.
const idleTimeout = 30 * time.Second

// newTransport configures the connections. Two settings are missing on purpose. MaxConnsPerHost is not needed, since the
// user of the client bounds the calls. ResponseHeaderTimeout is not needed, since each call has a deadline.
func newTransport(cfg Config, endpoint, proxy *url.URL) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	r := &route{timeout: cfg.CallTimeout, connect: cfg.DialContext, tls: tlsConfig}
	t := &http.Transport{
		DialContext:            r.plain,
		DialTLSContext:         r.encrypted,
		TLSClientConfig:        tlsConfig,
		MaxIdleConnsPerHost:    cfg.MaxConcurrent,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxBody,
		// Answers are too small to gain from compression, and without it the bound on the body bounds its size in memory.
		DisableCompression: true,
		Protocols:          protocols,
	}
	if proxy != nil && endpoint.Scheme == "http" && !isSOCKS(proxy) {
		t.Proxy = http.ProxyURL(proxy) // it gets the request itself
	} else {
		r.proxy = proxy
	}
	return t
}
