package service

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/imclient"
	"convdel/imclient/imtest"
)

// surplusProxy stands before the API. It lets so many calls through in each second, and answers the others as refuse does.
type surplusProxy struct {
	api       http.Handler
	perSecond int
	refuse    func(http.ResponseWriter)

	mu      sync.Mutex
	second  time.Time
	let     int
	refused int
}

func (p *surplusProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if second := time.Now().Truncate(time.Second); second != p.second {
		p.second, p.let = second, 0
	}
	p.let++
	surplus := p.let > p.perSecond
	if surplus {
		p.refused++
	}
	p.mu.Unlock()
	if surplus {
		p.refuse(w)
		return
	}
	p.api.ServeHTTP(w, r)
}

// TestPromise5_ProxyThatLetsHalfThrough runs the whole service with its default settings behind a proxy that lets 100 calls through in
// a second. None of 4,000 good events is a dead letter.
func TestPromise5_ProxyThatLetsHalfThrough(t *testing.T) {
	t.Parallel()
	answer := func(status int, retryAfter func() string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if retryAfter != nil {
				w.Header().Set("Retry-After", retryAfter())
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"ActionStatus":"FAIL","ErrorCode":50002,"ErrorInfo":"rate limit"}`))
		}
	}
	for name, refuse := range map[string]func(http.ResponseWriter){
		"429":                 answer(429, nil),
		"429 until a date":    answer(429, func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }),
		"429 for a long time": answer(429, func() string { return "86400000000000000000" }),
		"503 for a second":    answer(503, func() string { return "1" }),
		"503 until nonsense":  answer(503, func() string { return "-1" }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { halfThrough(t, refuse) })
		})
	}
}

func halfThrough(t *testing.T, refuse func(http.ResponseWriter)) {
	t.Helper()
	const events = 4000
	network := new(kfake.VirtualNetwork)
	kafka := kfake.MustCluster(kfake.ListenFn(network.Listen), kfake.NumBrokers(1), kfake.Ports(9092), kfake.SeedTopics(1, "events", "letters"))
	defer kafka.Close()
	api := imtest.New(imtest.Config{
		SDKAppID: 7, Identifier: "admin", SecretKey: secretKey, RecordLimit: -1, Latency: imtest.Uniform(20*time.Millisecond, 80*time.Millisecond),
	})
	defer api.Close()
	proxy := &surplusProxy{api: api, perSecond: 100, refuse: refuse}
	listener, err := network.Listen("tcp", "localhost:8000")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.Dialer(network.DialContext), kgo.DefaultProduceTopic("events"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := make([]*kgo.Record, events)
	for n := range records {
		records[n] = &kgo.Record{Value: fmt.Appendf(nil, `{"From_Account":"user%d","Type":1,"To_Account":"friend","ClearRamble":0}`, n)}
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s, err := New(ctx, Config{
		Consumer: consumer.Config{
			Cluster: cluster.Config{Brokers: kafka.ListenAddrs(), Dial: network.DialContext},
			Topic:   "events", Group: "group", DeadLetterTopic: "letters", CallsPerSecond: 200, ShareByPartitions: true,
		},
		IM: imclient.Config{
			Endpoint: "http://localhost:8000", SDKAppID: 7, Identifier: "admin", SecretKey: imclient.StaticKey(secretKey), DialContext: network.DialContext,
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	began := time.Now()
	for s.Counts("convdel_events_total")["deleted"] < events && time.Since(began) < 10*time.Minute {
		time.Sleep(time.Second)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	ends := s.Counts("convdel_events_total")
	if ends["deleted"] != events || Sum(ends) != events || proxy.refused == 0 {
		t.Errorf("ends %v after %s, %d calls refused; want %d deleted", ends, time.Since(began), proxy.refused, events)
	}
}
