package sim

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// redisServer is a Redis in the bubble, which may be lost or slow for everybody at once.
type redisServer struct {
	*miniredis.Miniredis

	mu    sync.Mutex
	dead  bool
	slow  time.Duration
	conns map[net.Conn]bool
}

func startRedis() *redisServer {
	r := &redisServer{Miniredis: miniredis.NewMiniRedis(), conns: map[net.Conn]bool{}}
	r.ClockTTL(true)
	r.RequireAuth(redisGuard)
	return r
}

func (r *redisServer) dial(p *party) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead || p.isDead() {
		return nil, errors.New("dial redis: connection refused")
	}
	conn, err := r.Dial()
	if err != nil {
		return nil, err
	}
	conn = &redisConn{Conn: conn, r: r, p: p}
	r.conns[conn] = true
	return conn, nil
}

// die cuts all connections and refuses new ones; rise ends that.
func (r *redisServer) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = true
	for c := range r.conns {
		_ = c.Close()
	}
	clear(r.conns)
}

func (r *redisServer) rise() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dead = false
}

func (r *redisServer) setSlow(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.slow = d
}

// redisConn passes on what is asked after a while, and nothing of who is dead.
type redisConn struct {
	net.Conn
	r *redisServer
	p *party
}

func (c *redisConn) Write(b []byte) (int, error) {
	c.r.mu.Lock()
	slow := c.r.slow
	c.r.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	if c.p.isDead() {
		return 0, errors.New("write to redis: broken pipe")
	}
	return c.Conn.Write(b)
}
