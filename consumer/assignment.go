package consumer

import (
	"context"
	"log/slog"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// assignment is the partitions of the topic that the group has given to this member in a generation, and the topic as it was
// when they were opened. An [opener] sets topicID and partitions.
type assignment struct {
	cfg     *Config
	client  *kafka.Client
	source  *recordlog.Log
	limiter *limiter
	metrics *Metrics
	log     *slog.Logger
	loops   *loops

	ids []int
	// shares is the number of partitions by which the quota is shared; 0 if it is not.
	shares     int
	topicID    offsets.TopicID
	partitions map[int]*partition
}

// look asks about the topic, and says whether another topic has replaced it since the partitions were opened. If so, nothing
// more is committed: the offsets are the former topic's.
func (a *assignment) look(ctx context.Context) (topic recordlog.Topic, replaced bool, err error) {
	topic, err = a.source.Describe(ctx)
	if err != nil || offsets.OriginOf(a.topicID, offsets.TopicID(topic.ID)) == offsets.ThisTopic {
		return topic, false, err
	}
	for _, p := range a.partitions {
		p.noCommits.Store(true)
	}
	return topic, true, nil
}

// checkOwner returns a [*GroupTakenError] if another service has committed offsets of the group. Nothing more is committed over
// those.
func (a *assignment) checkOwner(ctx context.Context, partitions int) error {
	found, err := committedOffsets(ctx, a.client, a.cfg.Group, a.cfg.Topic, partitions)
	if err != nil {
		return err
	}
	for _, o := range found {
		if p := a.partitions[o.partition]; p != nil && a.cfg.foreign(o.stamp) {
			p.noCommits.Store(true)
		}
	}
	return a.cfg.checkOwner(found)
}

// leave takes this member's values off the metrics.
func (a *assignment) leave() {
	a.metrics.outcomesWaiting.Set(0)
	a.metrics.callWaiters.Set(0)
}
