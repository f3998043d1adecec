package cluster_test

import (
	"context"
	"fmt"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/consumer/cluster"
	"convdel/schema"
)

// The writer returns once every in-sync replica has the record. For a cluster that asks for TLS or a login, set TLS and SASL of the
// same Config.
func ExampleConfig_Writer() {
	broker := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, schema.Topic))
	defer broker.Close()
	config := cluster.Config{Brokers: broker.ListenAddrs()}
	ctx := context.Background()

	writer, closeWriter := config.Writer(schema.Topic)
	err := writer.WriteMessages(ctx, kafka.Message{
		Key:   []byte("1:5:alice:bob"),
		Value: []byte(`{"From_Account":"alice","Type":1,"To_Account":"bob","ClearRamble":1}`),
	})
	if err != nil {
		fmt.Println(err)
	}
	if err := closeWriter(); err != nil {
		fmt.Println(err)
	}

	client, closeIdle := config.Client(schema.Topic)
	defer closeIdle()
	offsets, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{schema.Topic: {kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("end of partition 0:", offsets.Topics[schema.Topic][0].LastOffset)
	// Output: end of partition 0: 1
}
