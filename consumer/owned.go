package consumer

import (
	"cmp"
	"slices"
	"time"
)

// OwnedPartition is how far the consumer has come with a partition that it owns.
type OwnedPartition struct {
	Partition int
	// Committed is the group's offset, -1 if there is none yet. End is the end of the log when it was last seen, -1 before that.
	Committed, End int64
	// Lag is how far the end is from the lowest unfinished offset. Events above that may have ended. 0 before the end is known.
	Lag int64
	// Unfinished is how many events have not ended. Each offset that has not been read counts as one, though compaction and transactions
	// leave holes.
	Unfinished int64
	// Oldest is the time of the oldest unfinished event in memory. If there is none, it is since when the next record is known to wait for
	// being read. It is zero if nothing is unfinished.
	Oldest time.Time
}

// Owned returns how far the consumer has come with each partition that it owns, in their order. It is empty while the consumer is no member of the group.
func (c *Consumer) Owned() []OwnedPartition {
	s := c.session.Load()
	if s == nil {
		return nil
	}
	all := []OwnedPartition{}
	for _, p := range s.owned.all() {
		all = append(all, p.progress())
	}
	slices.SortFunc(all, func(a, b OwnedPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	return all
}

// progress is that of one partition.
func (p *partition) progress() OwnedPartition {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := OwnedPartition{Partition: p.id, Committed: p.committed.Load(), End: -1, Unfinished: p.tracker.Unfinished(0)}
	if p.seen.Load() != 0 {
		now.End = p.end.Load()
		now.Lag, now.Unfinished = max(0, now.End-p.tracker.Watermark()), p.tracker.Unfinished(now.End)
	}
	if at, ok := p.tracker.Oldest(); ok {
		now.Oldest = time.UnixMilli(at)
	} else if now.Unfinished > 0 && p.unreadAt == p.tracker.Position() {
		now.Oldest = p.unreadSince
	}
	return now
}

// sawEnd notes a high watermark, and since when the record at the position waits for being read.
func (p *partition) sawEnd(end int64) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch position := p.tracker.Position(); {
	case end <= position:
		p.unreadAt, p.unreadSince = -1, time.Time{}
	case position != p.unreadAt:
		p.unreadAt, p.unreadSince = position, now
	}
	p.end.Store(end)
	p.seen.Store(now.UnixNano())
}
