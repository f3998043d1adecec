package service

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/internal/repeats"
)

// lostClient is a client that goes away before its answer is written. Each has another address.
type lostClient struct {
	http.ResponseWriter

	port int
}

func (c lostClient) Write([]byte) (int, error) {
	return 0, fmt.Errorf("write tcp 127.0.0.1:8080->127.0.0.1:%d: %w", c.port, errors.ErrUnsupported)
}

// TestClientsThatGoAwayFloodNoLog: what the admin server's libraries say of one client after the other are equal lines.
func TestClientsThatGoAwayFloodNoLog(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	log := repeats.New(slog.NewJSONHandler(&written, nil))
	a := newTestAdmin(t, func(cfg *adminConfig) {
		cfg.log = slog.New(log)
		cfg.registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "some_total"}))
	})
	_ = a.listener.Close()
	const clients = 50
	for port := range clients {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = "127.0.0.1:8080"
		a.server.Handler.ServeHTTP(lostClient{httptest.NewRecorder(), port}, r)
		a.server.ErrorLog.Printf("http: panic serving 127.0.0.1:%d: odd", port)
	}
	log.Close()
	for _, message := range []string{"metrics not shown", "the admin server says"} {
		if n := strings.Count(written.String(), `"msg":"`+message+`"`); n != 10 {
			t.Errorf("%q: %d lines, want 10", message, n)
		}
		if count := fmt.Sprintf(`"like":%q,"more":%d`, message, clients-10); !strings.Contains(written.String(), count) {
			t.Errorf("no %s in\n%s", count, written.String())
		}
	}
	if !strings.Contains(written.String(), "127.0.0.1:7: unsupported operation") {
		t.Errorf("no text of an error in\n%s", written.String())
	}
}
