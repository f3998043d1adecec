package testkit

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is a Redis in a synctest bubble, which may be lost or slow for everybody at once. Its keys expire by the
// bubble's clock.
type Redis struct {
	*miniredis.Miniredis

	mu    sync.Mutex
	dead  bool
	slow  time.Duration
	asked int
	conns map[net.Conn]struct{}
}

// NewRedis starts a Redis. Its Close ends it.
func NewRedis() *Redis {
	r := &Redis{Miniredis: miniredis.NewMiniRedis(), conns: make(map[net.Conn]struct{})}
	r.ClockTTL(true)
	return r
}

// Another is the same Redis by another way, which is lost and slow by itself.
func (r *Redis) Another() *Redis {
	return &Redis{Miniredis: r.Miniredis, conns: make(map[net.Conn]struct{})}
}

// DialContext opens a connection to it, whatever the address, unless it is dead.
func (r *Redis) DialContext(context.Context, string, string) (net.Conn, error) {
	return r.DialWhile(func() bool { return true })
}

// DialWhile opens a connection for a client. Nothing that the client asks arrives once it is no longer alive.
func (r *Redis) DialWhile(alive func() bool) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead || !alive() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	conn, err := r.Dial()
	if err != nil {
		return nil, err
	}
	conn = &redisConn{Conn: conn, r: r, alive: alive}
	r.conns[conn] = struct{}{}
	return conn, nil
}

// Die closes all connections and refuses new ones until Rise is called.
func (r *Redis) Die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	for conn := range r.conns {
		_ = conn.Close()
	}
	clear(r.conns)
}

// Rise lets connections be opened again. What the Redis holds is as before.
func (r *Redis) Rise() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = false
}

// SetSlow delays everything that is asked from now on. Beyond an hour it never arrives.
func (r *Redis) SetSlow(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = d
}

// TakeAsked is how many times something was written to the Redis, each time a round trip, since it was last asked.
func (r *Redis) TakeAsked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = 0
	return asked
}

// redisConn passes on what is asked after a while.
type redisConn struct {
	net.Conn
	r     *Redis
	alive func() bool
}

func (c *redisConn) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	slow := c.r.slow
	c.r.asked++
	c.r.mu.Unlock()
	if slow > time.Hour {
		return len(b), nil
	}
	time.Sleep(slow)
	if !c.alive() {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return c.Conn.Write(b)
}
