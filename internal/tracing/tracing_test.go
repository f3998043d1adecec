package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"convdel/consumer"
	"convdel/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

func TestRead(t *testing.T) {
	t.Parallel()
	const endpoint, headers = "https://user:passw0rd@", "api-key=passw0rd"
	for name, c := range map[string]struct {
		env      environment
		insecure bool
		want     string // the endpoint, empty for none
		wrong    string // the variable
	}{
		"nothing":             {},
		"endpoint":            {env: environment{envEndpoint: "http://localhost:4318"}, want: "http://localhost:4318/v1/traces"},
		"with a path":         {env: environment{envEndpoint: "https://host/otlp/"}, want: "https://host/otlp/v1/traces"},
		"traces' own":         {env: environment{envTracesEndpoint: "https://host/mine", envEndpoint: "ftp://"}, want: "https://host/mine"},
		"traces' own, bare":   {env: environment{envTracesEndpoint: "https://host"}, want: "https://host/"},
		"disabled":            {env: environment{envEndpoint: "http://localhost:4318", envDisabled: "TRUE"}},
		"not disabled":        {env: environment{envEndpoint: "http://localhost:4318", envDisabled: "false"}, want: "http://localhost:4318/v1/traces"},
		"no exporter":         {env: environment{envEndpoint: "http://localhost:4318", envExporter: "none"}},
		"other exporter":      {env: environment{envEndpoint: "http://localhost:4318", envExporter: "console"}},
		"exporter alone":      {env: environment{envExporter: "otlp"}, want: "http://localhost:4318/v1/traces"},
		"empty":               {env: environment{envEndpoint: " ", envTracesEndpoint: ""}},
		"headers alone":       {env: environment{envHeaders: headers}},
		"not HTTP":            {env: environment{envEndpoint: "grpc://passw0rd:4317"}, wrong: envEndpoint},
		"no host":             {env: environment{envEndpoint: "http://:4318"}, wrong: envEndpoint},
		"no scheme":           {env: environment{envEndpoint: "passw0rd:4318"}, wrong: envEndpoint},
		"password":            {env: environment{envTracesEndpoint: endpoint + "host"}, wrong: envTracesEndpoint},
		"query":               {env: environment{envEndpoint: "https://host?key=passw0rd"}, wrong: envEndpoint},
		"headers in clear":    {env: environment{envEndpoint: "http://collector:4318", envHeaders: headers}, wrong: envEndpoint},
		"own headers":         {env: environment{envEndpoint: "http://collector:4318", envTracesHeaders: headers}, wrong: envEndpoint},
		"headers at home":     {env: environment{envEndpoint: "http://[::1]:4318", envHeaders: headers}, want: "http://[::1]:4318/v1/traces"},
		"headers over TLS":    {env: environment{envEndpoint: "https://collector", envHeaders: headers}, want: "https://collector/v1/traces"},
		"headers, insecure":   {env: environment{envEndpoint: "http://collector:4318", envHeaders: headers}, insecure: true, want: "http://collector:4318/v1/traces"},
		"queue":               {env: environment{envEndpoint: "https://host", envQueue: " 100000 "}, want: "https://host/v1/traces"},
		"queue, huge":         {env: environment{envEndpoint: "https://host", envQueue: "1000000000000"}, wrong: envQueue},
		"queue, too huge":     {env: environment{envEndpoint: "https://host", envQueue: "99999999999999999999"}, wrong: envQueue},
		"queue, none":         {env: environment{envEndpoint: "https://host", envQueue: "0"}, wrong: envQueue},
		"queue, no traces":    {env: environment{envQueue: "passw0rd"}},
		"no headers in clear": {env: environment{envEndpoint: "http://collector:4318"}, want: "http://collector:4318/v1/traces"},
	} {
		s, err := Read(c.env.lookup, c.insecure)
		got := ""
		if s != nil {
			got = s.endpoint.String()
		}
		wrong, ok := errors.AsType[*SettingError](err)
		if got != c.want || ok != (c.wrong != "") || ok && wrong.Variable != c.wrong {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if text := fmt.Sprintf("%v %+v %#v %v", s, s, s, err); strings.Contains(text, "passw0rd") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestGRPCIsWarnedOf(t *testing.T) {
	t.Parallel()
	s, err := Read(environment{envEndpoint: "http://localhost:4317", envProtocol: "grpc"}.lookup, false)
	if err != nil || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], envProtocol) {
		t.Errorf("%v, %v", s.Warnings, err)
	}
}

// stuckExporter sends nothing until its context ends.
type stuckExporter struct{}

func (stuckExporter) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stuckExporter) Shutdown(context.Context) error { return nil }

// TestAStuckCollector: spans beyond the bound are dropped and counted, nothing waits, and the stop takes a second.
func TestAStuckCollector(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const events = 5000
		tr, err := with(t.Context(), &Settings{}, stuckExporter{}, Config{API: "https://console.tim.qq.com"}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range events {
			tr.Event(consumer.TracedEvent{Topic: "events", Offset: int64(n), Fetched: began}).End(consumer.TracedEnd{Outcome: consumer.OutcomeDeleted})
		}
		if time.Since(began) > 0 {
			t.Errorf("events have waited for %s", time.Since(began))
		}
		if got := tr.Counts(); got.Dropped != events-sdktrace.DefaultMaxQueueSize || got.Sent > 0 {
			t.Errorf("counted %+v", got)
		}
		began = time.Now()
		tr.Close()
		if took := time.Since(began); took != closeWithin {
			t.Errorf("closed after %s", took)
		}
		synctest.Wait()
		if got := tr.Counts(); got.Failed != sdktrace.DefaultMaxQueueSize {
			t.Errorf("counted %+v in the end", got)
		}
	})
}

// TestHeadersStaySecret: neither what can't be read, nor what a collector repeats, nor a redirect tells anybody a header.
func TestHeadersStaySecret(t *testing.T) { //nolint:paralleltest // it sets variables
	const token = "s3cret-t0ken"
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header.Get("Api-Key")) }))
	defer other.Close()
	got := ""
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Api-Key")
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
			return
		}
		http.Error(w, "no such key: "+got, http.StatusUnauthorized)
	}))
	defer home.Close()
	for name, c := range map[string]struct{ path, headers, says string }{
		"refused":    {"", "api-key=" + token, "401 Unauthorized"},
		"redirected": {"/moved", "api-key=" + token, "redirects to another address"},
		"escaped":    {"", "api-key=s3cret%2Dt0ken", "401 Unauthorized"},
		"unreadable": {"", "api-key=" + token + ",Bearer " + token + ",=" + token + ",a b=" + token + ",x=%zz" + token, "401 Unauthorized"},
	} {
		t.Setenv(envHeaders, c.headers)
		log := new(testkit.Buffer)
		s, err := Read(environment{envEndpoint: home.URL + c.path, envHeaders: c.headers}.lookup, false)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := New(t.Context(), s, Config{API: "https://console.tim.qq.com"}, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		tr.Event(consumer.TracedEvent{Topic: "events", Fetched: time.Now()}).End(consumer.TracedEnd{Outcome: consumer.OutcomeDeleted})
		otel.Handle(errors.New("an error with " + token))
		tr.Close()
		if text := log.String(); strings.Contains(text, "t0ken") || !strings.Contains(text, c.says) || !strings.Contains(text, "an error with") {
			t.Errorf("%s: log %s", name, text)
		}
		if got != token || len(elsewhere) > 0 || tr.Counts().Failed != 1 {
			t.Errorf("%s: the collector has got %q, others %q, %+v", name, got, elsewhere, tr.Counts())
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// TestUnsampledEventsHaveNoSpan: they cost nothing further.
func TestUnsampledEventsHaveNoSpan(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "always_off")
	tr, err := with(t.Context(), &Settings{}, stuckExporter{}, Config{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	if span := tr.Event(consumer.TracedEvent{Topic: "events", Fetched: time.Now(), Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}); span != nil {
		t.Errorf("a span: %v", span)
	}
}

// TestWhatTheSDKSaysShowsNoValues: its own log shows variables that it can't read.
func TestWhatTheSDKSaysShowsNoValues(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := saying{slog.NewTextHandler(&log, nil)}
	slog.New(h).With("input", "passw0rd").WithGroup("g").Error("parse headers", "input", "passw0rd")
	slog.New(h).Info("starting")
	if text := log.String(); strings.Contains(text, "passw0rd") || !strings.Contains(text, "parse headers") || strings.Contains(text, "starting") {
		t.Errorf("log %s", text)
	}
}

// TestACollectorThatTakesAPart of the spans, or warns: those that it rejects are counted as lost, the others as sent. Its text is no line's.
func TestACollectorThatTakesAPart(t *testing.T) {
	t.Setenv(envHeaders, "")
	answer := ""
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	defer collector.Close()
	for _, c := range []struct {
		rejects    int64
		text, says string
		want       Counts
	}{
		{2, "no alice7731\n(3 spans rejected)", "the collector rejects 2 spans", Counts{Sent: 1, Failed: 2}},
		{0, "slow down, alice7731", "the collector has taken all spans and warns", Counts{Sent: 3}},
		{99, "", "spans=3", Counts{Failed: 3}},
	} {
		answer = fmt.Sprintf(`{"partialSuccess":{"rejectedSpans":"%d","errorMessage":%q}}`, c.rejects, c.text)
		log := new(testkit.Buffer)
		s, err := Read(environment{envEndpoint: collector.URL}.lookup, false)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := New(t.Context(), s, Config{API: "https://console.tim.qq.com"}, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			tr.Event(consumer.TracedEvent{Topic: "events", Fetched: time.Now()}).End(consumer.TracedEnd{Outcome: consumer.OutcomeDeleted})
		}
		tr.Close()
		if text := log.String(); tr.Counts() != c.want || strings.Contains(text, "alice7731") || !strings.Contains(text, c.says) {
			t.Errorf("%d rejected: %+v, log %s", c.rejects, tr.Counts(), text)
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
