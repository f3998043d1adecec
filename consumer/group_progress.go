package consumer

import (
	"context"
	"fmt"
	"slices"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// GroupReader reads how far a group has come in a topic. It changes nothing, and needs only the right to describe both. Make it with
// [NewGroupReader], and close it.
type GroupReader struct {
	group     string
	transport *kafka.Transport
	log       *recordlog.Log
}

// NewGroupReader connects when it is first used.
func NewGroupReader(cluster cluster.Config, group, topic string) *GroupReader {
	t := cluster.Transport(topic)
	return &GroupReader{group: group, transport: t, log: &recordlog.Log{Transport: t, Addr: cluster.Addr(), Topic: topic, Group: group}}
}

// Close closes the connections.
func (g *GroupReader) Close() { g.transport.CloseIdleConnections() }

// Of returns a reader for another group, on the same connections.
func (g *GroupReader) Of(group string) *GroupReader {
	return &GroupReader{group: group, transport: g.transport, log: &recordlog.Log{Transport: g.transport, Addr: g.log.Addr, Topic: g.log.Topic, Group: group}}
}

// PartitionProgress is how far a group has come in one partition, by what it has committed.
type PartitionProgress struct {
	// Watermark is the committed offset: the group counts each record below it as ended. It is -1 if the group has committed
	// nothing of this topic, a former topic of the same name not counted.
	Watermark int64
	// ByService says that the service has committed it. Otherwise a tool has, or a version of the service that is too old to say.
	ByService bool
	// App is the app through which the service that has committed it deletes, as [Config.App], also where the commit is a former topic's. Empty if
	// unknown.
	App string
	// DeadLetterTopic is the topic of that service's dead letters; empty if unknown.
	DeadLetterTopic string

	finished []offsets.Range
}

// Ended says whether the group counts a record as ended. That does not say how: whoever may commit for the group can skip records.
func (p PartitionProgress) Ended(offset int64) bool {
	return offset < p.Watermark || slices.ContainsFunc(p.finished, func(r offsets.Range) bool { return r.First <= offset && offset <= r.Last })
}

// Read returns the group's progress by partition. A group that does not exist has none.
func (g *GroupReader) Read(ctx context.Context) ([]PartitionProgress, error) {
	topic, err := g.log.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", g.log.Topic, err)
	}
	client := &kafka.Client{Addr: g.log.Addr, Transport: g.transport}
	found, err := committedOffsets(ctx, client, g.group, g.log.Topic, topic.Partitions)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", g.group, err)
	}
	all := make([]PartitionProgress, len(found))
	for p, c := range found {
		all[p] = progressOf(c, offsets.TopicID(topic.ID))
	}
	return all, nil
}

// progressOf reads a commit as the next owner of the partition does: offsets of a former topic count for nothing, and a list that a
// mirror has copied or that can't be read names no offset.
func progressOf(c committed, topic offsets.TopicID) PartitionProgress {
	origin := offsets.OriginOf(c.stamp.Topic, topic)
	if c.offset < 0 || origin == offsets.FormerTopic {
		return PartitionProgress{Watermark: -1, App: c.stamp.App}
	}
	p := PartitionProgress{
		Watermark: c.offset, App: c.stamp.App, ByService: c.stamp.DeadLetterTopic != "" || c.stamp.Topic != offsets.TopicID{}, DeadLetterTopic: c.stamp.DeadLetterTopic,
	}
	if origin == offsets.ThisTopic {
		p.finished, _ = c.stamp.Finished()
	}
	return p
}
