package consumer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// assignment is the partitions of the topic that a session works on, and the topic as it was when they were opened. An [opener] adds
// them.
type assignment struct {
	cfg    *Config
	client *kafka.Client
	source *recordlog.Log
	share  *quotaShare
	// sees is told how many partitions the topic has.
	sees    func(ctx context.Context, partitions int)
	metrics *Metrics
	log     *slog.Logger
	loops   *loops

	// missing says that there is no such topic. unopened is why partitions that the group has given are not opened yet; nil if none waits.
	missing  atomic.Bool
	unopened atomic.Pointer[error]

	// mu guards the rest. While it is held, nothing is waited for, and no other lock is taken.
	mu         sync.Mutex
	topicID    offsets.TopicID
	partitions map[int]*partition
}

// all are the partitions, in no order.
func (a *assignment) all() []*partition {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*partition, 0, len(a.partitions))
	for _, p := range a.partitions {
		all = append(all, p)
	}
	return all
}

// of returns a partition; nil if it is not opened.
func (a *assignment) of(id int) *partition {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.partitions[id]
}

// add adds partitions that are of the topic with an ID.
func (a *assignment) add(id offsets.TopicID, opened []*partition) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.topicID = id
	for _, p := range opened {
		a.partitions[p.id] = p
	}
}

// remove forgets partitions.
func (a *assignment) remove(ids ...int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		delete(a.partitions, id)
	}
}

// opened is the ID of the topic that the partitions are of; the zero ID, which is unknown, if there is none.
func (a *assignment) opened() offsets.TopicID {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.partitions) == 0 {
		return offsets.TopicID{}
	}
	return a.topicID
}

// look asks about the topic, and says whether another topic has replaced it since the partitions were opened. If so, nothing
// more is committed: the offsets are the former topic's.
func (a *assignment) look(ctx context.Context) (topic recordlog.Topic, replaced bool, err error) {
	topic, err = a.source.Describe(ctx)
	if err != nil || offsets.OriginOf(a.opened(), offsets.TopicID(topic.ID)) == offsets.ThisTopic {
		return topic, false, err
	}
	a.commitNothing()
	return topic, true, nil
}

// commitNothing has nothing more committed of the partitions.
func (a *assignment) commitNothing() {
	for _, p := range a.all() {
		p.noCommits.Store(true)
	}
}

// absent says why the partitions can't be worked on; empty if they can.
func (a *assignment) absent() string {
	if a.missing.Load() {
		return fmt.Sprintf("topic %s is not there", a.cfg.Topic)
	}
	if why := a.unopened.Load(); why != nil {
		return cmp.Or(refusedText(notOpened, *why), fmt.Sprintf("%s: %v", notOpened, *why))
	}
	return ""
}

// checkOwner returns a [*GroupTakenError] if another service has committed offsets of the group. Nothing more is committed over
// those.
func (a *assignment) checkOwner(ctx context.Context, partitions int) error {
	found, err := committedOffsets(ctx, a.client, a.cfg.Group, a.cfg.Topic, partitions)
	if err != nil {
		return err
	}
	for _, o := range found {
		if p := a.of(o.partition); p != nil && a.cfg.foreign(o.stamp) {
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
