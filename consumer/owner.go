package consumer

import (
	"context"
	"errors"
	"fmt"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
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
	stamp  stamp
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
			all[c.Partition] = committed{partition: c.Partition, offset: max(-1, c.CommittedOffset), stamp: readStamp(c.Partition, c.CommittedOffset, c.Metadata)}
			found++
		}
	}
	if found != partitions {
		return nil, fmt.Errorf("committed offsets of %d partitions asked for, %d received", partitions, found)
	}
	return all, nil
}

// noOffsets is what a group has committed that is not there.
func noOffsets(partitions int) []committed {
	all := make([]committed, partitions)
	for i := range all {
		all[i] = committed{partition: i, offset: -1, stamp: blankStamp()}
	}
	return all
}

// checkOwner returns a [*GroupTakenError] if one of the offsets was committed by another service.
func (c *Config) checkOwner(offsets []committed) error {
	for _, o := range offsets {
		if c.foreign(o.stamp) {
			return &GroupTakenError{
				Group: c.Group, Partition: o.partition, App: o.stamp.app, DeadLetterTopic: o.stamp.letters,
				OurApp: c.App, OurDeadLetterTopic: c.DeadLetterTopic,
			}
		}
	}
	return nil
}

// foreign says whether a stamp is another service's. What says nothing, older versions' say, is ours.
func (c *Config) foreign(s stamp) bool {
	if c.App == "" || s.app == "" || s.app == c.Adopt {
		return false
	}
	return s.app != c.App || s.letters != "" && s.letters != c.DeadLetterTopic
}

// stampAt is this consumer's stamp on an offset of a partition.
func (c *Config) stampAt(partition int, offset int64, log recordlog.ID) stamp {
	s := blankStamp()
	s.app, s.letters, s.log, s.partition, s.at = c.App, c.DeadLetterTopic, log, partition, offset
	return s
}

// adopts says whether an offset was committed by the service whose group is taken over.
func (c *Config) adopts(s stamp) bool { return c.Adopt != "" && s.app == c.Adopt && c.App != c.Adopt }

// hadOffsets is of how many of the topic's first partitions an offset was committed before, by what the stamps say: one of
// them that has none has lost it, and was not added later.
func hadOffsets(offsets []committed, log recordlog.ID) int {
	had := 0
	for _, o := range offsets {
		if originOf(o.stamp.log, log) == thisLog {
			had = max(had, o.stamp.of)
		}
	}
	return had
}
