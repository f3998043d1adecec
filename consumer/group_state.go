package consumer

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"
)

// endsAtOnce is how many partitions are asked for their ends at a time.
const endsAtOnce = 8

// GroupState is what Kafka knows of a group's work on a topic.
type GroupState struct {
	// State is Kafka's word, such as Stable or Empty; Members is how many members the group has. State is empty if MembersErr says why they are
	// not known.
	State      string
	Members    int
	MembersErr error
	Partitions []PartitionState
}

// PartitionState is how far a group has come with a partition, and how far that goes.
type PartitionState struct {
	// Committed is the committed offset, -1 if there is none. End is the end of the log.
	Committed, End int64
	// Unfinished counts the offsets that the group does not count as ended, holes among them; -1 if nothing is committed.
	Unfinished int64
}

// State asks the brokers.
func (g *GroupReader) State(ctx context.Context) (GroupState, error) {
	progress, err := g.Read(ctx)
	if err != nil {
		return GroupState{}, err
	}
	s := GroupState{Partitions: make([]PartitionState, len(progress))}
	_, ends, err := g.bounds(ctx, len(progress), false)
	if err != nil {
		return GroupState{}, err
	}
	for i, p := range progress {
		s.Partitions[i] = PartitionState{Committed: p.Watermark, End: ends[i], Unfinished: p.unfinished(ends[i])}
	}
	s.State, s.Members, s.MembersErr = g.members(ctx)
	return s, nil
}

// Offsets returns how many offsets the topic has at the most: from each partition's first to its end, though there may be holes.
func (g *GroupReader) Offsets(ctx context.Context) (int64, error) {
	topic, err := g.log.Describe(ctx)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", g.log.Topic, err)
	}
	firsts, ends, err := g.bounds(ctx, topic.Partitions, true)
	if err != nil {
		return 0, err
	}
	n := int64(0)
	for i := range ends {
		n += ends[i] - firsts[i]
	}
	return n, nil
}

// bounds returns the ends of so many partitions, and where they begin if that is wanted.
func (g *GroupReader) bounds(ctx context.Context, partitions int, both bool) (firsts, ends []int64, err error) {
	firsts, ends = make([]int64, partitions), make([]int64, partitions)
	asking, ctx := errgroup.WithContext(ctx)
	asking.SetLimit(endsAtOnce)
	for p := range partitions {
		asking.Go(func() (err error) {
			if both {
				firsts[p], err = g.log.Offset(ctx, p, kafka.FirstOffset)
			}
			if err == nil {
				ends[p], err = g.log.Offset(ctx, p, kafka.LastOffset)
			}
			if err != nil {
				return fmt.Errorf("bounds of %s/%d: %w", g.log.Topic, p, err)
			}
			return nil
		})
	}
	err = asking.Wait()
	return firsts, ends, err
}

// members asks the coordinator for the group's members.
func (g *GroupReader) members(ctx context.Context) (state string, members int, err error) {
	client := &kafka.Client{Addr: g.log.Addr, Transport: g.transport}
	res, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{g.group}})
	if err != nil {
		return "", 0, fmt.Errorf("members of group %s: %w", g.group, err)
	}
	for _, found := range res.Groups {
		if found.GroupID == g.group && found.Error == nil {
			return found.GroupState, len(found.Members), nil
		}
		if found.Error != nil {
			return "", 0, fmt.Errorf("members of group %s: %w", g.group, found.Error)
		}
	}
	return "", 0, fmt.Errorf("members of group %s: the coordinator has not told", g.group)
}

// unfinished is how many offsets below an end do not count as ended.
func (p *PartitionProgress) unfinished(end int64) int64 {
	if p.Watermark < 0 {
		return -1
	}
	n := max(0, end-p.Watermark)
	for _, r := range p.finished {
		n -= max(0, min(r.Last+1, end)-max(r.First, p.Watermark))
	}
	return max(0, n)
}
