package redisbudget

import "time"

// drift is how fast two clocks may drift apart, as a part of the time that passes. It is more than quartz and a clock that
// is being slewed reach.
const drift = 1.0 / 1000

// clock translates Redis's time into ours. Each exchange bounds the difference, since Redis has answered after we asked and
// before the answer came. The bounds of all exchanges hold together. So a slow answer makes the estimate no worse, and
// departures stay even on an uneven network.
type clock struct {
	// low and high bound our time minus Redis's time, as of our time at. known says that there are bounds.
	low, high, at time.Duration
	known         bool
}

// observe learns from an exchange. sent and received are our times, redis is the time that Redis's clock showed between
// them. It returns false if one of the clocks was set since the last exchange: the estimate begins anew then.
func (c *clock) observe(sent, received, redis time.Duration) (steady bool) {
	low, high := sent-redis, received-redis
	steady = true
	if c.known {
		widen := time.Duration(float64(received-c.at) * drift)
		oldLow, oldHigh := c.low-widen, c.high+widen
		if steady = low <= oldHigh && oldLow <= high; steady {
			low, high = max(low, oldLow), min(high, oldHigh)
		}
	}
	*c = clock{low: low, high: high, at: received, known: true}
	return steady
}

// local returns when, by our clock, Redis's clock shows a time.
func (c *clock) local(redis time.Duration) time.Duration {
	return redis + c.low + (c.high-c.low)/2
}
