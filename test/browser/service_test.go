package browser

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/notable"
	"convdel/internal/service"
)

const (
	secretKey = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	// markup is an account that a page must not take for its own.
	markup = `<script>alert("x")</script>`
)

// serve runs a service on an embedded broker and a simulator until the test ends.
func serve(t *testing.T) (url string, kafka *kfake.Cluster, sim *imtest.Server) {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "events"), kfake.SeedTopics(1, "letters"),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		t.Fatal(err)
	}
	sim, err = imtest.Start(imtest.Config{SDKAppID: 1400000001, Identifier: "administrator", SecretKey: secretKey})
	if err != nil {
		t.Fatal(err)
	}
	book := notable.NewBook(notable.Shown{Clean: imclient.Scrub})
	log := slog.New(notable.New(slog.NewTextHandler(io.Discard, nil), book))
	s, err := service.New(t.Context(), service.Config{
		Consumer: consumer.Config{
			Cluster: cluster.Config{Brokers: kafka.ListenAddrs()}, Topic: "events", Group: "convdel", DeadLetterTopic: "letters",
			CallsPerSecond: 20, ShareByPartitions: true, MaxInFlight: 50, DrainTimeout: time.Second,
		},
		IM:            imclient.Config{Endpoint: sim.URL, SDKAppID: 1400000001, Identifier: "administrator", SecretKey: imclient.StaticKey(secretKey)},
		AdminAddr:     "127.0.0.1:0",
		AdminAccounts: true, Notable: book, Version: "v0.0.0-test", Commit: "unknown",
		Set: []slog.Attr{slog.String("group", markup), slog.String("brokers", strings.Repeat("kafka-1.example:9092,", 20))},
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		kafka.Close()
		sim.Close()
	})
	return s.AdminURL(), kafka, sim
}

func publish(t *testing.T, kafka *kfake.Cluster, n int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records := []*kgo.Record{
		{Topic: "events", Value: []byte(`{"From_Account":"code-50001-\u003cscript\u003ealert(\"x\")\u003c/script\u003e","Type":1,"To_Account":"b"}`)},
		{Topic: "events", Value: []byte(`no event: <img src=x onerror="alert(1)">`)},
	}
	for i := range n {
		records = append(records, &kgo.Record{Topic: "events", Value: fmt.Appendf(nil, `{"From_Account":%q,"Type":1,"To_Account":"b%d"}`, "a'"+markup, i)})
	}
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// TestStatusPage: the page of a service that works, is paused, and has lost Kafka, on a phone. It follows by itself.
func TestStatusPage(t *testing.T) {
	url, kafka, sim := serve(t)
	w := openWindow(t)
	publish(t, kafka, 1500)
	w.size(360, 740, false)
	w.do(chromedp.Navigate(url))
	const state = `document.querySelector('#state strong')?.innerText.toLowerCase() === `
	w.await("working", state+`'working' && document.querySelectorAll('#state ~ section').length === 6`, 20*time.Second)
	w.await("the oldest events", `document.querySelectorAll('table.wide')[0].innerText.includes('a\'<script>')`, 20*time.Second)
	w.wantSound("working")

	sim.Script(imtest.Fault{Code: 60010, Info: `no right for <b>` + markup + `</b>`})
	w.await("paused", state+`'paused'`, 30*time.Second)
	w.wantSound("paused")
	if text := ask[string](w, `document.getElementById('state').innerText`); !strings.Contains(text, "60010") || !strings.Contains(text, "probe") {
		t.Errorf("the sentence of a pause: %q", text)
	}

	kafka.Close()
	w.await("without Kafka", state+`'no kafka'`, 60*time.Second)
	w.wantSound("without Kafka")

	w.do(chromedp.Navigate(url + "/?refresh=off"))
	if ask[int](w, `document.querySelectorAll('meta[http-equiv="refresh"]').length`) != 0 {
		t.Error("the page that should stay asks for itself again")
	}
	w.wantSound("at rest")
	if response, err := http.Get(url + "/status"); err != nil || response.StatusCode != http.StatusOK { //nolint:noctx // it is a test
		t.Errorf("/status: %v", err)
	}
}
