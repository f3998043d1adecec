package consumer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// writeGate lets dead letters and outcomes be written for as long as nobody else can have this replica's partitions. After that, the next
// owner may end the same events in another way.
type writeGate struct {
	mu sync.Mutex
	// until is until when writes may leave.
	until time.Time
	// changed is closed and replaced when until changes while the gate is shut.
	changed chan struct{}
}

func newWriteGate() *writeGate { return &writeGate{changed: make(chan struct{})} }

// allow lets writes leave until a time, and none after that; the zero time lets none leave.
func (g *writeGate) allow(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shut := !earlier(time.Now(), g.until)
	g.until = until
	if shut {
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

func (g *writeGate) open() (open bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return earlier(time.Now(), g.until), g.changed
}

var errNotWritten = errors.New("not written: this replica may no longer be a member of the group")

// pass waits until writes may leave. It returns an error if ctx ends before.
func (g *writeGate) pass(ctx context.Context) error {
	for {
		open, changed := g.open()
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(errNotWritten, context.Cause(ctx))
		}
	}
}

// gatedWriter writes what a gate lets pass.
type gatedWriter struct {
	messageWriter

	gate *writeGate
}

// WriteMessages waits for the gate and writes.
func (w gatedWriter) WriteMessages(ctx context.Context, messages ...kafka.Message) error {
	if err := w.gate.pass(ctx); err != nil {
		return err
	}
	return w.messageWriter.WriteMessages(ctx, messages...)
}
