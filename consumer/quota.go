package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"convdel/consumer/internal/quota"
)

// quotaShare keeps the limiter at this replica's part of the quota, which moves with the partitions. A part that comes with a partition
// counts a window later, since the last calls of the partition's previous owner still count at the API. What is lost counts no longer at
// once. A budget needs no such pause, and keeps the share for the time in which it fails.
type quotaShare struct {
	cfg     *Config
	limiter *limiter
	log     *slog.Logger

	// mu guards the rest, and is held while the limiter is told, so that the last word is the latest. The limiter takes its own lock inside it.
	mu sync.Mutex
	// ids are the partitions, total is how many the topic has; 0 if that is not known.
	ids   []int
	total int
}

// hold takes partitions in.
func (q *quotaShare) hold(ids ...int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = append(q.ids, ids...)
	slices.Sort(q.ids)
	q.ids = slices.Compact(q.ids)
	q.tellLocked()
}

// drop gives partitions up.
func (q *quotaShare) drop(ids ...int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = slices.DeleteFunc(q.ids, func(id int) bool { return slices.Contains(ids, id) })
	q.tellLocked()
}

// dropAll gives all partitions up.
func (q *quotaShare) dropAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = nil
	q.tellLocked()
}

// sees notes how many partitions the topic has. The group may not have assigned new ones yet. Their part of the quota is unused until it
// has.
func (q *quotaShare) sees(ctx context.Context, total int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if total == q.total || len(q.ids) > 0 && total <= slices.Max(q.ids) {
		return
	}
	attrs := []slog.Attr{slog.String("topic", q.cfg.Topic), slog.Int("partitions", total)}
	if q.total != 0 && q.cfg.ShareByPartitions {
		q.log.LogAttrs(ctx, slog.LevelInfo, "the topic has another number of partitions: the quota is shared anew",
			append(attrs, slog.Int("before", q.total))...)
	}
	if q.cfg.ShareByPartitions && total > q.cfg.CallsPerSecond && q.cfg.CallsPerSecond > 0 {
		q.log.LogAttrs(ctx, slog.LevelWarn, "more partitions than calls a second: with several replicas a second may see more calls than the quota",
			append(attrs, slog.Int("calls_per_second", q.cfg.CallsPerSecond))...)
	}
	q.total = total
	q.tellLocked()
}

// tellLocked tells the limiter this replica's part.
func (q *quotaShare) tellLocked() {
	switch {
	case len(q.ids) == 0:
		q.limiter.setShare(0)
	case !q.cfg.ShareByPartitions:
		q.limiter.setShare(float64(q.cfg.CallsPerSecond))
	case q.total > slices.Max(q.ids):
		q.limiter.setShare(quota.Share(q.cfg.CallsPerSecond, q.ids, q.total))
	}
}

// partitionsError says that the group has given a partition to this replica that a broker does not know yet.
type partitionsError struct{ owned, known int }

func (e *partitionsError) Error() string {
	return fmt.Sprintf("the broker knows %d partitions, and partition %d is this replica's", e.known, e.owned)
}
