package sim

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	kafkaPort = 9092 // the first broker's port
	apiPort   = 8000 // the first replica's port of the API
)

// network connects all parties. A connection to a broker goes through a [wire], which sees every request and answer and may
// delay, drop or cut them.
type network struct {
	kfake.VirtualNetwork

	mu sync.Mutex
	// lag draws how long a frame of a replica is on its way.
	lag func() time.Duration
	// refused are the ports that refuse all connections.
	refused map[int]bool
	apiDown bool
	rules   map[*rule]bool
	// triggers wait for frames of replicas.
	triggers []*trigger
	wires    map[*wire]bool
}

// rule is a fault that affects frames of replicas.
type rule struct {
	up    bool   // true for requests, false for answers
	key   int16  // the key of the request in the Kafka protocol
	topic string // the topic of a Produce request; empty for any
	delay time.Duration
	cut   bool
	// matches selects parties; nil selects all.
	matches func(*party) bool
}

// trigger does something as soon as a frame of a replica is on its way, and before it arrives.
type trigger struct {
	up   bool
	key  int16
	left int // how many times still
	do   func()
}

func (n *network) add(t *trigger) { n.set(func() { n.triggers = append(n.triggers, t) }) }

// pull does what waits for such a frame.
func (n *network) pull(key int16, up bool) {
	n.mu.Lock()
	var due []*trigger
	for _, t := range n.triggers {
		if t.left > 0 && t.up == up && t.key == key {
			t.left--
			due = append(due, t)
		}
	}
	n.mu.Unlock()
	for _, t := range due {
		t.do()
	}
}

func newNetwork() *network {
	return &network{refused: map[int]bool{}, rules: map[*rule]bool{}, wires: map[*wire]bool{}}
}

// party is a client on the network.
type party struct {
	n    *network
	name string
	tap  *tap // nil if nothing is recorded
	// dead is cut off for good. away is cut off from Kafka only. mute sends, but nothing arrives.
	dead, away, mute bool
}

func (n *network) party(name string, tap *tap) *party { return &party{n: n, name: name, tap: tap} }

// dial connects to a broker or to the API.
func (p *party) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	p.n.mu.Lock()
	toKafka := port >= kafkaPort
	refused := p.dead || toKafka && (p.away || p.n.refused[port]) || !toKafka && p.n.apiDown
	mute := toKafka && p.mute
	p.n.mu.Unlock()
	if refused {
		return nil, &net.OpError{Op: "dial", Net: kind, Err: syscall.ECONNREFUSED}
	}
	if mute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	far, err := p.n.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	client, near := net.Pipe()
	w := &wire{p: p, port: port, near: near, far: far, read: readChunk}
	if toKafka {
		w.read, w.asked = readFrame, map[int32]request{}
	}
	p.n.mu.Lock()
	p.n.wires[w] = true
	p.n.mu.Unlock()
	w.pumps.Go(func() { w.pump(near, far, true) })
	w.pumps.Go(func() { w.pump(far, near, false) })
	go func() {
		w.pumps.Wait()
		p.n.mu.Lock()
		defer p.n.mu.Unlock()
		delete(p.n.wires, w)
	}()
	return client, nil
}

// wire is one connection, with the client's end near and the server's far.
type wire struct {
	p         *party
	port      int
	near, far net.Conn
	read      func(io.Reader) ([]byte, error)
	pumps     sync.WaitGroup

	mu    sync.Mutex
	asked map[int32]request // requests without an answer yet, by correlation id
	gone  bool              // frames on their way are lost
	// synced says that a member has joined its group over the connection, beats that the member sends heartbeats.
	// kafka-go's goroutines then wait for each other with a mutex, and virtual time stands still meanwhile. So nothing is
	// delayed there, and a second unanswered request ends the connection.
	synced, beats bool
}

// request is the part of a request that a wire keeps until its answer comes.
type request struct {
	key, version int16
	written      map[place][]string // IDs of the dead letters or outcomes in a Produce request
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// writesTo returns true for a Produce request with records of a topic.
func (r *request) writesTo(topic string) bool {
	for at := range r.written {
		if at.topic == topic {
			return true
		}
	}
	return false
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, 4+binary.BigEndian.Uint32(size[:]))
	copy(frame, size[:])
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

func readChunk(r io.Reader) ([]byte, error) {
	chunk := make([]byte, 4<<10)
	n, err := r.Read(chunk)
	return chunk[:n], err
}

// pump carries frames in one direction. As in TCP, frames written before a client closed or died arrive all the same.
func (w *wire) pump(from, to net.Conn, up bool) {
	defer func() { _ = to.Close() }()
	for {
		frame, err := w.read(from)
		if err != nil {
			return
		}
		r, jammed := w.see(frame, up)
		if w.p.tap != nil {
			w.p.n.pull(r.key, up)
		}
		delay, cut, drop := w.fate(&r, up)
		if delay > 0 {
			time.Sleep(delay)
		}
		if cut || jammed || w.isGone() {
			w.cut(false)
			return
		}
		if drop {
			continue
		}
		if !up && w.p.tap != nil {
			w.p.tap.answered(w.p, r, frame)
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

// see notes a request, or finds the request of an answer.
func (w *wire) see(frame []byte, up bool) (r request, jammed bool) {
	if w.asked == nil || len(frame) < 12 {
		return request{key: -1}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !up {
		id := int32(binary.BigEndian.Uint32(frame[4:]))
		r, ok := w.asked[id]
		if !ok {
			r.key = -1
		}
		delete(w.asked, id)
		return r, false
	}
	r = request{key: int16(binary.BigEndian.Uint16(frame[4:])), version: int16(binary.BigEndian.Uint16(frame[6:]))}
	if w.p.tap != nil {
		w.p.tap.asked(w.p, &r, frame)
	}
	w.beats = w.beats || w.synced
	w.synced = w.synced || r.key == int16(kmsg.SyncGroup) && r.version == 0 // kafka-go's ConsumerGroup has version 0 alone
	jammed = w.beats && len(w.asked) > 0 && w.p.isMute()
	w.asked[int32(binary.BigEndian.Uint32(frame[8:]))] = r
	return r, jammed
}

func (w *wire) isBeating() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beats
}

// fate decides what happens to a frame.
func (w *wire) fate(of *request, up bool) (delay time.Duration, cut, drop bool) {
	beats := w.isBeating()
	n := w.p.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if beats || w.p.tap == nil {
		return 0, false, w.p.mute
	}
	delay = n.lag()
	if w.asked == nil {
		return min(delay, 4*time.Millisecond), false, false // the limiter's margin covers the network to the API only
	}
	for r := range n.rules {
		if r.up == up && r.key == of.key && (r.topic == "" || of.writesTo(r.topic)) && (r.matches == nil || r.matches(w.p)) {
			delay, cut = max(delay, r.delay), cut || r.cut
		}
	}
	return delay, cut, w.p.mute
}

func (w *wire) isGone() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// cut ends the connection. arrives says whether frames on their way still arrive.
func (w *wire) cut(arrives bool) {
	w.mu.Lock()
	w.gone = w.gone || !arrives
	w.mu.Unlock()
	_ = w.near.Close()
	if !arrives {
		_ = w.far.Close()
	}
}

// cutAll ends the connections that match.
func (n *network) cutAll(arrives bool, match func(p *party, port int) bool) {
	n.mu.Lock()
	var all []*wire
	for w := range n.wires {
		if match(w.p, w.port) {
			all = append(all, w)
		}
	}
	n.mu.Unlock()
	for _, w := range all {
		w.cut(arrives)
	}
}

func (n *network) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

// sever cuts a party off for good, as kill -9 does.
func (p *party) sever() {
	p.n.set(func() { p.dead = true })
	p.n.cutAll(true, func(other *party, _ int) bool { return other == p })
}

func (p *party) isDead() bool {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	return p.dead
}

func (p *party) isMute() bool {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	return p.mute
}

// open returns the ports that a party is connected to.
func (p *party) open() []int {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	var ports []int
	for w := range p.n.wires {
		if w.p == p {
			ports = append(ports, w.port)
		}
	}
	return ports
}

func toKafka(port int) bool { return port >= kafkaPort }
