package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"convdel/consumer"
)

// admin answers operators and their machines over HTTP: /metrics, /livez and /readyz.
type admin struct {
	listener net.Listener
	server   *http.Server
}

// adminClose bounds how long open requests may take at the end.
const adminClose = 2 * time.Second

// newAdmin listens on addr. Readiness follows from status.
func newAdmin(ctx context.Context, addr string, registry *prometheus.Registry, status func() consumer.Status, log *slog.Logger) (*admin, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--admin-addr (CONVDEL_ADMIN_ADDR) %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError),
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		body := readinessOf(s)
		code := http.StatusOK
		if !body.Ready {
			code = http.StatusServiceUnavailable
		}
		writeJSON(w, code, body)
	})
	return &admin{
		listener: listener,
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
			ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
	}, nil
}

// readiness is the body of /readyz.
type readiness struct {
	// Ready is true while the replica is a working member of its consumer group, makes calls, and does not stand still.
	Ready      bool `json:"ready"`
	Generation int  `json:"generation"`
	Partitions int  `json:"partitions"`
	// Since is when that state began.
	Since time.Time `json:"since,omitzero"`
	// Paused says why no calls are made.
	Paused *pausedBody `json:"paused,omitempty"`
	// Absent says why the replica is not a working member of the group.
	Absent string `json:"absent,omitempty"`
	// Stalled is set if nothing moves outside of a pause. It says why.
	Stalled *stalledBody `json:"stalled,omitempty"`
	// QuotaFallback is true while the Redis that shares the quota fails, and calls go on by this replica's share.
	QuotaFallback bool `json:"quota_fallback,omitempty"`
}

// stalledBody is a standstill in /readyz.
type stalledBody struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`
}

// pausedBody is a pause in /readyz.
type pausedBody struct {
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	LastError string    `json:"last_error,omitempty"`
	// NextProbe is absent while a probe is under way.
	NextProbe time.Time `json:"next_probe,omitzero"`
}

func readinessOf(s consumer.Status) readiness {
	r := readiness{
		Ready: s.Live && s.Paused == nil && s.Stalled == nil, Generation: s.Generation, Partitions: s.Partitions,
		Since: s.Since, Absent: s.Absent, QuotaFallback: s.QuotaFallback,
	}
	if p := s.Paused; p != nil {
		r.Paused = &pausedBody{Reason: string(p.Reason), Since: p.Since, LastError: p.LastError, NextProbe: p.NextProbe}
	}
	if st := s.Stalled; st != nil {
		r.Stalled = &stalledBody{Since: st.Since, Why: st.Why}
	}
	return r
}

func writeJSON(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone, and nobody else wants the error
}

// url is the address that it listens on, with the real port in place of port 0.
func (a *admin) url() string { return "http://" + a.listener.Addr().String() }

// serve answers until close.
func (a *admin) serve() error {
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

// close lets open requests finish within adminClose, even if ctx has ended.
func (a *admin) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminClose)
	defer cancel()
	if err := a.server.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("admin server: %w", err), a.server.Close())
	}
	return nil
}
