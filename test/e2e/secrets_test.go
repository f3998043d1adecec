package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"convdel/imclient/imtest"
)

// TestPromise7_SecretsStaySecret runs the service at its lowest log level against an API that fails in every way it can,
// with a login at Kafka, also a wrong one. It looks for the key, the signatures made with it and the password in all
// output: log, metrics, pages and dead letters.
func TestPromise7_SecretsStaySecret(t *testing.T) {
	t.Parallel()
	kafka := kfake.MustCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "svc", password))
	t.Cleanup(kafka.Close)
	login := kgo.SASL(scram.Auth{User: "svc", Pass: password}.AsSha512Mechanism())
	s := newStageOn(t, kafka.ListenAddrs(), 2, imtest.Config{}, login)
	seen, api := s.watchSignatures(s.sim)
	for _, fault := range []string{"code-50004", "code-50001", "http-502", "hang", "reset", "garbage", "drip-900"} {
		s.produce(values(t, events(fault, 0, 3))...)
	}
	s.produce([]byte("garbage"))
	s.produce(values(t, events("slow-400", 0, 200))...)
	traffic := s.flow("traffic", 20*time.Millisecond)
	admin := freeAddr(t)
	flags := []string{
		"--log-level", "debug", "--admin-addr", admin, "--im-endpoint", api,
		"--kafka-sasl", "scram-sha-512", "--kafka-username", "svc",
		"--call-timeout", "500ms", "--max-attempts", "3", "--retry-initial", "10ms", "--retry-max", "50ms",
	}
	p := s.service(flags...)
	s.await(time.Minute, "all kinds of dead letters", func() bool { return s.letterCount() >= 22 })
	s.end(traffic)
	s.await(time.Minute, "every offset committed", s.drained)
	pages := page(t, "http://"+admin+"/metrics") + page(t, "http://"+admin+"/readyz")
	p.stop()
	s.produce(values(t, events("code-70009", 0, 3))...)
	paused := s.service(append(flags, "--admin-addr", "")...)
	s.await(30*time.Second, "a pause", func() bool { return strings.Contains(paused.stderr.String(), "calls paused") })
	paused.stop()
	refused := s.service("--kafka-sasl", "scram-sha-512", "--kafka-username", "nobody", "--log-level", "debug")
	<-refused.done
	if text := refused.stderr.String(); refused.err == nil || !strings.Contains(text, "login") {
		t.Errorf("a refused login: %v\n%s", refused.err, text)
	}
	down := s.service(append(flags, "--im-endpoint", "http://127.0.0.1:1", "--group", s.group+"-down", "--admin-addr", "")...)
	s.await(30*time.Second, "a pause for refused connections", func() bool { return strings.Contains(down.stderr.String(), "refused") })
	down.stop()

	secrets := append(seen(), secretKey, password)
	if len(secrets) < 3 || len(secrets[0]) < 50 {
		t.Fatalf("%d secrets known: the API has seen no signature", len(secrets))
	}
	for i, text := range []string{p.stderr.String(), paused.stderr.String(), refused.stderr.String(), down.stderr.String()} {
		wantNoSecret(t, fmt.Sprint("output of run ", i+1), text, secrets...)
	}
	wantNoSecret(t, "pages", pages, secrets...)
	letters := s.deadLetters()
	if len(letters) < 20 {
		t.Errorf("%d dead letters", len(letters))
	}
	for _, l := range letters {
		wantNoSecret(t, "dead letter", fmt.Sprintf("%s %s %s", l.Key, l.Value, l.Headers), secrets...)
	}
}

// watchSignatures serves an API at an address of its own, which it returns. seen returns the signatures of all calls.
func (s *stage) watchSignatures(api http.Handler) (seen func() []string, url string) {
	s.tb.Helper()
	var mu sync.Mutex
	known := make(map[string]bool)
	listener, err := (&net.ListenConfig{}).Listen(s.tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.tb.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		known[r.URL.Query().Get("usersig")] = true
		mu.Unlock()
		api.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }()
	s.tb.Cleanup(func() { _ = server.Close() })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return sortedKeys(known)
	}, "http://" + listener.Addr().String()
}

func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func page(tb testing.TB, url string) string {
	tb.Helper()
	res, err := http.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(body)
}
