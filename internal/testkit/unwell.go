package testkit

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Ailment is a way in which a broker is of no use.
type Ailment string

// These are the ailments. All but Frozen concern new connections only.
const (
	Frozen     Ailment = "frozen: accepts connections and says nothing"
	Hello      Ailment = "answers the first request and nothing else"
	Trickling  Ailment = "answers a byte a second"
	Closing    Ailment = "closes connections at once"
	Refusing   Ailment = "refuses connections"
	Nameless   Ailment = "has a name that does not resolve"
	Blackholed Ailment = "does not answer packets"
)

// Ailments returns all of them.
func Ailments() []Ailment {
	return []Ailment{Frozen, Hello, Trickling, Closing, Refusing, Nameless, Blackholed}
}

// Ward is a network with brokers that are unwell. It may be used by several goroutines.
type Ward struct {
	dial Dial

	mu     sync.Mutex
	unwell map[string]Ailment
	open   []net.Conn
}

// NewWard returns a network that opens its connections by dial.
func NewWard(dial Dial) *Ward { return &Ward{dial: dial, unwell: make(map[string]Ailment)} }

// Make gives the broker at an address an ailment; an empty one heals it.
func (w *Ward) Make(address string, a Ailment) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unwell[address] = a
}

func (w *Ward) of(address string) Ailment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unwell[address]
}

// Close closes all connections, also those to frozen brokers, which hide that.
func (w *Ward) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		_ = c.Close()
	}
}

// DialContext opens a connection.
func (w *Ward) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch ailment := w.of(address); ailment {
	case Refusing:
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	case Nameless:
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	case Blackholed:
		<-ctx.Done()
		return nil, ctx.Err()
	case Closing, Hello, Trickling, Frozen:
		near, far := net.Pipe()
		go ailment.serve(far)
		return near, nil
	}
	far, err := w.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	near, client := net.Pipe()
	w.mu.Lock()
	w.open = append(w.open, near, client)
	w.mu.Unlock()
	go w.pump(address, far, near)
	go w.pump(address, near, far)
	return client, nil
}

// pump copies bytes for as long as the broker is not frozen. Then it drops them, and hides that the broker's end is closed.
func (w *Ward) pump(address string, to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		frozen := w.of(address) == Frozen
		if err != nil && frozen {
			return // the client closes its end itself
		}
		if err != nil {
			_ = to.Close()
			return
		}
		if !frozen {
			_, err = to.Write(b[:n])
		}
		if err != nil {
			_ = from.Close()
			return
		}
	}
}

// serve is a broker with the ailment.
func (a Ailment) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	switch a {
	case Closing, Refusing, Nameless, Blackholed:
	case Hello:
		if err := hello(conn); err == nil {
			_, _ = io.Copy(io.Discard, conn)
		}
	case Trickling:
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			_, _ = io.Copy(io.Discard, conn)
		}()
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for _, b := range append([]byte{0, 1, 0, 0}, make([]byte, 1<<16)...) { // the answer's size, and the answer
			if _, err := conn.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-tick.C:
			case <-gone:
				return
			}
		}
	case Frozen:
		_, _ = io.Copy(io.Discard, conn)
	}
}

// hello answers one request for the versions.
func hello(conn net.Conn) error {
	head := make([]byte, 12) // size, key, version, number
	if _, err := io.ReadFull(conn, head); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(head))-8); err != nil {
		return err
	}
	res := kmsg.NewPtrApiVersionsResponse()
	for _, key := range []kmsg.Key{kmsg.Metadata, kmsg.ApiVersions, kmsg.FindCoordinator, kmsg.SASLHandshake} {
		res.ApiKeys = append(res.ApiKeys, kmsg.ApiVersionsResponseApiKey{ApiKey: int16(key), MaxVersion: 1})
	}
	body := res.AppendTo(head[8:12:12])
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)) //nolint:gosec // it is short
	return err
}
