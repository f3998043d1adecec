package imclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/proxy"

	"convdel/internal/reset"
)

// route makes connections. net/http could make them as well, but an [answerConn] has to be on top, above TLS, also behind a proxy.
type route struct {
	timeout time.Duration
	connect func(ctx context.Context, network, address string) (net.Conn, error)
	tls     *tls.Config
	// proxy makes connections to the endpoint, nil if none does: a SOCKS proxy, or, if the endpoint is https, any proxy.
	proxy *url.URL
}

func isSOCKS(proxy *url.URL) bool { return proxy.Scheme == "socks5" || proxy.Scheme == "socks5h" }

// plain makes a connection without TLS, for net/http.
func (r *route) plain(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.reach(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newAnswerConn(conn), nil
}

// encrypted makes a connection with TLS, for net/http.
func (r *route) encrypted(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := r.reach(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if conn, err = r.encrypt(ctx, conn, address); err != nil {
		return nil, err
	}
	return newAnswerConn(conn), nil
}

// reach connects to an address, through the proxy if there is one. Its ctx bounds the making of the connection. The call's own deadline
// does not: after a call was given up, net/http continues to connect for the next call.
func (r *route) reach(ctx context.Context, network, address string) (net.Conn, error) {
	switch {
	case r.proxy == nil:
		return r.lowest(ctx, network, address)
	case isSOCKS(r.proxy):
		return r.socks(ctx, network, address)
	default:
		return r.tunnel(ctx, network, address)
	}
}

// lowest makes the lowest connection.
func (r *route) lowest(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	reset.AtClose(conn) // a call that is given up must not be made later
	return &sentConn{Conn: conn}, nil
}

// encrypt begins TLS with the host of an address. It closes the connection if that fails.
func (r *route) encrypt(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	cfg := r.tls.Clone()
	if host, _, err := net.SplitHostPort(address); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	secure := tls.Client(conn, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // nothing was sent
		return nil, &handshakeError{err}
	}
	return secure, nil
}

// socks has the SOCKS proxy connect to an address.
func (r *route) socks(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.lowest(ctx, network, hostPort(r.proxy))
	if err != nil {
		return nil, err
	}
	var auth *proxy.Auth
	if user := r.proxy.User; user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5(network, hostPort(r.proxy), auth, connected{conn})
	if through, ok := dialer.(proxy.ContextDialer); ok && err == nil {
		_, err = through.DialContext(ctx, network, address) // it returns the same connection in a wrapping that hides it
	}
	if err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

// connected is a dialer for package proxy. It returns a connection that is already there.
type connected struct{ net.Conn }

func (c connected) Dial(string, string) (net.Conn, error) { return c.Conn, nil }

func (c connected) DialContext(context.Context, string, string) (net.Conn, error) { return c.Conn, nil }

// tunnelError is a proxy's refusal to connect to the endpoint.
type tunnelError struct{ resp *http.Response }

func (e *tunnelError) Error() string { return e.networkError().Error() }

func (e *tunnelError) networkError() *NetworkError {
	return statusError("the proxy answers http status ", e.resp)
}

// tunnel has the proxy connect to an address.
func (r *route) tunnel(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.lowest(ctx, network, hostPort(r.proxy))
	if err != nil {
		return nil, err
	}
	if r.proxy.Scheme == "https" {
		if conn, err = r.encrypt(ctx, conn, hostPort(r.proxy)); err != nil {
			return nil, err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends what is under way
	err = r.ask(conn, address)
	if !stop() { // whatever that has done to the connection
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close() // nothing was sent
		return nil, err
	}
	return conn, nil
}

// ask sends the proxy a CONNECT, and reads its answer.
func (r *route) ask(conn net.Conn, address string) error {
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{"User-Agent": {"convdel"}}}
	if user := r.proxy.User; user != nil {
		password, _ := user.Password()
		request.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := request.Write(conn); err != nil {
		return err
	}
	// TLS begins with the client, so nothing is behind the answer that the reader could take away.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxBody)), request) //nolint:bodyclose // the connection is closed, or goes on
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &tunnelError{resp: resp}
	}
	return nil
}

// hostPort is a proxy's address.
func hostPort(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}
