package consumer_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"convdel/internal/testkit"
	"convdel/internal/testkit/rawbatch"
	"convdel/schema"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testTopic = "events"
	testDLT   = "events.dead-letter"
	testGroup = "convdel-test"
)

// world is Kafka, the API and any number of replicas in one synctest bubble: time passes only when
// everybody waits.
type world struct {
	t       *testing.T
	network *kfake.VirtualNetwork
	kafka   *kfake.Cluster
	api     *fakeAPI
	client  *kgo.Client
	log     *testkit.Buffer
	// brokers is what makes kafka anew, login what the test's own client needs.
	brokers []kfake.Opt
	login   []kgo.Opt

	replicas []*replica
	// closers are run when all replicas have stopped.
	closers []func()
}

// worldOptions are what a test may change about its world.
type worldOptions struct {
	partitions int32
	brokers    int
	kafka      []kfake.Opt
	// client are options of the test's own client.
	client []kgo.Opt
}

// inWorld runs test in a bubble and checks afterwards that nothing is left behind.
func inWorld(t *testing.T, o worldOptions, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, network: new(kfake.VirtualNetwork), log: new(testkit.Buffer), api: newFakeAPI()}
		opts := append([]kfake.Opt{
			kfake.ListenFn(w.network.Listen), kfake.NumBrokers(max(1, o.brokers)), kfake.Ports(ports(max(1, o.brokers))...),
			kfake.SeedTopics(max(1, o.partitions), testTopic), kfake.SeedTopics(3, testDLT),
			kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}),
		}, o.kafka...)
		w.brokers, w.login = opts, o.client
		w.kafka = kfake.MustCluster(opts...)
		w.client = w.newClient()
		defer func() {
			w.stopAll()
			for _, end := range w.closers {
				end()
			}
			w.client.Close()
			w.kafka.Close()
			if t.Failed() {
				t.Log(w.log.String())
			}
		}()
		test(w)
	})
}

func ports(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = 9092 + i
	}
	return p
}

func (w *world) newClient(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	c, err := kgo.NewClient(append(append([]kgo.Opt{
		kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, w.login...), opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// renewClient makes the test's own client forget what it knows of the topics.
func (w *world) renewClient() {
	w.t.Helper()
	w.client.Close()
	w.client = w.newClient()
}

// publish writes values to a partition of the topic.
func (w *world) publish(partition int32, values ...[]byte) {
	w.t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: testTopic, Partition: partition, Value: v}
	}
	w.produce(records...)
}

func (w *world) produce(records ...*kgo.Record) {
	w.t.Helper()
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// eventValue is a valid event of the conversation between user n and its friend.
func eventValue(n int) []byte {
	return fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","ClearRamble":0}`, n)
}

func conversation(n int) schema.Conversation {
	return schema.Conversation{From: "user" + strconv.Itoa(n), Type: schema.C2C, To: "friend"}
}

func eventValues(from, to int) [][]byte {
	var values [][]byte
	for n := from; n < to; n++ {
		values = append(values, eventValue(n))
	}
	return values
}

// committed returns the group's committed offset per partition.
func (w *world) committed() map[int32]int64 {
	offsets := make(map[int32]int64)
	if info := w.kafka.GroupInfo(testGroup); info != nil {
		for p, c := range info.Commits[testTopic] {
			offsets[p] = c.Offset
		}
	}
	return offsets
}

// await polls, in virtual time, until ok or the limit is over.
func (w *world) await(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	testkit.Await(w.t, 10*time.Millisecond, limit, what, ok)
}

// awaitDrained waits until everything published has been committed.
func (w *world) awaitDrained(limit time.Duration) {
	w.t.Helper()
	w.await(limit, "every offset committed", func() bool {
		committed := w.committed()
		for _, p := range w.kafka.PartitionInfos(testTopic) {
			if p.HighWatermark > 0 && committed[p.Partition] < p.HighWatermark {
				return false
			}
		}
		return true
	})
}

// deadLetters reads the whole dead-letter topic.
func (w *world) deadLetters() []*kgo.Record {
	w.t.Helper()
	return w.readAll(testDLT)
}

func (w *world) readAll(topic string) []*kgo.Record {
	w.t.Helper()
	all, err := testkit.ReadTopic(context.Background(), w.client, topic)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// wantDeletedOnce checks that each conversation of [from, to) was deleted by exactly one call.
func (w *world) wantDeletedOnce(from, to int) {
	w.t.Helper()
	deletes := w.api.deletes()
	for n := from; n < to; n++ {
		if got := deletes[conversation(n)]; got != 1 {
			w.t.Errorf("conversation %d deleted %d times", n, got)
		}
	}
}

// refuseLetters makes the dead-letter topic take nothing until the fault is removed.
func (w *world) refuseLetters() *kfake.FaultHandle {
	return w.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: testDLT, Err: kerr.NotEnoughReplicas, Count: -1})
}

// letterKeys returns the keys of the dead-letter table: repeated writes replace each other.
func (w *world) letterKeys() map[string]bool {
	keys := make(map[string]bool)
	for _, l := range w.deadLetters() {
		keys[string(l.Key)] = true
	}
	return keys
}

func setTopicConfig(t *testing.T, w *world, topic, key, value string) {
	t.Helper()
	_, err := kadm.NewClient(w.client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	if err != nil {
		t.Fatal(err)
	}
}

// deleted is how many conversations of users from to to have been deleted.
func (w *world) deleted(from, to int) (n int) {
	deletes := w.api.deletes()
	for user := from; user < to; user++ {
		if deletes[conversation(user)] > 0 {
			n++
		}
	}
	return n
}

// send produces a batch byte for byte.
func (w *world) send(partition int32, batch []byte) {
	w.t.Helper()
	if err := rawbatch.Send(w.t.Context(), w.client, testTopic, partition, batch); err != nil {
		w.t.Fatal(err)
	}
}

func now() int64 { return time.Now().UnixMilli() }
