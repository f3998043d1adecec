package service

import (
	"context"
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

// admin answers operators and their machines over HTTP: the status page, /status, /metrics, /livez and /readyz. Strangers may reach its address. So requests have
// no body, bounded headers and a time limit, and name the address by a known name; connections are bounded.
type admin struct {
	listener *listener
	server   *http.Server
}

// adminConfig says where the admin server listens and what it answers from.
type adminConfig struct {
	addr string
	// hosts are names that requests may use besides those of this machine and addr's.
	hosts    []string
	registry *prometheus.Registry
	status   func() consumer.Status
	// stuck returns the loops that stand still. It must answer at once, whatever stands still.
	stuck func() []consumer.StuckLoop
	// board answers / and /status; nil: nothing does.
	board *board
	log   *slog.Logger
}

const (
	// adminClose bounds how long open requests may take at the end.
	adminClose = 2 * time.Second
	// requestTime bounds the arrival of a request, answerTime that of its answer.
	requestTime = 5 * time.Second
	answerTime  = 30 * time.Second
	// idleTime is longer than most intervals between two scrapes.
	idleTime = time.Minute
	// maxHeader bounds a request's line and headers, to which net/http adds 4 KiB.
	maxHeader = 8 << 10
)

// newAdmin listens.
func newAdmin(ctx context.Context, cfg adminConfig) (*admin, error) {
	tcp, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.addr)
	if err != nil {
		return nil, fmt.Errorf("--admin-addr (CONVDEL_ADMIN_ADDR) %s: %w", cfg.addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.registry, promhttp.HandlerOpts{
		EnableOpenMetrics: true, // where it is asked for: it has exemplars
		ErrorLog:          textLog(cfg.log, slog.LevelError, "metrics not shown"),
	}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answerLive(w, cfg.stuck()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { answerReady(w, r, cfg.status) })
	if cfg.board != nil {
		mux.HandleFunc("GET "+statusPath, cfg.board.serveJSON)
		mux.HandleFunc("GET /{$}", cfg.board.servePage)
	}
	return &admin{
		listener: newListener(tcp),
		server: &http.Server{
			Handler: guarded(mux, knownHosts(cfg.addr, cfg.hosts)), ConnContext: withConnection,
			ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
			MaxHeaderBytes: maxHeader, DisableGeneralOptionsHandler: true,
			ErrorLog: textLog(cfg.log, slog.LevelWarn, "the admin server says"),
		},
	}, nil
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

// close lets open requests finish within adminClose, even if ctx has ended, and cuts the others off: a client that holds its connection
// makes no clean stop a failure.
func (a *admin) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminClose)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if err != nil && ctx.Err() != nil {
		err = a.server.Close()
	}
	if err != nil {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}
