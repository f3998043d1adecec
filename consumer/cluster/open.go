package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/reset"
)

// connectTo connects to one broker. seed says that the connection is one to find the cluster with: the broker then has to answer
// that question too.
func (c Config) connectTo(ctx context.Context, network, address string, seed bool) (net.Conn, error) {
	if err := c.memory.barred(address, time.Now()); err != nil {
		return nil, err
	}
	conn, t := c.open(ctx, network, address, seed)
	if errors.Is(t.err, errHungUp) {
		// Some brokers refuse a login by closing the connection. A broker that stops does the same, but once only.
		if conn, t = c.open(ctx, network, address, seed); errors.Is(t.err, errHungUp) {
			t.err = &loginError{Login, t.err}
		}
	}
	if t.err != nil {
		return nil, t.ruling()
	}
	return conn, nil
}

// open makes one attempt. In the trouble that it returns, err is nil if there is none.
func (c Config) open(ctx context.Context, network, address string, seed bool) (net.Conn, trouble) {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	t := trouble{broker: address, step: stepDial, tls: c.TLS != nil, login: c.SASL != nil}
	raw, err := dial(ctx, network, address)
	if err != nil {
		t.err = err
		return nil, t
	}
	reset.AtClose(raw) // a request that is cut off must not arrive later
	disarm := context.AfterFunc(ctx, func() { _ = raw.Close() })
	o := &opening{Config: c, trouble: t, silent: &silentConn{Conn: raw}}
	o.err = o.prepare(ctx, seed)
	if !disarm() && (o.err == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
		o.err = errSilent // the connection was closed when the time was over
	}
	if o.err == nil {
		o.err = o.silent.ready()
	}
	if o.err != nil {
		_ = raw.Close()
		return nil, o.trouble
	}
	return &deadlineConn{Conn: o.conn}, o.trouble
}

// opening makes one connection ready.
type opening struct {
	Config
	trouble

	silent *silentConn
	// conn is the connection to use; over TLS, if there is TLS.
	conn net.Conn
	// newest is the newest version of each kind of request that the broker knows.
	newest map[int16]int16
	wire   wire
}

// prepare does the steps. Login comes before kafka-go uses the connection, since brokers take ApiVersions once only before the login,
// and kafka-go sends it too.
func (o *opening) prepare(ctx context.Context, seed bool) error {
	o.conn = o.silent
	if o.TLS != nil {
		o.step = stepTLS
		secure := tls.Client(o.silent, o.tlsConfig(ctx))
		if err := secure.HandshakeContext(ctx); err != nil {
			return err
		}
		o.conn = secure
	}
	o.wire.rw = o.conn
	o.step = stepVersions
	if err := o.versions(); err != nil {
		return err
	}
	if o.SASL != nil {
		o.step = stepLogin
		if err := o.exposed(); err != nil {
			return err
		}
		if err := o.logIn(ctx); err != nil {
			return err
		}
	}
	if seed && o.newest[int16(protocol.Metadata)] > 0 { // version 0 can't ask for no topic
		o.step = stepMetadata
		return o.askMetadata()
	}
	return nil
}

// tlsConfig returns the configuration of this connection. It notes whether the broker asks for a certificate.
func (o *opening) tlsConfig(ctx context.Context) *tls.Config {
	config := o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(o.broker)
	}
	if o.Certificates != nil {
		o.Certificates.renew(ctx, config, o.Logger)
	}
	choose := config.GetClientCertificate
	config.GetClientCertificate = func(ask *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		o.asked = true
		if choose != nil {
			o.certified = true
			return choose(ask)
		}
		for i := range config.Certificates {
			if ask.SupportsCertificate(&config.Certificates[i]) == nil {
				o.certified = true
				return &config.Certificates[i], nil
			}
		}
		return new(tls.Certificate), nil
	}
	return config
}

// versions asks which requests the broker knows. A broker that answers this is no frozen process.
func (o *opening) versions() error {
	req := kmsg.NewPtrApiVersionsRequest()
	res := kmsg.NewPtrApiVersionsResponse()
	if err := o.wire.ask(req, res); err != nil {
		return err
	}
	if res.ErrorCode != 0 {
		return kafkaError(res.ErrorCode)
	}
	o.newest = make(map[int16]int16, len(res.ApiKeys))
	for _, k := range res.ApiKeys {
		o.newest[k.ApiKey] = k.MaxVersion
	}
	return nil
}

// askMetadata asks for the brokers, and for no topic. It needs no right.
func (o *opening) askMetadata() error {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 1, []kmsg.MetadataRequestTopic{}
	res := kmsg.NewPtrMetadataResponse()
	res.Version = req.Version
	return o.wire.ask(req, res)
}

// logIn logs in by the mechanism.
func (o *opening) logIn(ctx context.Context) error {
	newest, offered := o.newest[int16(protocol.SaslHandshake)]
	if !offered {
		return &loginError{Mechanism, errNoLogin}
	}
	o.wire.bare = newest == 0 // such a broker takes what follows without a head
	if err := o.handshake(min(1, newest)); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(o.broker)
	session, response, err := o.SASL.Start(sasl.WithMetadata(ctx, &sasl.Metadata{Host: host}))
	if err != nil {
		return &loginError{Login, err}
	}
	for done := false; !done; {
		challenge, err := o.authenticate(response)
		if err != nil {
			return err
		}
		if done, response, err = session.Next(ctx, challenge); err != nil {
			return &loginError{Login, err}
		}
	}
	return nil
}
