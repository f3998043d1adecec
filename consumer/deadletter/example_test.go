package deadletter_test

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer/cluster"
	"convdel/consumer/deadletter"
	"convdel/schema"
)

// A workflow that deletes an account checks whether a dead letter concerns one of the account's conversations. It replays
// those letters that have only run out of attempts.
func ExampleTable_Replay() {
	kafka := kfake.MustCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, schema.Topic, schema.DeadLetterTopic))
	defer kafka.Close()
	writeLetter(kafka, 7, schema.ClassExhausted)
	writeLetter(kafka, 8, schema.ClassPermanent)

	ctx := context.Background()
	table, err := deadletter.Open(ctx, cluster.Config{Brokers: kafka.ListenAddrs()}, schema.DeadLetterTopic)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer table.Close()

	ofAlice := deadletter.Filter{Account: "alice"}
	if _, err := table.Each(ctx, ofAlice, func(l *deadletter.Letter) error {
		fmt.Println(l.ID(), l.Class, l.Code)
		return nil
	}); err != nil {
		fmt.Println(err)
	}

	plan, err := table.Replay(ctx, deadletter.Choice{Filter: ofAlice, Topic: schema.Topic, MaxAge: 24 * time.Hour}, nil)
	fmt.Println("replayed:", plan.Settled, err)
	for why, n := range plan.Left {
		fmt.Println("left alone:", n, why)
	}
	// Output:
	// conversation.delete.requested/0/7 exhausted 50004
	// conversation.delete.requested/0/8 permanent 50004
	// replayed: 1 <nil>
	// left alone: 1 permanent or undecodable, and not named by class or id
}

// writeLetter writes a dead letter as the service does.
func writeLetter(kafka *kfake.Cluster, offset int64, class schema.Class) {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	d := schema.DeadLetter{Class: class, Code: 50004, Topic: schema.Topic, Offset: offset, Timestamp: time.Now(), Group: "convdel"}
	r := &kgo.Record{Topic: schema.DeadLetterTopic, Key: []byte(d.ID()), Value: []byte(`{"From_Account":"alice","Type":1,"To_Account":"bob"}`)}
	for _, h := range d.Headers(nil) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	if err := client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		fmt.Println(err)
	}
}
