package consumer

import (
	"context"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// connections are what a consumer talks to Kafka over.
type connections struct {
	transport *kafka.Transport
	client    *kafka.Client
	group     string
	bounds    recordlog.Bounds
	// gate is before all writers.
	gate *writeGate
}

// topicWriters write what a session makes of events. outcomes is nil if they are not recorded.
type topicWriters struct {
	deadLetters deadLetterWriters
	outcomes    messageWriter
	closers     []func() error
}

// outcomeLinger is how long an outcome waits for others of its partition, since each request costs the service and the broker far more
// than an outcome in it. It delays the end of the event, and no call.
const outcomeLinger = 20 * time.Millisecond

func connect(cfg Config) *connections {
	t := cfg.Cluster.Transport(cfg.topics()...)
	return &connections{
		transport: t, client: &kafka.Client{Addr: cfg.Cluster.Addr(), Transport: t}, group: cfg.Group,
		bounds: recordlog.Bounds{Batch: cfg.MaxBatchBytes, Record: cfg.MaxRecordBytes}, gate: newWriteGate(),
	}
}

// writers returns the writers of a session. Nothing of theirs leaves after work has ended. Each makes one attempt, which the writer's timeout
// ends. What a write takes at most is that of one request for each of the others that wait for the same partition's leader.
func (c *connections) writers(work context.Context, cfg *Config) *topicWriters {
	to := new(topicWriters)
	writer := func(topic string, edit func(*kafka.Writer)) messageWriter {
		w, closeAll := cfg.Cluster.Writer(topic)
		w.Transport = gatedTransport{w.Transport, c.gate, work}
		w.MaxAttempts, w.BatchSize = 1, writeBatch
		edit(w)
		to.closers = append(to.closers, closeAll)
		return gatedWriter{w, c.gate}
	}
	to.deadLetters = deadLetterWriters{
		many:       writer(cfg.DeadLetterTopic, func(*kafka.Writer) {}),
		alone:      writer(cfg.DeadLetterTopic, func(w *kafka.Writer) { w.BatchSize = 1 }),
		compressed: writer(cfg.DeadLetterTopic, func(w *kafka.Writer) { w.BatchSize, w.Compression = 1, kafka.Gzip }),
	}
	if cfg.OutcomeTopic != "" {
		to.outcomes = writer(cfg.OutcomeTopic, func(w *kafka.Writer) { w.BatchTimeout = outcomeLinger })
	}
	return to
}

func (to *topicWriters) close(log *slog.Logger) {
	for _, closeOne := range to.closers {
		if err := closeOne(); err != nil {
			log.Warn("writer not closed", slog.Any("error", err))
		}
	}
}

// log is a topic to read from.
func (c *connections) log(topic string) *recordlog.Log {
	return &recordlog.Log{Transport: c.transport, Addr: c.client.Addr, Topic: topic, Group: c.group, Bounds: c.bounds}
}

func (c *connections) close() {
	c.transport.CloseIdleConnections()
}
