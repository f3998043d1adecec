package redisbudget

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
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
	options  *redis.Options
	client   atomic.Pointer[redis.Client]
	script   *redis.Script
	key      string
	distance time.Duration
	// questions numbers the questions, so that an answer to another one is noticed.
	questions atomic.Int64
	// base is where this process's monotonic time begins, for clock.
	base     time.Time
	mu       sync.Mutex
	clock    clock
	handed   handed
	password string // the one that was last sent
	closed   bool
}

// New checks the configuration and returns the budget, or a *[ConfigError]. It does not connect yet.
func New(cfg Config) (*Budget, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	b := &Budget{
		options: options, script: redis.NewScript(reserveText), key: cfg.Key,
		distance: distanceOf(cfg.CallsPerSecond), base: time.Now(),
	}
	ask := options.CredentialsProviderContext
	options.CredentialsProviderContext = func(ctx context.Context) (user, password string, err error) {
		user, password, err = ask(ctx)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.password = password
		return user, password, err
	}
	b.client.Store(redis.NewClient(options))
	return b, nil
}

// distanceOf is the time between two departures, in whole microseconds, never too short.
func distanceOf(callsPerSecond int) time.Duration {
	n := int64(callsPerSecond)
	return micro((window.Microseconds() + n - 1) / n)
}

// Reserve takes the next departures, at most n, and returns each as the time from now until then. No other process gets
// these, so an unused departure is wasted. If none is free within the next second, it returns none, and again is how long
// to wait before asking anew. With n of 0 it only makes sure that Redis answers. Reserve takes one round trip, or two where
// Redis does not know the script yet, and honours ctx. An error wraps that of the Redis client, or is a *[ReplyError]: the
// answer is none that the script gives, or contradicts an earlier one. Departures that come with such an answer are not used.
func (b *Budget) Reserve(ctx context.Context, n int) (departures []time.Duration, again time.Duration, err error) {
	client, question, sent := b.client.Load(), b.questions.Add(1), time.Since(b.base)
	reply, err := b.script.Run(ctx, client, []string{b.key}, n, b.distance.Microseconds(), window.Microseconds(),
		horizon.Microseconds(), expiry.Milliseconds(), question).Result()
	received := time.Since(b.base)
	var a answer
	if err == nil {
		if a, err = readAnswer(reply, question, n, b.distance); err != nil {
			b.renew(client)
		}
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reserve %d calls in redis: %w", n, b.scrub(err))
	}
	until, err := b.learn(sent, received, a)
	if err != nil {
		return nil, 0, fmt.Errorf("reserve %d calls in redis: %w", n, err)
	}
	if a.granted == 0 {
		return nil, max(until-horizon, 0) + b.distance, nil
	}
	departures = make([]time.Duration, a.granted)
	for i := range departures {
		departures[i] = until + time.Duration(i)*b.distance
	}
	return departures, 0, nil
}

// learn returns how long after received the answer's first departure is.
func (b *Budget) learn(sent, received time.Duration, a answer) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if steady := b.clock.observe(sent, received, a.now); !steady {
		b.handed = handed{}
		return 0, &ReplyError{"its clock has jumped"}
	}
	if err := b.handed.follow(a, b.distance); err != nil {
		return 0, err
	}
	return b.clock.local(a.first) - received, nil
}

// renew replaces the client after an answer that may belong to another question. The answers that follow on its connections
// would be one question late as well.
func (b *Budget) renew(old *redis.Client) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.client.Load() != old {
		return
	}
	b.client.Store(redis.NewClient(b.options))
	_ = old.Close()
}

// scrub keeps the password out of an error.
func (b *Budget) scrub(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if text, repeats := withoutPassword(err.Error(), b.password); repeats {
		return &ReplyError{text}
	}
	return err
}

// leastPiece is the shortest piece of a password that counts as a part of it, in bytes. Shorter ones occur by chance.
const leastPiece = 6

// withoutPassword cuts a text off where it begins to repeat the password. A server that does not know a command repeats its arguments,
// the first 128 bytes of them, and a client quotes an answer that it can't read. So the text may have a part of the password, or have it
// escaped.
func withoutPassword(text, password string) (shown string, repeats bool) {
	first, n := len(text), min(leastPiece, len(password))
	for i := 0; n > 0 && i+n <= len(password); i++ {
		if at := strings.Index(text, password[i:i+n]); at >= 0 {
			first = min(first, at)
		}
	}
	if first == len(text) {
		return text, false
	}
	return strings.ToValidUTF8(text[:first], "") + "…", true
}

// Close closes the connections.
func (b *Budget) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.client.Load().Close()
}
