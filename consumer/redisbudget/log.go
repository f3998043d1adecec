package redisbudget

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// LogTo has say called with each line that the Redis client would print to standard error. It is for the whole process, and not safe while
// a [Budget] is in use: call it first.
func LogTo(say func(text string)) { redis.SetLogger(redisLog(say)) }

// redisLog is a logger in go-redis's form.
type redisLog func(text string)

// Printf formats a line.
func (say redisLog) Printf(_ context.Context, format string, args ...any) {
	say(fmt.Sprintf(format, args...))
}
