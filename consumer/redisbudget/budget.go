package redisbudget

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// window is the time over which a quota is counted: a second, and 10 ms for calls that take up to 10 ms longer than
	// others to arrive.
	window = 1010 * time.Millisecond
	// horizon is how far ahead departures are handed out. If a process dies with some of them, they are lost to the others
	// for at most so long.
	horizon = time.Second
	// expiry is how long the key outlives its last use. Nothing is handed out for one window after the key is gone, so it
	// stays for longer than a night.
	expiry = 24 * time.Hour
)

//go:embed reserve.lua
var reserveText string

// Budget is a budget of calls in Redis. It is safe for concurrent use.
type Budget struct {
	client   *redis.Client
	script   *redis.Script
	key      string
	distance time.Duration
	// base is where this process's monotonic time begins, for clock.
	base  time.Time
	mu    sync.Mutex
	clock clock
}

// New checks the configuration and returns the budget, or a *[ConfigError]. It does not connect yet.
func New(cfg Config) (*Budget, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	return &Budget{
		client: redis.NewClient(options), script: redis.NewScript(reserveText), key: cfg.Key,
		distance: distanceOf(cfg.CallsPerSecond), base: time.Now(),
	}, nil
}

// distanceOf is the time between two departures, in whole microseconds, never too short.
func distanceOf(callsPerSecond int) time.Duration {
	n := int64(callsPerSecond)
	return micro((window.Microseconds() + n - 1) / n)
}

// Reserve takes the next departures, at most n, and returns each as the time from now until then. No other process gets
// these, so an unused departure is wasted. If none is free within the next second, it returns none, and again is how long
// to wait before asking anew. With n of 0 it only makes sure that Redis answers. Reserve takes one round trip, or two where
// Redis does not know the script yet, and honours ctx. An error wraps that of the Redis client.
func (b *Budget) Reserve(ctx context.Context, n int) (departures []time.Duration, again time.Duration, err error) {
	sent := time.Since(b.base)
	reply, err := b.script.Run(ctx, b.client, []string{b.key},
		n, b.distance.Microseconds(), window.Microseconds(), horizon.Microseconds(), expiry.Milliseconds()).Int64Slice()
	received := time.Since(b.base)
	if err != nil {
		return nil, 0, fmt.Errorf("reserve %d calls in redis: %w", n, err)
	}
	if len(reply) != 3 {
		return nil, 0, fmt.Errorf("reserve %d calls in redis: %w", n, errReply)
	}
	now, first, granted := micro(reply[0]), micro(reply[1]), int(reply[2])
	b.mu.Lock()
	b.clock.observe(sent, received, now)
	until := b.clock.local(first) - received
	b.mu.Unlock()
	if granted == 0 {
		return nil, max(until-horizon, 0) + b.distance, nil
	}
	departures = make([]time.Duration, granted)
	for i := range departures {
		departures[i] = until + time.Duration(i)*b.distance
	}
	return departures, 0, nil
}

var errReply = errors.New("the script's answer is not its own")

func micro(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Close closes the connections.
func (b *Budget) Close() error { return b.client.Close() }
