package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"convdel/consumer/internal/quota"
	"convdel/consumer/internal/recordlog"
)

// shareQuota gives the limiter this replica's part of the quota for a generation. It returns the number of partitions by which the
// quota is shared; 0 if it is not. For the first window nothing is called: at the API, the last calls of the partitions' previous
// owners still count. A budget needs no such pause, and keeps the share for the time in which it fails.
func (c *Consumer) shareQuota(generation, stop context.Context, source *recordlog.Log, owned []int) (shares int, err error) {
	if len(owned) == 0 {
		return 0, nil
	}
	if !c.cfg.ShareByPartitions {
		c.limiter.setShare(float64(c.cfg.CallsPerSecond))
		return 0, nil
	}
	for {
		topic, err := source.Describe(generation)
		if err == nil && topic.Partitions <= slices.Max(owned) {
			err = &partitionsError{owned: slices.Max(owned), known: topic.Partitions}
		}
		if err == nil {
			if topic.Partitions > c.cfg.CallsPerSecond && c.cfg.CallsPerSecond > 0 {
				c.log.LogAttrs(generation, slog.LevelWarn, "more partitions than calls a second: with several replicas a second may see more calls than the quota",
					slog.Int("partitions", topic.Partitions), slog.Int("calls_per_second", c.cfg.CallsPerSecond))
			}
			c.limiter.setShare(quota.Share(c.cfg.CallsPerSecond, owned, topic.Partitions))
			return topic.Partitions, nil
		}
		c.log.LogAttrs(generation, slog.LevelWarn, "number of partitions not known, will retry",
			slog.String("topic", c.cfg.Topic), slog.Any("error", err))
		c.troubled("number of partitions not known", err)
		if err := pause(generation, time.Second); err != nil {
			return 0, err
		}
		if err := stop.Err(); err != nil {
			return 0, err
		}
	}
}

// partitionsError says that the group has given a partition to this replica that a broker does not know yet.
type partitionsError struct{ owned, known int }

func (e *partitionsError) Error() string {
	return fmt.Sprintf("the broker knows %d partitions, and partition %d is this replica's", e.known, e.owned)
}

// reshare changes the limiter's part of the quota if the topic has another number of partitions than the quota was shared by. The
// group may not have assigned the new partitions yet. Their part of the quota is unused until it has.
func (a *assignment) reshare(ctx context.Context, total int) {
	if a.shares == 0 || total == a.shares || total <= slices.Max(a.ids) {
		return
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "the topic has another number of partitions: the quota is shared anew",
		slog.String("topic", a.cfg.Topic), slog.Int("partitions", total), slog.Int("before", a.shares))
	a.shares = total
	a.limiter.setShare(quota.Share(a.cfg.CallsPerSecond, a.ids, total))
}
