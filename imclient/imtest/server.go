package imtest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// These are the defaults of [Config]. The vendor shows the most recent 100 conversations by default.
const (
	defaultPageSize  = 100
	defaultListLimit = 100
)

// PublishedKey is a key for simulators on other machines. Everybody knows it, so signatures made with it need no protection.
const PublishedKey = "simulator-key-not-a-secret"

// Config configures the simulated API.
type Config struct {
	// SDKAppID and Identifier are those of the app and its administrator. SecretKey is the key with which signatures are
	// checked.
	SDKAppID   int
	Identifier string
	SecretKey  string
	// Quota is how many calls of each kind, deletes and lists, are let through in any second; 0 is no limit.
	Quota int
	// PageSize is how many conversations a page of a list has. Default: 100.
	PageSize int
	// ListLimit is how many of an account's conversations the lists show, the most recent ones. Once these are deleted, older ones come
	// up. Default: 100.
	ListLimit int
	// Listed, if set, is called after each page of a list has been made, before it is sent. Then a test can change the account's
	// conversations between two pages.
	Listed func(account string)
	// Latency is added to the time that each answer takes. Default: none.
	Latency Latency
	// Seed makes latencies and faults by share repeatable, in the order of arrival.
	Seed uint64
	// RecordLimit is how many arrivals, and how many deleted conversations, are recorded. 0 means all of them, as in tests.
	// A server that runs for long records only the last ones. A negative limit means none.
	RecordLimit int
}

// Server is the simulator. Make one with [New] or [Start].
type Server struct {
	// URL is the scheme and host to call. Only [Start] sets it.
	URL string

	cfg   Config
	start time.Time
	http  http.Server
	// ledger records deletes, and calls with an unknown path. lists records lists.
	ledger, lists ledger
	faults        faults
	accounts      accounts
	sigs          verifier
	// skew is how far the server's clock is ahead, in nanoseconds.
	skew atomic.Int64

	done    chan struct{} // Close closes it, which ends hanging answers.
	mu      sync.Mutex    // Guards closed, and with it adding to serving.
	closed  bool
	serving sync.WaitGroup // Calls of ServeHTTP, and the goroutine of Start.
}

// New returns a server that does not listen. Use it as an [http.Handler], or see [Server.Serve].
func New(cfg Config) *Server {
	if cfg.PageSize == 0 {
		cfg.PageSize = defaultPageSize
	}
	if cfg.ListLimit == 0 {
		cfg.ListLimit = defaultListLimit
	}
	s := &Server{cfg: cfg, start: time.Now(), done: make(chan struct{})}
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		// net/http's log of reset connections is dropped, since the simulator resets them itself.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	s.ledger.init(cfg)
	s.lists.init(cfg)
	s.sigs.setKey(cfg.SecretKey)
	return s
}

// Start serves on a free port of the loopback interface, see [Server.URL].
func Start(cfg Config) (*Server, error) {
	//nolint:noctx // listening on loopback takes no time that a context could cut short
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the im simulator: %w", err)
	}
	s := New(cfg)
	s.URL = "http://" + l.Addr().String()
	s.serving.Go(func() {
		// Close ends serving. If the listener fails before that, every call shows it.
		_ = s.Serve(l)
	})
	return s, nil
}

// Serve answers calls on a listener until [Server.Close], and returns nil then. It may be called for
// several listeners at once.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	select {
	case <-s.done:
		return nil
	default:
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the im simulator: %w", err)
}

// Close closes listeners and connections, ends calls that hang, and waits for all calls to end.
func (s *Server) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.done)
		// An error of closing a listener is of no use to a test that is over.
		_ = s.http.Close()
	}
	s.serving.Wait()
}

// enter counts a call, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.serving.Add(1)
	return true
}

// SetSecretKey changes the key with which signatures are checked.
func (s *Server) SetSecretKey(key string) { s.sigs.setKey(key) }

// SetClockSkew puts the server's clock ahead of the machine's (negative: behind). It affects the Date header and the expiry
// of signatures. Arrivals keep the machine's time.
func (s *Server) SetClockSkew(ahead time.Duration) { s.skew.Store(int64(ahead)) }

// now returns the time by the server's clock.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }
