package testkit

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

// Header returns the value of a record's first header of that name, or nothing if there is none.
func Header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// Headers returns a record's headers as package schema has them, nil if there are none.
func Headers(r *kgo.Record) []schema.Header {
	var all []schema.Header
	for _, h := range r.Headers {
		all = append(all, schema.Header{Key: h.Key, Value: h.Value})
	}
	return all
}

// ReadTopic reads a topic from its start to its present end: the records of each partition in their order, those of open
// and aborted transactions too, but no markers. It connects as client does. If ctx ends first, it returns the records that
// were read, and an error that names the partitions that were not read to their end.
func ReadTopic(ctx context.Context, client *kgo.Client, topic string) ([]*kgo.Record, error) {
	left, err := readable(ctx, client, topic)
	if err != nil {
		return nil, err
	}
	reader, err := kgo.NewClient(append(client.Opts(),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())...)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return all, fmt.Errorf("topic %s is not read to its end, by partition %v: %w", topic, left, ctx.Err())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all, nil
}

// readable returns the end of each partition of a topic that has any records.
func readable(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	found := make(map[int32]int64)
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); ok && end.Offset > start.Offset {
			found[end.Partition] = end.Offset
		}
	})
	return found, nil
}
