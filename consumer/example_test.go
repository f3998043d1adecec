package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// apiFunc is an API that is a function.
type apiFunc func(call consumer.Call) consumer.Answer

func (f apiFunc) Delete(_ context.Context, call consumer.Call) consumer.Answer {
	call.Sent()
	return f(call)
}

// The API deletes the first conversation and refuses the second for good. Run is told to stop while the second call is under way. It
// still writes the dead letter, commits both offsets and leaves the group.
func ExampleConsumer_Run() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	broker := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, schema.Topic, schema.DeadLetterTopic))
	defer broker.Close()
	kafkas := cluster.Config{Brokers: broker.ListenAddrs()}
	if err := publishPair(ctx, kafkas); err != nil {
		fmt.Println(err)
		return
	}

	var calls atomic.Int32
	api := apiFunc(func(call consumer.Call) consumer.Answer {
		if calls.Add(1) == 2 {
			stop()
		}
		if call.From == "carol" {
			return consumer.Answer{Verdict: consumer.Permanent, Code: 50001, Err: errors.New("code 50001: carol is not imported")}
		}
		return consumer.Answer{Verdict: consumer.Deleted}
	})
	c, err := consumer.New(consumer.Config{
		Cluster: kafkas, Topic: schema.Topic, Group: "convdel", DeadLetterTopic: schema.DeadLetterTopic,
		API: api, CallsPerSecond: 200, ShareByPartitions: true,
		Logger: slog.New(slog.DiscardHandler), Metrics: consumer.NewMetrics(prometheus.NewRegistry()),
	})
	if err != nil {
		fmt.Println(err) // names each field that can't be used
		return
	}
	fmt.Println("run:", c.Run(ctx))

	fmt.Println("committed:", broker.GroupInfo("convdel").Commits[schema.Topic][0].Offset)
	letters, err := deadletter.Open(context.Background(), kafkas, schema.DeadLetterTopic)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer letters.Close()
	_, err = letters.Each(context.Background(), deadletter.Filter{}, func(l *deadletter.Letter) error {
		fmt.Println("dead letter:", l.ID(), l.Class, l.Error)
		return nil
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// run: <nil>
	// committed: 2
	// dead letter: conversation.delete.requested/0/1 permanent code 50001: carol is not imported
}

// publishPair publishes one event of alice and one of carol.
func publishPair(ctx context.Context, kafkas cluster.Config) error {
	writer, closeWriter := kafkas.Writer(schema.Topic)
	var messages []kafka.Message
	for _, from := range []string{"alice", "carol"} {
		event := schema.Event{Conversation: schema.Conversation{From: from, Type: schema.C2C, To: "bob"}}
		value, err := event.Encode()
		if err != nil {
			return errors.Join(err, closeWriter())
		}
		messages = append(messages, kafka.Message{Key: []byte(event.Key()), Value: value})
	}
	return errors.Join(writer.WriteMessages(ctx, messages...), closeWriter())
}
