package testkit

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is a Redis in a synctest bubble, which can be lost or slow for all of its clients at once. Its keys expire by the
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

// Another returns another way to the same Redis. It can be lost and slow on its own.
func (r *Redis) Another() *Redis {
	return &Redis{Miniredis: r.Miniredis, conns: make(map[net.Conn]struct{})}
}

// DialContext opens a connection to it, whatever the address, unless the Redis is dead.
func (r *Redis) DialContext(context.Context, string, string) (net.Conn, error) {
	return r.DialWhile(func() bool { return true })
}

// DialWhile opens a connection for a client. Requests do not arrive once the client is not alive.
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

// Rise lets connections be opened again. The Redis has kept its data.
func (r *Redis) Rise() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = false
}

// SetSlow delays every request from now on. A request that is delayed by more than an hour never arrives.
func (r *Redis) SetSlow(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = d
}

// TakeAsked returns how many round trips began since it was last called, counted by writes to the Redis.
func (r *Redis) TakeAsked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = 0
	return asked
}

// redisConn delays requests.
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
