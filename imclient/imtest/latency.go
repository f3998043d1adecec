package imtest

import (
	"math"
	"math/rand/v2"
	"time"
)

// Latency draws how long an answer takes. It is called once per call, by one goroutine at a time.
type Latency func(r *rand.Rand) time.Duration

// Fixed is always the same latency.
func Fixed(d time.Duration) Latency {
	return func(*rand.Rand) time.Duration { return d }
}

// Uniform is a latency from shortest to longest, with equal probability.
func Uniform(shortest, longest time.Duration) Latency {
	return func(r *rand.Rand) time.Duration {
		if longest <= shortest {
			return shortest
		}
		return shortest + time.Duration(r.Int64N(int64(longest-shortest)+1))
	}
}

// LogNormal resembles the latencies of real services: half of them are below the median, and there is a long tail. sigma is
// the spread: with 0.5 one in a hundred takes over three times the median, with 1 ten times. None is longer than longest.
func LogNormal(median time.Duration, sigma float64, longest time.Duration) Latency {
	return func(r *rand.Rand) time.Duration {
		drawn := float64(median) * math.Exp(sigma*r.NormFloat64())
		return time.Duration(min(drawn, float64(longest)))
	}
}
