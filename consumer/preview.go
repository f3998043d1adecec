package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// Beginning is where a group goes on, or begins, in a topic.
type Beginning struct {
	// Partitions are all partitions of the topic.
	Partitions []PartitionBeginning
	// HasOffsets says that the group has an offset of at least one partition.
	HasOffsets bool
	// Oldest is how long ago the oldest record of the topic was written. It is known only if the group has no offset; 0 if it is unknown.
	Oldest time.Duration
	// Adopts says that the group is another service's, and is taken over.
	Adopts bool
	// Err is why a member would not start: a [*StartError] or a [*GroupTakenError]. Nil if it would.
	Err error
}

// PartitionBeginning is where a group goes on, or begins, in a partition.
type PartitionBeginning struct {
	// First is the offset of the first record, End the one behind the last record.
	First, End int64
	// Committed is the group's offset; -1 if it has none.
	Committed int64
	// Former says that the offset is of a deleted topic of the same name. It does not count.
	Former bool
	// Cut says that the log was cut below the offset: the partition goes on where it was cut.
	Cut bool
	// Begin is where the partition begins if the group has no offset at all, or if that of the partition is beyond the log's end; otherwise,
	// and if it is not decided, -1.
	Begin int64
}

// Preview says where a member with this configuration would begin, by the rules by which it does. It reads alone: it joins no group and
// commits nothing. Of cfg it needs Cluster, Topic, Group, DeadLetterTopic, App, Adopt and Start.
func Preview(ctx context.Context, cfg Config) (*Beginning, error) {
	transport := cfg.Cluster.Transport(cfg.Topic)
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: cfg.Cluster.Addr(), Transport: transport}
	source := &recordlog.Log{Transport: transport, Addr: client.Addr, Topic: cfg.Topic, Group: cfg.Group}
	topic, err := source.Describe(ctx)
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", cfg.Topic, err)
	}
	found, err := committedOffsets(ctx, client, cfg.Group, cfg.Topic, topic.Partitions)
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", cfg.Group, err)
	}
	b := &Beginning{HasOffsets: len(withoutOffset(found)) < len(found)}
	if err := b.measure(ctx, source, found, offsets.TopicID(topic.ID)); err != nil {
		return nil, err
	}
	for _, c := range found {
		b.Adopts = b.Adopts || cfg.adopts(c.stamp)
	}
	switch err := cfg.checkOwner(found); {
	case err != nil:
		b.Err = err
		return b, nil
	case b.HasOffsets:
		if err = checkLost(ctx, &cfg, source, topic, found); err == nil {
			err = b.comeBack(ctx, &cfg, source, topic, found)
		}
		return b.ended(err)
	}
	return b.ended(b.decide(ctx, &cfg, source))
}

// ended sorts an error into why a member would not start, and why that is not known.
func (b *Beginning) ended(err error) (*Beginning, error) {
	if _, undecided := errors.AsType[*StartError](err); undecided {
		b.Err = err
		return b, nil
	}
	return b, err
}

// measure asks for the extent of all partitions.
func (b *Beginning) measure(ctx context.Context, source *recordlog.Log, found []committed, topic offsets.TopicID) error {
	b.Partitions = make([]PartitionBeginning, len(found))
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(openAtOnce)
	for i, c := range found {
		asking.Go(func() (err error) {
			p := PartitionBeginning{Committed: c.offset, Begin: -1}
			p.Former = c.offset >= 0 && offsets.OriginOf(c.stamp.Topic, topic) == offsets.FormerTopic
			if p.First, err = source.Offset(ctx, i, kafka.FirstOffset); err == nil {
				p.End, err = source.Offset(ctx, i, kafka.LastOffset)
			}
			if err != nil {
				err = fmt.Errorf("offsets of %s/%d: %w", source.Topic, i, err)
			}
			b.Partitions[i] = p
			return err
		})
	}
	return asking.Wait()
}

// comeBack says where the partitions begin whose offset is beyond the log's end.
func (b *Beginning) comeBack(ctx context.Context, cfg *Config, source *recordlog.Log, topic recordlog.Topic, found []committed) error {
	for id := range b.Partitions {
		p := &b.Partitions[id]
		if p.Former || p.Committed <= p.End {
			continue
		}
		stamp := found[id].stamp
		if offsets.OriginOf(stamp.Topic, offsets.TopicID(topic.ID)) != offsets.OtherCluster {
			end, cut, err := endOfEpoch(ctx, source, id, epochOf(topic, id), stamp.LastRead)
			if err != nil {
				return err
			}
			if cut {
				p.Cut, p.Begin = true, max(end.End, p.First)
				continue
			}
		}
		var err error
		if p.Begin, err = beginAnew(ctx, cfg, source, id, beyondEnd(cfg.Topic, id, p.Committed, p.End)); err != nil {
			return err
		}
	}
	return nil
}

// decide says where a group without any offset begins.
func (b *Beginning) decide(ctx context.Context, cfg *Config, source *recordlog.Log) error {
	extents, begin, err := decideStart(ctx, cfg, source, len(b.Partitions))
	if undecided, ok := errors.AsType[*StartError](err); ok {
		b.Oldest = undecided.Oldest
	}
	if err != nil {
		return err
	}
	_, b.Oldest = records(extents, time.Now())
	for i, at := range begin {
		b.Partitions[i].Begin = at
	}
	return nil
}
