package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/schema"
)

const demoPartitions = 6

// demoBroker is the embedded broker with a client for the demo. The service uses another Kafka client, so that a fault of
// one client does not hide itself.
type demoBroker struct {
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
	address string
}

// startBroker starts a broker on a free port. It keeps its data in dataDir, or in memory if dataDir is empty.
func startBroker(dataDir string) (*demoBroker, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1), kfake.ClusterID("convdel-demo"),
		kfake.SeedTopics(demoPartitions, schema.Topic), kfake.DefaultNumPartitions(demoPartitions),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}), // there is no other member to wait for
	}
	if dataDir != "" {
		// The broker's own files let others read them, and hold what is published.
		if err := os.MkdirAll(dataDir, 0o700); err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
		opts = append(opts, kfake.DataDir(dataDir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	// With a low age the client soon sees a new topic.
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.MetadataMinAge(watchEvery))
	if err != nil {
		cluster.Close()
		return nil, fmt.Errorf("start the embedded broker: %w", err)
	}
	return &demoBroker{
		cluster: cluster, client: client, admin: kadm.NewClient(client),
		address: strings.Join(cluster.ListenAddrs(), ","),
	}, nil
}

func (b *demoBroker) close() {
	b.client.Close()
	b.cluster.Close()
}

// offsets are a topic's offsets by partition.
type offsets map[int32]int64

// mark holds the topics' ends at some time.
type mark struct {
	events, letters offsets
	// backlog is how many offsets were not committed then.
	backlog int
}

func (b *demoBroker) mark(ctx context.Context) (mark, error) {
	var m mark
	var err error
	if m.events, err = b.ends(ctx, schema.Topic); err != nil {
		return m, err
	}
	if m.letters, err = b.ends(ctx, schema.DeadLetterTopic); err != nil {
		return m, err
	}
	committed, err := b.committed(ctx)
	for p, end := range m.events {
		m.backlog += int(end - committed[p])
	}
	return m, err
}

// ends returns the ends of a topic's partitions, nothing if there is no such topic.
func (b *demoBroker) ends(ctx context.Context, topic string) (offsets, error) {
	listed, err := b.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list the ends of topic %s: %w", topic, err)
	}
	ends := offsets{}
	for p, o := range listed[topic] {
		if errors.Is(o.Err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if o.Err != nil {
			return nil, fmt.Errorf("list the ends of topic %s: %w", topic, o.Err)
		}
		ends[p] = o.Offset
	}
	return ends, nil
}

// committed returns the offsets that the service's group has committed.
func (b *demoBroker) committed(ctx context.Context) (offsets, error) {
	fetched, err := b.admin.FetchOffsets(ctx, demoGroup)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return offsets{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetch the offsets of group %s: %w", demoGroup, err)
	}
	committed := offsets{}
	for p, o := range fetched[schema.Topic] {
		committed[p] = o.At
	}
	return committed, nil
}

// drained returns true if everything on the topic has been committed.
func (b *demoBroker) drained(ctx context.Context) (bool, error) {
	ends, err := b.ends(ctx, schema.Topic)
	if err != nil {
		return false, err
	}
	committed, err := b.committed(ctx)
	return maps.Equal(ends, nonZero(committed, ends)), err
}

// nonZero adds the empty partitions to committed, since nothing is committed of these.
func nonZero(committed, ends offsets) offsets {
	all := maps.Clone(committed)
	for p, end := range ends {
		if _, ok := all[p]; !ok && end == 0 {
			all[p] = 0
		}
	}
	return all
}

// read returns the records of a topic between two of its states.
func (b *demoBroker) read(ctx context.Context, topic string, from, to offsets) ([]*kgo.Record, error) {
	wanted, open := map[int32]kgo.Offset{}, map[int32]bool{}
	for p, end := range to {
		if from[p] < end {
			wanted[p], open[p] = kgo.NewOffset().At(from[p]), true
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: wanted}))
	if err != nil {
		return nil, fmt.Errorf("read topic %s: %w", topic, err)
	}
	defer client.Close()
	var records []*kgo.Record
	for len(open) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < to[r.Partition] {
				records = append(records, r)
			}
			if r.Offset >= to[r.Partition]-1 {
				delete(open, r.Partition)
			}
		})
	}
	return records, nil
}
