package e2e

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

const (
	sdkAppID  = 1400000001
	admin     = "administrator"
	secretKey = "e2e-secret-key-5f2a9c"
	password  = "e2e-password-81c7de"
)

// binary is the convdel binary, built once for all tests.
var binary struct {
	once sync.Once
	path string
	err  error
}

func TestMain(m *testing.M) {
	moreAtOnce()
	m.Run()
	if binary.path != "" {
		_ = os.RemoveAll(filepath.Dir(binary.path))
	}
}

// moreAtOnce runs six tests at once by default. The tests mostly wait, for session timeouts and for the quota, and Go's
// default is the number of processors.
func moreAtOnce() {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		_ = flag.Set("test.parallel", "6")
	}
}

func convdel(tb testing.TB) string {
	tb.Helper()
	binary.once.Do(func() {
		dir, err := os.MkdirTemp("", "convdel-e2e") //nolint:usetesting // it outlives the first test
		if err != nil {
			binary.err = err
			return
		}
		binary.path = filepath.Join(dir, "convdel")
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary.path, "convdel/cmd/convdel").CombinedOutput()
		if err != nil {
			binary.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if binary.err != nil {
		tb.Fatal(binary.err)
	}
	return binary.path
}

// stage is a broker with the test's own topics, and a simulator.
type stage struct {
	tb      testing.TB
	brokers []string
	topic   string
	dlt     string
	group   string
	client  *kgo.Client
	admin   *kadm.Client
	sim     *imtest.Server
	// partitions is the topic's number of partitions at the start.
	partitions int32
	// login holds further options of the test's own Kafka clients.
	login []kgo.Opt
	// env holds further environment variables of the processes.
	env []string
	// binary is the path of another convdel, run instead of the one that is built for the tests; empty for none.
	binary string
	// quiet keeps the processes' output out of a failed test's log.
	quiet bool
}

// newStage creates topics on the broker under test, the topic of events with so many partitions.
func newStage(tb testing.TB, partitions int32, sim imtest.Config) *stage {
	tb.Helper()
	return newStageOn(tb, brokers(tb), partitions, sim)
}

func newStageOn(tb testing.TB, brokers []string, partitions int32, sim imtest.Config, login ...kgo.Opt) *stage {
	tb.Helper()
	name := fmt.Sprintf("e2e-%s-%d", strings.ToLower(strings.Map(letters, tb.Name())), time.Now().UnixNano())
	s := &stage{tb: tb, topic: name, dlt: name + ".dead-letter", group: name, brokers: brokers, partitions: partitions, login: login}
	s.client = s.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	s.admin = kadm.NewClient(s.client)
	s.createTopics(partitions)
	sim.SDKAppID, sim.Identifier, sim.SecretKey = sdkAppID, admin, secretKey
	var err error
	if s.sim, err = imtest.Start(sim); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.sim.Close)
	return s
}

// newClient makes a Kafka client of the test's own.
func (s *stage) newClient(opts ...kgo.Opt) *kgo.Client {
	s.tb.Helper()
	c, err := kgo.NewClient(slices.Concat([]kgo.Opt{kgo.SeedBrokers(s.brokers...)}, s.login, opts)...)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(c.Close)
	return c
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

func brokers(tb testing.TB) []string {
	tb.Helper()
	if real := os.Getenv("TEST_BROKERS"); real != "" {
		return strings.Split(real, ",")
	}
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{
		"group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "1000", // as deploy/kafka sets it
	}))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(kafka.Close)
	return kafka.ListenAddrs()
}

// process is a running convdel.
type process struct {
	tb     testing.TB
	cmd    *exec.Cmd
	stderr *testkit.Buffer
	done   chan struct{}
	err    error
}

// service starts `convdel run` with further flags.
func (s *stage) service(flags ...string) *process {
	s.tb.Helper()
	return s.start(nil, append([]string{
		"run", "--brokers", strings.Join(s.brokers, ","), "--topic", s.topic, "--dead-letter-topic", s.dlt, "--group", s.group,
		"--im-endpoint", s.sim.URL, "--im-sdkappid", strconv.Itoa(sdkAppID), "--im-identifier", admin,
		"--admin-addr", "", "--log-format", "json", "--start", "earliest",
	}, flags...)...)
}

func (s *stage) start(stdin *strings.Reader, args ...string) *process {
	s.tb.Helper()
	p := &process{tb: s.tb, stderr: new(testkit.Buffer), done: make(chan struct{})}
	p.cmd = exec.CommandContext(context.Background(), cmp.Or(s.binary, convdel(s.tb)), args...)
	p.cmd.Env = append(os.Environ(), "CONVDEL_IM_SECRET_KEY="+secretKey)
	if slices.Contains(args, "--kafka-sasl") {
		p.cmd.Env = append(p.cmd.Env, "CONVDEL_KAFKA_PASSWORD="+password)
	}
	p.cmd.Env = append(p.cmd.Env, s.env...)
	p.cmd.Stderr, p.cmd.Stdout = p.stderr, p.stderr
	if stdin != nil {
		p.cmd.Stdin = stdin
	}
	if err := p.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		wantNoSecret(s.tb, "output", p.stderr.String(), secretKey, password)
		if s.tb.Failed() && !s.quiet {
			s.tb.Log(p.stderr.String())
		}
	})
	return p
}

// stop sends SIGTERM, waits, and returns how long it took.
func (p *process) stop() time.Duration {
	p.tb.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.tb.Fatal(err)
	}
	<-p.done
	if p.err != nil {
		p.tb.Errorf("convdel ended with %v", p.err)
	}
	return time.Since(began)
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// publish writes events through `convdel publish`.
func (s *stage) publish(events ...schema.Event) {
	s.tb.Helper()
	s.publishWith(nil, events...)
}

func (s *stage) publishWith(flags []string, events ...schema.Event) {
	s.tb.Helper()
	var lines strings.Builder
	for _, e := range events {
		value, err := e.Encode()
		if err != nil {
			s.tb.Fatal(err)
		}
		lines.Write(value)
		lines.WriteByte('\n')
	}
	args := append([]string{"publish", "--brokers", strings.Join(s.brokers, ","), "--topic", s.topic}, flags...)
	p := s.start(strings.NewReader(lines.String()), args...)
	<-p.done
	if p.err != nil {
		s.tb.Fatalf("publish: %v\n%s", p.err, p.stderr.String())
	}
}

// produce writes raw values round-robin over the partitions.
func (s *stage) produce(values ...[]byte) {
	s.tb.Helper()
	topics, err := s.admin.ListTopics(s.tb.Context(), s.topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	n := int32(len(topics[s.topic].Partitions))
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: s.topic, Partition: int32(i) % n, Value: v}
	}
	if err := s.client.ProduceSync(s.tb.Context(), records...).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}

// await polls until ok or the limit is over.
func (s *stage) await(limit time.Duration, what string, ok func() bool) {
	s.tb.Helper()
	await(s.tb, limit, what, ok)
}

func await(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	testkit.Await(tb, 50*time.Millisecond, limit, what, ok)
}

// drained returns true if the group has committed everything.
func (s *stage) drained() bool {
	ctx := s.tb.Context()
	ends, err := s.admin.ListCommittedOffsets(ctx, s.topic)
	if err != nil || ends.Error() != nil {
		return false
	}
	committed, err := s.admin.FetchOffsets(ctx, s.group)
	if err != nil || committed.Error() != nil {
		return false
	}
	done := true
	ends.Each(func(end kadm.ListedOffset) {
		at, ok := committed.Lookup(s.topic, end.Partition)
		if end.Offset > 0 && (!ok || at.At < end.Offset) {
			done = false
		}
	})
	return done
}

// deadLetters reads the dead-letter table: the newest record of each key.
func (s *stage) deadLetters() map[string]*kgo.Record {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), 30*time.Second)
	defer cancel()
	all, err := testkit.ReadTopic(ctx, s.client, s.dlt)
	if err != nil {
		s.tb.Fatal(err)
	}
	table := make(map[string]*kgo.Record)
	for _, r := range all {
		table[string(r.Key)] = r
	}
	return table
}

// deletes counts, by account, the calls that the simulator answered with success.
func (s *stage) deletes() map[string]int {
	n := make(map[string]int)
	for _, a := range s.sim.Arrivals() {
		if a.HTTPStatus == 200 && a.Code == 0 {
			n[a.From]++
		}
	}
	return n
}

// events returns C2C deletes of the accounts prefix-N.
func events(prefix string, from, to int) []schema.Event {
	list := make([]schema.Event, 0, to-from)
	for n := from; n < to; n++ {
		list = append(list, schema.Event{Conversation: schema.Conversation{From: fmt.Sprintf("%s-%d", prefix, n), Type: schema.C2C, To: "friend"}})
	}
	return list
}

func values(tb testing.TB, list []schema.Event) [][]byte {
	tb.Helper()
	all := make([][]byte, len(list))
	for i, e := range list {
		v, err := e.Encode()
		if err != nil {
			tb.Fatal(err)
		}
		all[i] = v
	}
	return all
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// wantNoSecret checks that a text contains none of the secrets.
func wantNoSecret(tb testing.TB, where, text string, secrets ...string) {
	tb.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			tb.Errorf("a secret that begins with %.6s is in the %s", secret, where)
		}
	}
}
