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

// Config says what the simulated API is like.
type Config struct {
	// SDKAppID, Identifier and SecretKey are the app's, its administrator's and the key that
	// signatures are checked with.
	SDKAppID   int
	Identifier string
	SecretKey  string
	// Quota is how many calls are let through in any second; 0 lets all through.
	Quota int
	// Latency is how long each answer takes, on top of what it takes anyway. Default: none.
	Latency Latency
	// Seed makes latencies and faults by share repeatable: drawn in the order of arrival.
	Seed uint64
	// RecordLimit is how many arrivals, and how many deleted conversations, are remembered: 0 for all
	// of them, as tests want, the last so many for a server that runs for long, none if negative.
	RecordLimit int
}

// Server is the simulator. Make one with [New] or [Start].
type Server struct {
	// URL is scheme and host to call, set by [Start] only.
	URL string

	cfg    Config
	start  time.Time
	http   http.Server
	ledger ledger
	faults faults
	sigs   verifier
	// skew is how far the server's clock is ahead, in nanoseconds.
	skew atomic.Int64

	done    chan struct{} // Closed by Close: hanging answers end.
	mu      sync.Mutex    // Guards closed, and with it adding to serving.
	closed  bool
	serving sync.WaitGroup // Calls of ServeHTTP and the Serve that Start has started.
}

// New returns a server that serves nothing yet: use it as an [http.Handler], or see [Server.Serve].
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, start: time.Now(), done: make(chan struct{})}
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: time.Minute,
		// What net/http has to say about connections that were reset is no news here.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	s.ledger.init(cfg)
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
		// Serving ends with Close, and a listener that fails before shows in every call.
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
		// What closing a listener says is of no use to a test that is over.
		_ = s.http.Close()
	}
	s.serving.Wait()
}

// enter counts a call in, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.serving.Add(1)
	return true
}

// SetSecretKey changes the key that signatures are checked with.
func (s *Server) SetSecretKey(key string) { s.sigs.setKey(key) }

// SetClockSkew puts the server's clock ahead of the machine's (negative: behind). It shows in the
// Date header and in what counts as an expired signature. Arrivals keep the machine's time.
func (s *Server) SetClockSkew(ahead time.Duration) { s.skew.Store(int64(ahead)) }

// now is the server's own idea of the time.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }
