package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"convdel/imclient/imtest"
)

// redisURL returns the URL of the Redis under test: the one at TEST_REDIS (host:port), or an embedded one that asks
// for a password.
func redisURL(tb testing.TB) string {
	tb.Helper()
	if address := os.Getenv("TEST_REDIS"); address != "" {
		return "redis://" + address
	}
	embedded := miniredis.RunT(tb)
	embedded.RequireAuth(password)
	return "redis://:" + password + "@" + embedded.Addr()
}

// TestEndToEnd_QuotaInRedis: one replica has the whole backlog, and so makes all calls. Another service with the same key
// shares the quota with it, although each could use it up alone.
func TestEndToEnd_QuotaInRedis(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, imtest.Config{Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)})
	s.env = append(s.env, "CONVDEL_REDIS_URL="+redisURL(t))
	s.fill(600, 4, true)
	flags := []string{"--quota", "redis", "--redis-key", s.topic, "--log-level", "debug"}
	first, second := s.service(flags...), s.service(flags...)
	group := s.group
	s.group += "-other"
	other := s.service(flags...)
	s.await(time.Minute, "every offset committed by the other service", s.drained)
	s.group = group
	s.await(time.Minute, "every offset committed", s.drained)
	for _, p := range []*process{first, second, other} {
		p.stop()
	}
	if n := s.sim.Stats().Calls; n != 1200 {
		t.Errorf("%d calls, want 1200", n)
	}
	s.wantQuota()
}
