package service

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
)

// get fetches a page.
func (a *admin) get(path string) (status int, body string) {
	w := httptest.NewRecorder()
	a.server.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestAdminAnswers(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	consumer.NewMetrics(registry)
	status := consumer.Status{Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	a, err := newAdmin(t.Context(), "127.0.0.1:0", registry, func() consumer.Status { return status }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- a.serve() }()
	for _, c := range []struct {
		live   bool
		status int
	}{{false, 503}, {true, 200}, {false, 503}} {
		status.Live, status.Generation, status.Partitions = c.live, 3, 6
		code, body := a.get("/readyz")
		var r readiness
		if err := json.Unmarshal([]byte(body), &r); err != nil || code != c.status || r.Ready != c.live ||
			r.Generation != 3 || r.Partitions != 6 || !r.Since.Equal(status.Since) {
			t.Errorf("live %v: %d %s %v", c.live, code, body, err)
		}
		if code, _ := a.get("/livez"); code != http.StatusOK {
			t.Errorf("livez: %d", code)
		}
	}
	status.QuotaFallback = true
	if _, body := a.get("/readyz"); !strings.Contains(body, `"quota_fallback":true`) {
		t.Errorf("without the budget: %s", body)
	}
	if code, body := a.get("/metrics"); code != http.StatusOK || !strings.Contains(body, "convdel_commits_total 0") {
		t.Errorf("metrics: %d %s", code, body)
	}
	if code, _ := a.get("/"); code != http.StatusNotFound {
		t.Errorf("anything else: %d", code)
	}
	if err := a.close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestReadinessWhilePaused: a replica that makes no calls is not ready, and says why, since when and until when.
func TestReadinessWhilePaused(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pause := &consumer.Pause{
		Reason: consumer.PauseHalt, Since: since, NextProbe: since.Add(time.Minute), LastError: "im api: code 60020",
	}
	text, err := json.Marshal(readinessOf(consumer.Status{Live: true, Generation: 1, Partitions: 2, Paused: pause}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ready":false,"generation":1,"partitions":2,"paused":{"reason":"halt","since":"2026-01-02T03:04:05Z",` +
		`"last_error":"im api: code 60020","next_probe":"2026-01-02T03:05:05Z"}}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
	pause.NextProbe = time.Time{}
	if text, err = json.Marshal(readinessOf(consumer.Status{Live: true, Paused: pause})); err != nil || strings.Contains(string(text), "next_probe") {
		t.Errorf("while a probe is under way: %s, %v", text, err)
	}
}

// TestReadinessAtAStandstill: a replica that stands still outside of a pause is not ready, and says why and since when.
func TestReadinessAtAStandstill(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := json.Marshal(readinessOf(consumer.Status{Live: true, Generation: 1, Partitions: 2, Stalled: &consumer.Stall{Since: since, Why: "nothing moves"}}))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ready":false,"generation":1,"partitions":2,"stalled":{"since":"2026-01-02T03:04:05Z","why":"nothing moves"}}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}
