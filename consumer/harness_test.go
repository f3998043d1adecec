package consumer_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/internal/testkit"
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
	// brokers is what makes kafka anew.
	brokers []kfake.Opt

	replicas []*replica
	// closers are run when all replicas have stopped.
	closers []func()
}

// worldOptions are what a test may change about its world.
type worldOptions struct {
	partitions int32
	brokers    int
	kafka      []kfake.Opt
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
		w.brokers = opts
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
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.kafka.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, opts...)...)
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

// replica is one running consumer.
type replica struct {
	*consumer.Consumer
	w        *world
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan struct{}
	err      error
	net      *testkit.Dialer
}

// start starts a replica; edit may change its configuration.
func (w *world) start(edit ...func(*consumer.Config)) *replica {
	w.t.Helper()
	r := &replica{w: w, registry: prometheus.NewRegistry(), done: make(chan struct{}), net: testkit.NewDialer(w.network.DialContext)}
	cfg := consumer.Config{
		Cluster: cluster.Config{Brokers: w.kafka.ListenAddrs(), Dial: r.net.DialContext},
		Topic:   testTopic, Group: testGroup, DeadLetterTopic: testDLT,
		Start:          consumer.StartEarliest(),
		API:            w.api,
		CallsPerSecond: 200, ShareByPartitions: true,
		Logger:  slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("replica", len(w.replicas)),
		Metrics: consumer.NewMetrics(r.registry),
	}
	for _, e := range edit {
		e(&cfg)
	}
	c, err := consumer.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Consumer = c
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = c.Run(ctx)
	}()
	w.replicas = append(w.replicas, r)
	return r
}

// stop ends a replica cleanly and returns how long that took.
func (r *replica) stop() time.Duration {
	began := time.Now()
	r.cancel()
	<-r.done
	return time.Since(began)
}

// kill cuts a replica off from Kafka and from the API, as kill -9 or a lost machine would: nothing
// that it does from now on has an effect.
func (r *replica) kill() {
	r.net.Sever()
	r.cancel()
	<-r.done
}

func (w *world) stopAll() {
	for _, r := range w.replicas {
		r.cancel()
	}
	for _, r := range w.replicas {
		<-r.done
		if r.err != nil {
			w.t.Errorf("Run returned %v", r.err)
		}
	}
	synctest.Wait()
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
	return schema.Conversation{From: fmt.Sprintf("user%d", n), Type: schema.C2C, To: "friend"}
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

// fakeAPI answers calls in virtual time and remembers them.
type fakeAPI struct {
	mu      sync.Mutex
	latency time.Duration
	// answer decides, given how many calls for the conversation came before; nil deletes everything.
	answer func(c consumer.Call, before int) consumer.Answer
	calls  []apiCall
	count  map[schema.Conversation]int
	under  map[schema.Conversation]int
	// most is the greatest number of calls for one conversation at once, atOnce of all.
	most, atOnce, now int
}

type apiCall struct {
	schema.Conversation
	clearRamble bool
	began       time.Time
	verdict     consumer.Verdict
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{latency: 50 * time.Millisecond, count: make(map[schema.Conversation]int), under: make(map[schema.Conversation]int)}
}

func (a *fakeAPI) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	a.mu.Lock()
	before, latency, answer := a.count[c.Conversation], a.latency, a.answer
	a.count[c.Conversation]++
	a.under[c.Conversation]++
	a.now++
	a.most, a.atOnce = max(a.most, a.under[c.Conversation]), max(a.atOnce, a.now)
	index := len(a.calls)
	a.calls = append(a.calls, apiCall{Conversation: c.Conversation, clearRamble: c.ClearRamble, began: time.Now()})
	a.mu.Unlock()
	c.Sent()
	got := consumer.Answer{Verdict: consumer.Deleted}
	if answer != nil {
		got = answer(c, before)
	}
	if latency > 0 { // a timer that is due at once crashes Go 1.26's race detector in a bubble, now and then
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			got = consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.under[c.Conversation]--
	a.now--
	a.calls[index].verdict = got.Verdict
	return got
}

// set changes the API's behaviour while it runs.
func (a *fakeAPI) set(latency time.Duration, answer func(consumer.Call, int) consumer.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.latency, a.answer = latency, answer
}

func (a *fakeAPI) made() []apiCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// deletes counts the successful calls per conversation.
func (a *fakeAPI) deletes() map[schema.Conversation]int {
	n := make(map[schema.Conversation]int)
	for _, c := range a.made() {
		if c.verdict == consumer.Deleted {
			n[c.Conversation]++
		}
	}
	return n
}

// peak is the greatest number of calls that began in any second, both ends included.
func (a *fakeAPI) peak() int {
	var times []time.Time
	for _, c := range a.made() {
		times = append(times, c.began)
	}
	return testkit.MostIn(time.Second, times)
}
