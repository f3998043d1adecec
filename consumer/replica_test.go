package consumer_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/internal/testkit"
)

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

// testCodes are the codes that metrics know.
var testCodes = []consumer.Code{
	{Number: 50001, Verdict: consumer.Permanent},
	{Number: 50003, Verdict: consumer.Permanent},
	{Number: 50004, Verdict: consumer.Transient},
	{Number: 60007, Verdict: consumer.Throttled},
	{Number: 60020, Verdict: consumer.Halt},
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
		Metrics: consumer.NewMetrics(r.registry, testCodes...),
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

// drainAndStop waits until all is done and ends the replica.
func (r *replica) drainAndStop(t *testing.T) {
	t.Helper()
	r.w.awaitDrained(time.Minute)
	r.stop()
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

// metric sums all series of a counter or a gauge, which must be there.
func (r *replica) metric(name string) float64 {
	r.w.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.w.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum, found = sum+m.GetCounter().GetValue()+m.GetGauge().GetValue(), true
			}
		}
	}
	if !found {
		r.w.t.Fatalf("no metric %s", name)
	}
	return sum
}
