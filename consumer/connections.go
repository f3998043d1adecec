package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// member is who we are to the group.
type member struct {
	group, id  string
	generation int
}

// connections are what a consumer talks to Kafka over, beside the group's own connection.
type connections struct {
	transport *kafka.Transport
	client    *kafka.Client
	group     string
	bounds    recordlog.Bounds
	// fresh has no connections between two uses.
	fresh   *kafka.Transport
	to      topicWriters
	closers []func() error
}

// topicWriters write what a consumer makes of events. outcomes is nil if they are not recorded.
type topicWriters struct {
	deadLetters deadLetterWriters
	outcomes    messageWriter
}

// outcomeLinger is how long an outcome waits for others of its partition, since each request costs the service and the broker far more
// than an outcome in it. It delays the end of the event, and no call.
const outcomeLinger = 20 * time.Millisecond

func connect(cfg Config) *connections {
	t := cfg.Cluster.Transport(cfg.topics()...)
	c := &connections{
		transport: t, client: &kafka.Client{Addr: cfg.Cluster.Addr(), Transport: t}, group: cfg.Group, fresh: cfg.Cluster.Transport(cfg.Topic),
		bounds: recordlog.Bounds{Batch: cfg.MaxBatchBytes, Record: cfg.MaxRecordBytes},
	}
	writer := func(topic string, edit func(*kafka.Writer)) messageWriter {
		w, closeAll := cfg.Cluster.Writer(topic)
		edit(w)
		c.closers = append(c.closers, closeAll)
		return w
	}
	c.to.deadLetters = deadLetterWriters{
		many:       writer(cfg.DeadLetterTopic, func(*kafka.Writer) {}),
		alone:      writer(cfg.DeadLetterTopic, func(w *kafka.Writer) { w.BatchSize = 1 }),
		compressed: writer(cfg.DeadLetterTopic, func(w *kafka.Writer) { w.BatchSize, w.Compression = 1, kafka.Gzip }),
	}
	if cfg.OutcomeTopic != "" {
		c.to.outcomes = writer(cfg.OutcomeTopic, func(w *kafka.Writer) { w.BatchSize, w.BatchTimeout = writeBatch, outcomeLinger })
	}
	return c
}

// log is a topic to read from.
func (c *connections) log(topic string) *recordlog.Log {
	return &recordlog.Log{Transport: c.transport, Addr: c.client.Addr, Topic: topic, Group: c.group, Bounds: c.bounds}
}

func (c *connections) close(log *slog.Logger) {
	for _, closeOne := range c.closers {
		if err := closeOne(); err != nil {
			log.Warn("writer not closed", slog.Any("error", err))
		}
	}
	c.transport.CloseIdleConnections()
	c.fresh.CloseIdleConnections()
}

// errCut is what a cutter's dials return once it has cut.
var errCut = errors.New("connections to the group have been cut")

// cutter dials for the group and can end all of its connections at once: kafka-go waits for the
// answer to a join for as long as the broker holds it, deaf to everything else.
type cutter struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]struct{}
	// dialing ends the dials under way, by number.
	dialing map[int]context.CancelFunc
	dials   int
}

// DialContext dials, and keeps an eye on the connection.
func (c *cutter) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, end, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	conn, err := c.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close()
		return nil, errCut
	}
	if c.open == nil {
		c.open = make(map[net.Conn]struct{})
	}
	cut := &cutConn{Conn: conn, cutter: c}
	c.open[cut] = struct{}{}
	return cut, nil
}

// begin returns the context of a dial, which a cut ends, and what to call at the end of the dial.
func (c *cutter) begin(ctx context.Context) (dialing context.Context, end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, errCut
	}
	dialing, cancel := context.WithCancel(ctx)
	if c.dialing == nil {
		c.dialing = make(map[int]context.CancelFunc)
	}
	c.dials++
	n := c.dials
	c.dialing[n] = cancel
	return dialing, func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.dialing, n)
	}, nil
}

func (c *cutter) isCut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// quietLog is for the errors of kafka-go's group: warnings, but for those that the cut makes.
func (c *cutter) quietLog(log *slog.Logger) kafka.LoggerFunc {
	warn, debug := kafkaLog(log, slog.LevelWarn), kafkaLog(log, slog.LevelDebug)
	return func(format string, args ...any) {
		if c.isCut() {
			debug(format, args...)
		} else {
			warn(format, args...)
		}
	}
}

// cut closes all connections, ends all dials, and lets no new connection be made.
func (c *cutter) cut() {
	c.mu.Lock()
	c.closed = true
	open := c.open
	c.open = nil
	for _, cancel := range c.dialing {
		cancel()
	}
	c.mu.Unlock()
	for conn := range open {
		_ = conn.Close()
	}
}

type cutConn struct {
	net.Conn
	cutter *cutter
}

func (c *cutConn) Close() error {
	c.cutter.mu.Lock()
	delete(c.cutter.open, c)
	c.cutter.mu.Unlock()
	return c.Conn.Close()
}

// kafkaLog turns kafka-go's printf lines into records of log at level.
func kafkaLog(log *slog.Logger, level slog.Level) kafka.LoggerFunc {
	return func(format string, args ...any) {
		ctx := context.Background()
		if log.Enabled(ctx, level) {
			log.LogAttrs(ctx, level, "kafka client", slog.String("detail", fmt.Sprintf(format, args...)))
		}
	}
}
