package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// dialTimeout bounds the making of a connection to a broker. ioTimeout bounds a read or a write for which kafka-go sets no
// deadline of its own: its SASL exchange and its metadata reads. A broker that accepts a connection and then says nothing
// would hold these for ever.
const (
	dialTimeout = 5 * time.Second
	ioTimeout   = 10 * time.Second
)

// clientID is what brokers see in their logs, quotas and metrics.
const clientID = "convdel"

// Config says where Kafka is and how to log in. All of the service's connections to Kafka are made with it, so that all of
// them have deadlines.
type Config struct {
	// Brokers are host:port addresses to start from. The client finds the rest of the cluster through them.
	Brokers []string
	// TLS, when set, is used for every connection. An empty server name is filled in with the broker's host.
	TLS *tls.Config
	// SASL, when set, logs in on every connection.
	SASL sasl.Mechanism
	// Dial replaces the network, in tests. Default: TCP with keep-alive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Addr is the address list in kafka-go's form.
func (c Config) Addr() net.Addr { return kafka.TCP(c.Brokers...) }

// Transport returns a connection pool that knows the given topics. It caches the partitions' leaders for two seconds, so
// that a moved leader is found again soon. The caller closes the pool with CloseIdleConnections.
func (c Config) Transport(topics ...string) *kafka.Transport {
	return &kafka.Transport{
		Dial:           c.Connect,
		DialTimeout:    dialTimeout,
		IdleTimeout:    time.Minute,
		MetadataTTL:    2 * time.Second,
		MetadataTopics: topics,
		ClientID:       clientID,
		TLS:            c.TLS,
		SASL:           c.SASL,
	}
}

// Client returns a client on its own [Config.Transport], and the function that closes this transport.
func (c Config) Client(topics ...string) (client *kafka.Client, closeIdle func()) {
	t := c.Transport(topics...)
	return &kafka.Client{Addr: c.Addr(), Transport: t}, t.CloseIdleConnections
}

// Writer returns a writer whose writes return only when every in-sync replica has the record. It assigns keys to partitions
// as Kafka's own clients do. closeAll ends the writer and its connections.
//
// A write whose context ends may still be appended, so the reader of the topic must bear a record that is written twice.
func (c Config) Writer(topic string) (writer *kafka.Writer, closeAll func() error) {
	t := c.Transport(topic)
	w := &kafka.Writer{
		Addr:         c.Addr(),
		Topic:        topic,
		Balancer:     kafka.Murmur2Balancer{},
		MaxAttempts:  4,
		BatchSize:    100,
		BatchBytes:   maxWriteBytes,
		BatchTimeout: 5 * time.Millisecond,
		WriteTimeout: 5 * time.Second,
		RequiredAcks: kafka.RequireAll,
		Transport:    t,
	}
	return w, func() error {
		err := w.Close()
		t.CloseIdleConnections()
		if err != nil {
			return fmt.Errorf("close writer of topic %s: %w", topic, err)
		}
		return nil
	}
}

// maxWriteBytes is far above what brokers take (1 MiB by default). So the broker judges the size of each record, and the
// client does not judge the size of a whole batch.
const maxWriteBytes = 64 << 20

// Dialer returns a dialer for kafka-go's consumer group, which does not use transports.
func (c Config) Dialer() *kafka.Dialer {
	return &kafka.Dialer{
		ClientID:      clientID,
		Timeout:       dialTimeout,
		DialFunc:      c.Connect,
		TLS:           c.TLS,
		SASLMechanism: c.SASL,
	}
}

// Connect makes a connection with deadlines, without TLS and without logging in.
func (c Config) Connect(ctx context.Context, network, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &deadlineConn{Conn: conn}, nil
}

// deadlineConn gives every read and write a deadline, unless its user has set one. kafka-go reads from a connection only
// while a request is under way, so an idle connection is not cut.
type deadlineConn struct {
	net.Conn
	userRead, userWrite atomic.Bool
}

func (d *deadlineConn) Read(b []byte) (int, error) {
	if !d.userRead.Load() {
		if err := d.Conn.SetReadDeadline(time.Now().Add(ioTimeout)); err != nil {
			return 0, err
		}
	}
	return d.Conn.Read(b)
}

func (d *deadlineConn) Write(b []byte) (int, error) {
	if !d.userWrite.Load() {
		if err := d.Conn.SetWriteDeadline(time.Now().Add(ioTimeout)); err != nil {
			return 0, err
		}
	}
	return d.Conn.Write(b)
}

func (d *deadlineConn) SetDeadline(t time.Time) error {
	d.userRead.Store(!t.IsZero())
	d.userWrite.Store(!t.IsZero())
	return d.Conn.SetDeadline(t)
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.userRead.Store(!t.IsZero())
	return d.Conn.SetReadDeadline(t)
}

func (d *deadlineConn) SetWriteDeadline(t time.Time) error {
	d.userWrite.Store(!t.IsZero())
	return d.Conn.SetWriteDeadline(t)
}
