package redisbudget

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Inspection is what a Redis says of itself.
type Inspection struct {
	// Took is how long it took for an answer, on a connection that was there.
	Took time.Duration
	// Ahead is how far this machine's clock is ahead of Redis's (negative: behind).
	Ahead time.Duration
	// Version is Redis's version; Role is master or slave; Eviction is its maxmemory-policy. Each is empty if Redis does not say so.
	Version, Role, Eviction string
	// Bounded says that Redis has a maxmemory, so that it evicts keys, or refuses writes.
	Bounded bool
	// Cluster says that Redis is a node of a cluster.
	Cluster bool
	// Foreign says that the key holds something else than a budget.
	Foreign bool
	// LeastTook is the slowest answer with which the budget still works.
	LeastTook time.Duration
}

// probeText reads the budget's key as the budget's own script does, and writes nothing.
const probeText = `return {redis.call('TIME'), redis.call('GET', KEYS[1])}`

// Inspect connects to a budget's Redis, logs in, and runs a script as the budget does. It writes nothing, so it can't tell whether writes
// are allowed. Errors wrap the Redis client's, without the password, or are a *[ConfigError].
func Inspect(ctx context.Context, cfg Config) (*Inspection, error) {
	b, err := New(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }() // nothing was written
	client := b.client.Load()
	found := &Inspection{LeastTook: slowest}
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, fmt.Errorf("reach redis: %w", b.scrub(err))
	}
	sent := time.Now()
	reply, err := client.Eval(ctx, probeText, []string{b.key}).Result()
	found.Took = time.Since(sent)
	if err != nil && strings.Contains(err.Error(), "WRONGTYPE") {
		found.Foreign, err = true, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run a script in redis: %w", b.scrub(err))
	}
	if !found.Foreign {
		if err := found.read(reply, sent); err != nil {
			return nil, err
		}
	}
	// A user may lack the right to INFO, which the budget does not need. All sections together are longer than a reply may be.
	for _, section := range []string{"server", "memory", "replication"} {
		if info, err := client.Info(ctx, section).Result(); err == nil {
			found.info(info)
		}
	}
	return found, ctx.Err()
}

var errProbe = errors.New("redis: the answer is not the script's own")

// read reads the answer of the script.
func (f *Inspection) read(reply any, sent time.Time) error {
	list, ok := reply.([]any)
	if !ok || len(list) == 0 { // a missing key ends the list
		return errProbe
	}
	clock, ok := list[0].([]any)
	if !ok || len(clock) != 2 {
		return errProbe
	}
	var parts [2]int64
	for i, element := range clock {
		text, _ := element.(string)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errProbe
		}
		parts[i] = n
	}
	f.Ahead = sent.Add(f.Took / 2).Round(0).Sub(time.Unix(parts[0], parts[1]*int64(time.Microsecond)))
	if len(list) > 1 && list[1] != nil {
		text, _ := list[1].(string)
		_, err := strconv.ParseInt(text, 10, 64)
		f.Foreign = err != nil
	}
	return nil
}

// info reads the lines of INFO.
func (f *Inspection) info(text string) {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			f.Version = value
		case "role":
			f.Role = value
		case "maxmemory_policy":
			f.Eviction = value
		case "maxmemory":
			f.Bounded = value != "0"
		case "redis_mode":
			f.Cluster = value == "cluster"
		}
	}
}
