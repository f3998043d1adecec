package consumer

import (
	"context"
	"log/slog"
	"time"

	"convdel/consumer/internal/recordlog"
)

// shareQuota gives the limiter this replica's part of the quota for a generation. For the first
// window nothing is called: what other replicas called just before they lost their partitions
// to this one still counts at the API. A budget needs no such pause, and has the share in reserve.
func (c *Consumer) shareQuota(generation, stop context.Context, source *recordlog.Log, owned []int) error {
	if !c.cfg.ShareByPartitions {
		c.limiter.setQuota(float64(c.cfg.CallsPerSecond))
		return nil
	}
	for {
		total, err := source.Partitions(generation)
		if err == nil && total > c.cfg.CallsPerSecond && c.cfg.CallsPerSecond > 0 {
			c.log.LogAttrs(generation, slog.LevelWarn, "more partitions than calls a second: with several replicas a second may see more calls than the quota",
				slog.Int("partitions", total), slog.Int("calls_per_second", c.cfg.CallsPerSecond))
		}
		if err == nil {
			c.limiter.setQuota(share(c.cfg.CallsPerSecond, owned, total))
			return nil
		}
		c.log.LogAttrs(generation, slog.LevelWarn, "number of partitions not known, will retry",
			slog.String("topic", c.cfg.Topic), slog.Any("error", err))
		if err := pause(generation, time.Second); err != nil {
			return err
		}
		if err := stop.Err(); err != nil {
			return err
		}
	}
}

// share splits a quota over a topic's partitions and returns what the owned ones have. The parts are
// whole calls that add up to exactly the quota. Where there are more partitions than calls they are
// fractions, which add up too, but of which several may fall due in the same second.
func share(callsPerSecond int, owned []int, total int) float64 {
	if total > callsPerSecond {
		return float64(callsPerSecond) * float64(len(owned)) / float64(total)
	}
	whole := 0
	for _, id := range owned {
		if id < total {
			whole += (id+1)*callsPerSecond/total - id*callsPerSecond/total
		}
	}
	return float64(whole)
}
