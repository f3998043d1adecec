// Package redisbudget is one budget of calls for all processes that share a key in Redis, whatever their clocks say. It
// hands out departures at even distances, so that no second holds more than the quota, and serves package consumer as its
// Budget:
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
// All that Redis holds is the time of the next free departure, under the key, by its own clock. A Redis that has lost it
// hands out nothing for one window, since departures that it has handed out before still count.
//
// What Redis says is judged: the size of an answer before the client sees it, then its shape, its question, its times and numbers, and
// whether it fits the answers before. An answer that fails is a [ReplyError], and none of its departures is used.
//
// A Budget neither waits nor retries nor falls back, and it knows nothing of calls. It needs a single Redis, 5.0 or later,
// or a server that speaks its protocol. It is no client for a Redis cluster or a sentinel, since a budget is one key.
package redisbudget
