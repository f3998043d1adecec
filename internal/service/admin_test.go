package service

import (
	"context"
	"encoding/json"
	"errors"
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
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:8080"
	a.server.Handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// newTestAdmin makes an admin server. edit may change its configuration.
func newTestAdmin(t *testing.T, edit ...func(*adminConfig)) *admin {
	t.Helper()
	cfg := adminConfig{
		addr: "127.0.0.1:0", registry: prometheus.NewRegistry(), log: slog.New(slog.DiscardHandler),
		status: func() consumer.Status { return consumer.Status{Live: true} }, stuck: func() []consumer.StuckLoop { return nil },
	}
	for _, e := range edit {
		e(&cfg)
	}
	a, err := newAdmin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// startTestAdmin starts an admin server that ends with the test.
func startTestAdmin(t *testing.T, edit ...func(*adminConfig)) *admin {
	t.Helper()
	a := newTestAdmin(t, edit...)
	served := make(chan error, 1)
	go func() { served <- a.serve() }()
	t.Cleanup(func() {
		if err := errors.Join(a.close(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestAdminAnswers(t *testing.T) {
	t.Parallel()
	status := consumer.Status{Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	a := startTestAdmin(t, func(c *adminConfig) {
		consumer.NewMetrics(c.registry)
		c.status = func() consumer.Status { return status }
	})
	for _, c := range []struct {
		live   bool
		status int
	}{{false, 503}, {true, 200}, {false, 503}} {
		status.Live, status.Generation, status.Partitions = c.live, 3, 6
		code, body := a.get("/readyz")
		var r readiness
		if err := json.Unmarshal([]byte(body), &r); err != nil || code != c.status || r.Ready != c.live ||
			r.Generation != 3 || r.Partitions != 6 || !r.Since.Equal(status.Since) || (r.Reason == "") != c.live {
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
	if code, _ := a.get("/anything"); code != http.StatusNotFound {
		t.Errorf("anything else: %d", code)
	}
}

// TestReadinessWhilePaused: a pause is told, with its reason, since when and until when. It fails only a check that asks for that: an
// outage of the API must not make every pod unready.
func TestReadinessWhilePaused(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	pause := &consumer.Pause{
		Reason: consumer.PauseHalt, Since: since, NextProbe: since.Add(time.Minute), LastError: "im api: code 60020",
	}
	status := consumer.Status{Live: true, Generation: 1, Partitions: 2, Paused: pause}
	a := newTestAdmin(t, func(c *adminConfig) { c.status = func() consumer.Status { return status } })
	defer func() { _ = a.listener.Close() }()
	rest := `"generation":1,"partitions":2,"paused":{"reason":"halt","since":"2026-01-02T03:04:05Z",` +
		`"last_error":"im api: code 60020","next_probe":"2026-01-02T03:05:05Z"}}` + "\n"
	if code, body := a.get("/readyz"); code != http.StatusOK || body != `{"ready":true,`+rest {
		t.Errorf("%d %s", code, body)
	}
	if code, body := a.get("/readyz?paused=fail"); code != http.StatusServiceUnavailable || body != `{"ready":false,"reason":"calls are paused: halt: im api: code 60020",`+rest {
		t.Errorf("%d %s", code, body)
	}
	pause.NextProbe = time.Time{}
	if code, body := a.get("/readyz"); code != http.StatusOK || strings.Contains(body, "next_probe") {
		t.Errorf("while a probe is under way: %d %s", code, body)
	}
	status.Paused = nil
	if code, body := a.get("/readyz?paused=fail"); code != http.StatusOK {
		t.Errorf("without a pause: %d %s", code, body)
	}
	for _, query := range []string{"?paused=yes", "?pause=fail", "?paused", "?paused=fail&paused=fail", "?x=1", "?%"} {
		if code, _ := a.get("/readyz" + query); code != http.StatusBadRequest {
			t.Errorf("%s: %d", query, code)
		}
	}
}

// TestReadinessAtAStandstill: a replica that stands still outside of a pause is not ready, and says why and since when.
func TestReadinessAtAStandstill(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := json.Marshal(readinessOf(consumer.Status{Live: true, Generation: 1, Partitions: 2, Stalled: &consumer.Stall{Since: since, Why: "nothing moves"}}, false))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"ready":false,"reason":"nothing moves","generation":1,"partitions":2,"stalled":{"since":"2026-01-02T03:04:05Z","why":"nothing moves"}}`
	if string(text) != want {
		t.Errorf("%s\nwant %s", text, want)
	}
}

// TestReadinessOutsideOfTheGroup: the reason is there, whether or not it is known why the replica is no member.
func TestReadinessOutsideOfTheGroup(t *testing.T) {
	t.Parallel()
	for absent, want := range map[string]string{"": "it has not joined yet", "group not joined: no brokers": "group not joined: no brokers"} {
		if r := readinessOf(consumer.Status{Absent: absent}, false); r.Ready || r.Reason != "no working member of the group: "+want {
			t.Errorf("%q: %+v", absent, r)
		}
	}
	if r := readinessOf(consumer.Status{Generation: 3}, false); r.Ready || r.Reason != "no working member of the group: it has not joined again yet" {
		t.Errorf("between two generations: %+v", r)
	}
}

// TestLiveness: /livez fails while a loop stands still, and names it.
func TestLiveness(t *testing.T) {
	t.Parallel()
	var stuck []consumer.StuckLoop
	a := newTestAdmin(t, func(c *adminConfig) {
		c.stuck = func() []consumer.StuckLoop { return stuck }
		c.status = func() consumer.Status { select {} } // it may need what stands still
	})
	defer func() { _ = a.listener.Close() }()
	if code, body := a.get("/livez"); code != http.StatusOK || body != `{"live":true}`+"\n" {
		t.Errorf("%d %s", code, body)
	}
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	stuck = []consumer.StuckLoop{{Name: "commit", Since: since}, {Name: "fetch partition 3", Since: since}}
	want := `{"live":false,"reason":"loops that stand still: commit since 2026-01-02T03:04:05Z, fetch partition 3 since 2026-01-02T03:04:05Z"}` + "\n"
	if code, body := a.get("/livez"); code != http.StatusServiceUnavailable || body != want {
		t.Errorf("%d %s", code, body)
	}
}
