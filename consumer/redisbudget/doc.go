// Package redisbudget is one budget of calls for all who share a key in Redis, whatever their clocks.
// It hands out departures at strictly even distances, so that no second holds more than the quota,
// and serves package consumer as its Budget:
//
//	budget, err := redisbudget.New(redisbudget.Config{
//		URL: func() (string, error) { return "redis://127.0.0.1:6379", nil },
//		Key: redisbudget.KeyOf(1400000001), CallsPerSecond: 200,
//	})
//	if err != nil {
//		return err
//	}
//	defer budget.Close()
//	departures, again, err := budget.Reserve(ctx, 5)
//
// All that Redis holds is the time of the next free departure, under the key, by its own clock. A
// Redis that has lost it hands out nothing for one window: what was handed out before still counts.
//
// What it does not: it neither waits nor retries nor falls back, and it knows nothing of calls. It
// needs one Redis (5.0 or later, or what speaks its protocol), not a cluster's or a sentinel's client:
// a budget is one key.
package redisbudget
