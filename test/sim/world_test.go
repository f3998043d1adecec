package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient"
	"convdel/internal/testkit"
	"convdel/internal/testkit/coordinator"
	"convdel/schema"
)

const (
	topic       = "events"
	deadLetters = "events.dead-letter"
	outcomes    = "events.outcome"
	group       = "convdel"
	redisKey    = "convdel:quota:sim"

	// drainLimit is how long the service may take to end all events once all faults are over. From trickleAfter on, an
	// event is published every trickleEvery: where no call ever succeeds, an event that fails can't be told from an outage.
	drainLimit   = 40 * time.Minute
	trickleAfter = time.Minute
	trickleEvery = 5 * time.Second
)

// world is everything in one bubble.
type world struct {
	t   *testing.T
	sc  *scenario
	net *network
	// began is the time at which the scenario begins.
	began time.Time

	kafka *kfake.Cluster
	// groups coordinates the group in the embedded cluster's place.
	groups *coordinator.Coordinator
	lost   map[int32]bool // the brokers that are down
	tap    *tap
	api    *api
	redis  *testkit.Redis
	key    *sharedKey

	publisher *kgo.Client
	aimer     *kgo.Client // it publishes to the partition that a record names
	// transactor publishes in transactions; nil on days without transactions.
	transactor *kgo.Client
	odd        *kgo.Client // it publishes batches byte for byte
	admin      *kadm.Client
	clients    []*kgo.Client

	retention retention

	hosts []*host
	// acting are acts that take a while, such as a stop that drains.
	acting sync.WaitGroup
	// erasing are people who erase accounts, and what they run.
	erasing sync.WaitGroup
	// watching ask the replicas whether their loops move, until each ends.
	watching sync.WaitGroup

	mu       sync.Mutex
	lines    []line
	broken   []violation
	sent     map[string]time.Time              // when a planned record was handed to the client
	said     map[schema.Conversation]time.Time // the last messages
	counted  map[string]int
	settled  map[string]string // how the operator has settled a letter, by ID
	unsure   map[string]bool   // letters whose settling failed half-way, by ID
	trickled int
	// intruders is how many replicas of another app were started.
	intruders int
	output    []*output
	stats     stats
}

// line is a line of the timeline.
type line struct {
	at   time.Duration
	text string
}

// violation is a promise that was not kept.
type violation struct{ invariant, text string }

func newWorld(t *testing.T, sc *scenario) *world {
	t.Helper()
	w := &world{
		t: t, sc: sc, net: newNetwork(), began: time.Now(), lost: map[int32]bool{}, tap: newTap(), api: newAPI(sc), key: &sharedKey{key: firstKey},
		retention: retention{turn: make(chan struct{}, 1)},
		sent:      map[string]time.Time{}, said: map[schema.Conversation]time.Time{}, counted: map[string]int{}, settled: map[string]string{}, unsure: map[string]bool{},
	}
	w.api.listed = w.interrupt
	w.startKafka()
	w.setLag(sc.lag)
	w.publisher = w.client("publisher", kgo.ProducerLinger(0), kgo.ProducerBatchCompression(pick(rngOf(sc, 1), compressions)))
	// Ask for the ID now. Later, with brokers away, the client's goroutines would wait for it with a mutex.
	if _, _, err := w.publisher.ProducerID(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.aimer = w.client("aimer", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite())
	w.odd = w.client("odd")
	if sc.transactions {
		w.transactor = w.client("transactor", kgo.TransactionalID("sim"), kgo.ProducerLinger(0))
	}
	w.admin = kadm.NewClient(w.client("admin"))
	if sc.quotaMode == byRedis {
		w.redis = startRedis()
	}
	for i := range sc.replicas {
		s := &host{w: w, number: i, turn: make(chan struct{}, 1), former: sc.members.former[i]}
		if sc.members.static[i] {
			s.instance = fmt.Sprintf("host-%d", i)
		}
		w.hosts = append(w.hosts, s)
	}
	return w
}

// Zstandard is left out. Clients share its decoders, which have channels, and a channel can't leave a bubble.
var compressions = []kgo.CompressionCodec{kgo.NoCompression(), kgo.SnappyCompression(), kgo.GzipCompression(), kgo.Lz4Compression()}

// fmtAddress returns a port's address on the virtual network.
func fmtAddress(port int) string { return fmt.Sprintf("localhost:%d", port) }

// rngOf returns a random source for one use outside of the scenario. It depends only on the seed and the use.
func rngOf(sc *scenario, use uint64) *rand.Rand { return rand.New(rand.NewPCG(sc.seed, use)) }

func (w *world) brokers() []string {
	var all []string
	for i := range w.sc.brokers {
		all = append(all, fmtAddress(kafkaPort+i))
	}
	return all
}

// client makes a Kafka client for the simulation. The service has its own.
func (w *world) client(name string, opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	opts = append(opts, kgo.SeedBrokers(w.brokers()...), kgo.Dialer(w.net.party(name, nil).dial),
		kgo.RequestRetries(1_000_000), kgo.RetryTimeout(time.Hour), kgo.UnknownTopicRetries(-1)) // a publisher does not give up
	if w.sc.sasl {
		opts = append(opts, saslOf())
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.clients = append(w.clients, c)
	return c
}

// note adds a line to the timeline.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line{time.Since(w.began), fmt.Sprintf(format, args...)})
}

// fail adds a violation. Only the first few of each kind are kept.
func (w *world) fail(invariant, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = append(w.broken, violation{invariant, fmt.Sprintf(format, args...)})
}

// count counts something that has happened.
func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counted[what]++
}

// live runs the day: publishers and acts, then the drain, then the end of all replicas.
func (w *world) live() {
	w.seedConversations()
	w.settleIn()
	for _, s := range w.hosts {
		s.start()
	}
	defer w.tend()()
	var publishing sync.WaitGroup
	publishing.Go(w.publish)
	publishing.Go(w.publishBatches)
	publishing.Go(w.speak)
	publishing.Go(w.talk)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i, v := range w.sc.leaving {
		w.erasing.Go(func() { w.erase(ctx, v, eraserPort+i) })
	}
	w.perform()
	publishing.Wait()
	w.acting.Wait()
	w.note("all faults are over")
	w.replaceKey(firstKey, true) // two replacements may have overlapped
	w.replaceKey(firstKey, false)
	w.upgradeAll()
	w.awaitOwners()
	w.drain()
	cancel()
	w.erasing.Wait()
	for _, s := range w.hosts {
		s.stop()
	}
	w.acting.Wait()
	w.watching.Wait()
}

// perform carries out the acts, each at its time.
func (w *world) perform() {
	type step struct {
		at   time.Duration
		text string
		do   func(*world)
	}
	var steps []step
	for _, a := range w.sc.acts {
		steps = append(steps, step{a.at, a.String(), a.begin})
		if a.end != nil {
			steps = append(steps, step{a.at + a.span, "over: " + a.String(), a.end})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	for _, s := range steps {
		time.Sleep(time.Until(w.began.Add(s.at)))
		w.note("%s", s.text)
		s.do(w)
	}
}

// drain waits until the group has committed everything.
func (w *world) drain() {
	deadline, next := time.Now().Add(drainLimit), time.Now().Add(trickleAfter)
	for {
		over := w.erased()
		if over && w.drained() {
			w.note("everything is committed")
			return
		}
		if time.Now().After(deadline) {
			w.fail("stuck", "%s after the last fault the group has not committed everything, or erasures go on (%t): %s", drainLimit, !over, w.lag())
			return
		}
		if !time.Now().Before(next) {
			next = time.Now().Add(trickleEvery)
			w.trickle()
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (w *world) committed() map[int32]int64 {
	all := map[int32]int64{}
	if info := w.kafka.GroupInfo(group); info != nil {
		for p, c := range info.Commits[topic] {
			all[p] = c.Offset
		}
	}
	return all
}

func (w *world) drained() bool {
	committed := w.committed()
	for _, p := range w.kafka.PartitionInfos(topic) {
		if p.HighWatermark > 0 && committed[p.Partition] < p.HighWatermark {
			return false
		}
	}
	return true
}

// lag returns the group's position in each partition.
func (w *world) lag() string {
	var b strings.Builder
	committed := w.committed()
	for _, p := range w.kafka.PartitionInfos(topic) {
		fmt.Fprintf(&b, " %d: %d of %d;", p.Partition, committed[p.Partition], p.HighWatermark)
	}
	return b.String()
}

// close ends everything but the replicas, which have ended before.
func (w *world) close() {
	for _, c := range w.clients {
		c.Close()
	}
	w.api.close()
	if w.redis != nil {
		w.redis.Close()
	}
	w.groups.Close()
	w.kafka.Close()
	time.Sleep(time.Minute) // meanwhile frames on their way arrive, and clients notice the end
}

// setLag sets the longest time that a frame takes.
func (w *world) setLag(most time.Duration) {
	r, mu := rngOf(w.sc, 2), sync.Mutex{}
	w.net.set(func() {
		w.net.lag = func() time.Duration {
			mu.Lock()
			defer mu.Unlock()
			if most == 0 {
				return 0
			}
			return time.Duration(r.Int64N(int64(most) + 1))
		}
	})
}

// sharedKey is the file with the secret key, which all replicas read.
type sharedKey struct {
	mu  sync.Mutex
	key string
}

// Key returns the present key.
func (k *sharedKey) Key() (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key, nil
}

var _ imclient.KeySource = (*sharedKey)(nil)

// replaceKey puts a new key into the file or into the API.
func (w *world) replaceKey(key string, intoFile bool) {
	if !intoFile {
		w.api.sim.SetSecretKey(key)
		return
	}
	w.key.mu.Lock()
	defer w.key.mu.Unlock()
	w.key.key = key
}
