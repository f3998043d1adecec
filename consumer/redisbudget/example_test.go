package redisbudget_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"convdel/consumer/redisbudget"
)

// Two replicas share a budget of 200 calls a second. Each gets departures that the other does not get. They are 5.05 ms apart, so that
// no second holds more than 200 calls, even if one call takes 10 ms longer to the API than another.
func ExampleBudget_Reserve() {
	redis, err := miniredis.Run()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer redis.Close()
	key := redisbudget.KeyOf(1400000001)
	// If Redis does not have the key, nothing is handed out for a second. This key has been used before.
	if err := redis.Set(key, "1"); err != nil {
		fmt.Println(err)
		return
	}
	for _, replica := range []string{"first", "second"} {
		budget, err := redisbudget.New(redisbudget.Config{
			URL: func() (string, error) { return "redis://" + redis.Addr(), nil },
			Key: key, CallsPerSecond: 200,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		departures, _, err := budget.Reserve(context.Background(), 3)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(replica, len(departures), "calls,", departures[1]-departures[0], "apart")
		if err := budget.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// first 3 calls, 5.05ms apart
	// second 3 calls, 5.05ms apart
}
