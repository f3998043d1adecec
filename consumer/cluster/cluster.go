package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
)

// clientID is what brokers see in their logs, quotas and metrics.
const clientID = "convdel"

// Config says where Kafka is and how to log in. All of the service's connections to Kafka are made with it, so that all of
// them have deadlines.
type Config struct {
	// Brokers are host:port addresses to start from. The client finds the rest of the cluster through whichever of them
	// answers first.
	Brokers []string
	// TLS, when set, is used for every connection. An empty server name is filled in with the broker's host.
	TLS *tls.Config
	// Certificates, when set, replace the certificates of TLS. Each new connection uses what their files hold then.
	Certificates *Certificates
	// SASL, when set, logs in on every connection.
	SASL sasl.Mechanism
	// Insecure allows to log in without TLS to brokers on other hosts. Otherwise a connection to such a broker is refused.
	Insecure bool
	// Dial replaces the network, in tests. Default: TCP with keep-alive.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger is told of brokers that do not answer while others do, and of certificate files that can't be used. Default: nobody.
	Logger *slog.Logger

	memory *memory
}

// WithMemory returns a Config whose connections share what they learn of the brokers: those that do not answer are tried
// last for a while, and those that refuse the login are left alone for up to [RefusalPause]. Each [Config.Transport] and each
// [Config.Dialer] of another Config learns by itself.
func (c Config) WithMemory() Config {
	if c.memory == nil {
		c.memory = newMemory(c.Brokers)
	}
	return c
}

// Addr stands for whichever of the brokers answers first. It is of use with [Config.Transport] alone.
func (c Config) Addr() net.Addr { return kafka.TCP(anyBroker) }

// Transport returns a connection pool that knows the given topics. It caches the partitions' leaders for two seconds, so
// that a moved leader is found again soon. The caller closes the pool with CloseIdleConnections.
func (c Config) Transport(topics ...string) *kafka.Transport {
	return &kafka.Transport{
		Dial:           c.WithMemory().Connect,
		DialTimeout:    openTimeout,
		IdleTimeout:    time.Minute,
		MetadataTTL:    2 * time.Second,
		MetadataTopics: topics,
		ClientID:       clientID,
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

// Dialer returns a dialer for kafka-go's consumer group, which does not use transports. [Config.GroupBrokers] are the group's brokers.
func (c Config) Dialer() *kafka.Dialer {
	return &kafka.Dialer{ClientID: clientID, Timeout: openTimeout, DialFunc: c.WithMemory().Connect}
}

// GroupBrokers is the address list of kafka-go's consumer group. Its one entry stands for whichever of the brokers answers first.
func (c Config) GroupBrokers() []string { return []string{anyBroker} }
