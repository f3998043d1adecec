//go:build kafka && soak

package e2e

import (
	"context"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// redisProcess is the Redis of a soak with quota=redis. It is a process of its own, so that it can be killed and frozen.
type redisProcess struct {
	tb   testing.TB
	addr string
	cmd  *exec.Cmd
}

func newRedisProcess(tb testing.TB) *redisProcess {
	tb.Helper()
	r := &redisProcess{tb: tb, addr: freeAddr(tb)}
	r.start()
	tb.Cleanup(r.kill)
	return r
}

// start returns when it accepts connections.
func (r *redisProcess) start() {
	r.tb.Helper()
	host, port, err := net.SplitHostPort(r.addr)
	if err != nil {
		r.tb.Fatal(err)
	}
	// The process outlives the test's context, until kill.
	r.cmd = exec.CommandContext(context.WithoutCancel(r.tb.Context()), "redis-server", "--bind", host, "--port", port,
		"--save", "", "--appendonly", "no", "--dir", r.tb.TempDir())
	if err := r.cmd.Start(); err != nil {
		r.tb.Fatalf("a soak with quota=redis needs redis-server: %v", err)
	}
	await(r.tb, 10*time.Second, "Redis listens", func() bool {
		c, err := (&net.Dialer{}).DialContext(r.tb.Context(), "tcp", r.addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// kill ends it with SIGKILL. It keeps no data.
func (r *redisProcess) kill() {
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait() // the error says that it was killed
}

func (r *redisProcess) signal(sig syscall.Signal) {
	r.tb.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.tb.Fatal(err)
	}
}

func (s *soak) loseRedis() (string, time.Duration, func()) {
	s.redis.kill()
	return "kill -9 of Redis, which comes back empty", s.seconds(1, 25), s.redis.start
}

func (s *soak) freezeRedis() (string, time.Duration, func()) {
	s.redis.signal(syscall.SIGSTOP)
	return "Redis stands still", s.seconds(1, 25), func() { s.redis.signal(syscall.SIGCONT) }
}
