package sim

import (
	"net"

	"convdel/internal/testkit"
)

// startRedis starts a Redis in the bubble that asks for a password.
func startRedis() *testkit.Redis {
	r := testkit.NewRedis()
	r.RequireAuth(redisGuard)
	return r
}

// dialRedis connects a party to the Redis, as long as the party is alive.
func (p *party) dialRedis(r *testkit.Redis) (net.Conn, error) {
	return r.DialWhile(func() bool { return !p.isDead() })
}
