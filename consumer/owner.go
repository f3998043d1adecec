package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/offsets"
)

// GroupTakenError says that the group's offsets are those of another service: one that deletes through another app, or
// that writes its dead letters to another topic. Were both members of the group, each would execute a part of the
// other's events. [Config.Adopt] takes such a group over.
type GroupTakenError struct {
	// Group owns the offsets, Partition is one whose offset was committed by the other.
	Group     string
	Partition int
	// App and DeadLetterTopic are the other's, empty where it has not said so; OurApp and OurDeadLetterTopic are this
	// consumer's.
	App, DeadLetterTopic       string
	OurApp, OurDeadLetterTopic string
}

func (e *GroupTakenError) Error() string {
	return fmt.Sprintf("group %s belongs to app %s with dead letters in %s (partition %d says so), and this is app %s with dead letters in %s",
		e.Group, e.App, e.DeadLetterTopic, e.Partition, e.OurApp, e.OurDeadLetterTopic)
}

// committed is what a group has committed of a partition.
type committed struct {
	partition int
	// offset is -1 where there is none.
	offset int64
	stamp  offsets.Stamp
}

// committedOffsets asks what the group has committed of a topic's partitions; the answer is by partition.
//
// kafka-go's own reading of committed offsets ignores errors per partition: a coordinator that is just loading would look
// like a group without offsets, and the whole topic would be done again.
func committedOffsets(ctx context.Context, client *kafka.Client, group, topic string, partitions int) ([]committed, error) {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	ids := make([]int, partitions)
	for i := range ids {
		ids[i] = i
	}
	res, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: ids}})
	if err != nil {
		return nil, err
	}
	if errors.Is(res.Error, kafka.GroupIdNotFound) {
		return noOffsets(partitions), nil
	}
	if res.Error != nil {
		return nil, res.Error
	}
	all := make([]committed, partitions)
	found := 0
	for _, c := range res.Topics[topic] {
		if c.Error != nil {
			return nil, fmt.Errorf("committed offset of %s/%d: %w", topic, c.Partition, c.Error)
		}
		if c.Partition < partitions && all[c.Partition] == (committed{}) {
			all[c.Partition] = committed{partition: c.Partition, offset: max(-1, c.CommittedOffset), stamp: offsets.ReadStamp(c.Partition, c.CommittedOffset, c.Metadata)}
			found++
		}
	}
	if found != partitions {
		return nil, fmt.Errorf("committed offsets of %d partitions asked for, %d received", partitions, found)
	}
	return all, nil
}

// noOffsets is what a group that does not exist has committed.
func noOffsets(partitions int) []committed {
	all := make([]committed, partitions)
	for i := range all {
		all[i] = committed{partition: i, offset: -1, stamp: offsets.Unstamped()}
	}
	return all
}

// checkOwner returns a [*GroupTakenError] if one of the offsets was committed by another service.
func (c *Config) checkOwner(found []committed) error {
	for _, o := range found {
		if c.foreign(o.stamp) {
			return &GroupTakenError{
				Group: c.Group, Partition: o.partition, App: o.stamp.App, DeadLetterTopic: o.stamp.DeadLetterTopic,
				OurApp: c.App, OurDeadLetterTopic: c.DeadLetterTopic,
			}
		}
	}
	return nil
}

// foreign says whether a stamp is another service's. A stamp that names none, as of an older version, is ours.
func (c *Config) foreign(s offsets.Stamp) bool {
	if c.App == "" || s.App == "" || s.App == c.Adopt {
		return false
	}
	return s.App != c.App || s.DeadLetterTopic != "" && s.DeadLetterTopic != c.DeadLetterTopic
}

// stamp is this consumer's stamp on every offset of a topic that it commits.
func (c *Config) stamp(topic offsets.TopicID) offsets.Stamp {
	s := offsets.Unstamped()
	s.App, s.DeadLetterTopic, s.Topic = c.App, c.DeadLetterTopic, topic
	return s
}

// adopts says whether an offset was committed by the service whose group is taken over.
func (c *Config) adopts(s offsets.Stamp) bool {
	return c.Adopt != "" && s.App == c.Adopt && c.App != c.Adopt
}

// withoutOffset are the partitions that have no committed offset.
func withoutOffset(found []committed) []int {
	var missing []int
	for _, c := range found {
		if c.offset < 0 {
			missing = append(missing, c.partition)
		}
	}
	return missing
}

// onceCommitted is of how many of the topic's first partitions an offset was committed before, by the stamps. A partition
// among them that has no offset has lost it; one behind them was added.
func onceCommitted(found []committed, topic offsets.TopicID) int {
	once := 0
	for _, c := range found {
		if offsets.OriginOf(c.stamp.Topic, topic) == offsets.ThisTopic {
			once = max(once, c.stamp.Partitions)
		}
	}
	return once
}
