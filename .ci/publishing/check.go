package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

const (
	// partitions is the number of partitions of a new topic. With seven, murmur2 puts the document's key into another partition than
	// CRC-32 does, and not into the first, with which round robin begins.
	partitions = 7
	// limit is how long a program may take, the compiler's time included.
	limit = 3 * time.Minute
)

// check runs the command and returns an error unless it publishes one record, the document's event in that wrapping.
func check(broker, wrapping string, command []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if err := prepareTopic(ctx, admin); err != nil {
		return err
	}
	before, err := admin.ListEndOffsets(ctx, schema.Topic)
	if err = errors.Join(err, before.Error()); err != nil {
		return err
	}
	program := exec.CommandContext(ctx, command[0], command[1:]...)
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	if err := program.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	after, err := admin.ListEndOffsets(ctx, schema.Topic)
	if err = errors.Join(err, after.Error()); err != nil {
		return err
	}
	record, err := only(ctx, broker, before, after)
	if err != nil {
		return err
	}
	return judge(record, wrapping, len(before[schema.Topic]))
}

// prepareTopic makes the topic, unless it exists.
func prepareTopic(ctx context.Context, admin *kadm.Client) error {
	_, err := admin.CreateTopic(ctx, partitions, -1, nil, schema.Topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", schema.Topic, err)
	}
	// A broker answers for a new topic once it leads the partitions.
	for {
		offsets, err := admin.ListEndOffsets(ctx, schema.Topic)
		if err = errors.Join(err, offsets.Error()); err == nil && len(offsets[schema.Topic]) == partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// only returns the one record between the offsets.
func only(ctx context.Context, broker string, before, after kadm.ListedOffsets) (*kgo.Record, error) {
	from := make(map[int32]kgo.Offset)
	count := int64(0)
	after.Each(func(end kadm.ListedOffset) {
		begin, _ := before.Lookup(schema.Topic, end.Partition)
		if n := end.Offset - begin.Offset; n > 0 {
			from[end.Partition] = kgo.NewOffset().At(begin.Offset)
			count += n
		}
	})
	if count != 1 {
		return nil, fmt.Errorf("published %d records, not 1", count)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{schema.Topic: from}))
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	fetches := reader.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return nil, err
	}
	return fetches.Records()[0], nil
}

// judge compares the record with the document's event.
func judge(record *kgo.Record, wrapping string, partitions int) error {
	headers := make([]schema.Header, len(record.Headers))
	for i, h := range record.Headers {
		headers[i] = schema.Header(h)
	}
	got, err := schema.Decode(record.Value, headers)
	if err != nil {
		return err
	}
	want := schema.Event{
		Conversation: schema.Conversation{From: "alice", Type: schema.C2C, To: "bob"},
		ClearRamble:  true,
	}
	if wrapping != "bare" {
		want.ID, want.Source = "5f0c6a2e-1", "/accounts"
		if want.Time = got.Time; want.Time.IsZero() {
			return errors.New("the event has no time")
		}
	}
	if got != want {
		return fmt.Errorf("the event is %+v, not %+v", got, want)
	}
	if key := want.Key(); string(record.Key) != key {
		return fmt.Errorf("the key is %q, not %q", record.Key, key)
	}
	if p := partitionOf(record.Key, partitions); int(record.Partition) != p {
		return fmt.Errorf("the partition is %d, murmur2 gives %d", record.Partition, p)
	}
	return compareHeaders(headers, want, wrapping)
}

// partitionOf is the partition into which Java's client puts the key.
func partitionOf(key []byte, partitions int) int {
	all := make([]int, partitions)
	for i := range all {
		all[i] = i
	}
	return kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: key}, all...)
}

// compareHeaders checks for the headers of the binary wrapping, and for none with the other wrappings.
func compareHeaders(got []schema.Header, event schema.Event, wrapping string) error {
	var want []schema.Header
	if wrapping == "binary" {
		var err error
		if _, want, err = event.EncodeCloudEventBinary(); err != nil {
			return err
		}
	}
	if g, w := sorted(got), sorted(want); !slices.Equal(g, w) {
		return fmt.Errorf("the headers are %q, not %q", g, w)
	}
	return nil
}

func sorted(headers []schema.Header) []string {
	lines := make([]string, len(headers))
	for i, h := range headers {
		lines[i] = h.Key + "=" + string(h.Value)
	}
	slices.Sort(lines)
	return lines
}
