package consumer

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/produce"
)

// writeGate lets dead letters and outcomes be written for as long as nobody else can have this replica's partitions. After that, the next
// owner may end the same events in another way.
type writeGate struct {
	mu sync.Mutex
	// until is until when writes may leave.
	until time.Time
	// changed is closed and replaced when until changes after the gate was seen shut; refused says that it was.
	changed chan struct{}
	refused bool
}

func newWriteGate() *writeGate { return &writeGate{changed: make(chan struct{})} }

// allow lets writes leave until a time, and none after that; the zero time lets none leave.
func (g *writeGate) allow(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.until = until
	if g.refused { // the clock may have been set back since
		g.refused = false
		close(g.changed)
		g.changed = make(chan struct{})
	}
}

// ask says whether writes may leave now, until when they may, and, if none may, by which channel that changes.
func (g *writeGate) ask() (open bool, until time.Time, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	open = earlier(time.Now(), g.until)
	g.refused = g.refused || !open
	return open, g.until, g.changed
}

var errNotWritten = errors.New("not written: this replica may no longer be a member of the group")

// pass waits until writes may leave. It returns an error if ctx ends before.
func (g *writeGate) pass(ctx context.Context) error {
	for ctx.Err() == nil {
		open, _, changed := g.ask()
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	return errors.Join(errNotWritten, context.Cause(ctx))
}

// gatedWriter waits for a gate before it writes.
type gatedWriter struct {
	messageWriter

	gate *writeGate
}

// WriteMessages waits for the gate, until ctx ends, and writes. It returns when nothing of the messages leaves any more. A [kafka.Writer] that is
// not waited for goes on with them, so the transport alone ends its requests.
func (w gatedWriter) WriteMessages(ctx context.Context, messages ...kafka.Message) error {
	if err := w.gate.pass(ctx); err != nil {
		return err
	}
	return w.messageWriter.WriteMessages(context.WithoutCancel(ctx), messages...)
}

// lookupTimeout bounds a writer's question for a topic's partitions. Its transport answers that from memory, except at first.
const lookupTimeout = 10 * time.Second

// gatedTransport makes the requests of a [kafka.Writer], until work ends. It writes only while the gate is open.
type gatedTransport struct {
	kafka.RoundTripper

	gate *writeGate
	work context.Context //nolint:containedctx // a writer brings a context of its own
}

// RoundTrip makes a request, unless it is a write that may not leave.
func (t gatedTransport) RoundTrip(ctx context.Context, to net.Addr, req kafka.Request) (kafka.Response, error) {
	open, until := true, time.Now().Add(lookupTimeout)
	if _, writes := req.(*produce.Request); writes {
		open, until, _ = t.gate.ask()
	}
	if !open || t.work.Err() != nil {
		return nil, errNotWritten
	}
	ctx, cancel := context.WithDeadline(ctx, until) // it may wait for a connection
	defer cancel()
	defer context.AfterFunc(t.work, cancel)() //nolint:contextcheck // both end the request
	return t.RoundTripper.RoundTrip(ctx, to, req)
}
