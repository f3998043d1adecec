package imclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

func TestDeleteConversation(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	for _, r := range []imclient.DeleteRequest{
		{From: "a", Type: imclient.C2C, To: "b", ClearRamble: true},
		{From: "a", Type: imclient.G2C, To: "@TGS#1"},
	} {
		if err := client.DeleteConversation(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if n := sim.Deleted(r.From, r.Type, r.To); n != 1 {
			t.Errorf("%+v deleted %d times", r, n)
		}
	}
	if a := sim.Arrivals(); len(a) != 2 || !a[0].ClearRamble || a[1].ClearRamble {
		t.Errorf("arrivals %+v", a)
	}
}

// checkNetworkError checks that an error is transient and has this status and this text.
func checkNetworkError(t *testing.T, err error, status int, says string) {
	t.Helper()
	var network *imclient.NetworkError
	if !errors.As(err, &network) {
		t.Fatalf("got %v, want a NetworkError", err)
	}
	if network.HTTPStatus != status || !strings.Contains(err.Error(), says) {
		t.Errorf("got status %d and %q, want %d and %q", network.HTTPStatus, err, status, says)
	}
	if class := imclient.ClassOf(err); class != imclient.Transient {
		t.Errorf("class %v", class)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	client := newClient(t, "http://"+listener.Addr().String(), nil)
	_ = listener.Close()
	err := client.DeleteConversation(t.Context(), request)
	checkNetworkError(t, err, 0, "connection refused")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v does not wrap ECONNREFUSED", err)
	}
}

func TestNameNotFound(t *testing.T) {
	t.Parallel()
	client := newClient(t, "https://im.invalid", func(c *imclient.Config) {
		c.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "im.invalid", IsNotFound: true}}
		}
	})
	err := client.DeleteConversation(t.Context(), request)
	checkNetworkError(t, err, 0, "no such host")
	var dns *net.DNSError
	if !errors.As(err, &dns) || !dns.IsNotFound || dns.Name != "im.invalid" {
		t.Errorf("%v does not wrap the DNSError", err)
	}
}

// TestResetIsOneArrival: a call on a connection that dies is not repeated without the caller's knowledge. net/http would
// repeat some requests on a connection that was idle before.
func TestResetIsOneArrival(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	if err := client.DeleteConversation(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	sim.Script(imtest.Fault{Reset: true})
	for n := 2; n <= 4; n++ {
		checkNetworkError(t, client.DeleteConversation(t.Context(), request), 0, "no answer")
		if calls := sim.Stats().Calls; calls != n {
			t.Fatalf("%d arrivals after %d calls", calls, n)
		}
	}
}

// TestCallTimeout: whatever hangs, a call ends exactly when call-timeout has passed.
func TestCallTimeout(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"hang", "slow-60000", "drip-60000"} {
		synctest.Test(t, func(t *testing.T) {
			sim, client := bubbleSim(t, simConfig(), func(c *imclient.Config) { c.CallTimeout = 3 * time.Second })
			r := request
			r.From = account
			start := time.Now()
			err := client.DeleteConversation(t.Context(), r)
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("%s: ended after %v, want 3s", account, took)
			}
			var network *imclient.NetworkError
			if !errors.As(err, &network) || !network.Timeout() || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v, want a timeout", account, err)
			}
			checkErrorHoldsNoSecret(t, err, client.Sig(), secretKey)
			if n := sim.Deleted(r.From, r.Type, r.To); n != 0 && account != "drip-60000" {
				t.Errorf("%s: deleted %d times", account, n)
			}
			// The next call works.
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Errorf("%s: next call: %v", account, err)
			}
		})
	}
}

func TestCallTimeoutWhileConnecting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dialed := make(chan time.Duration, 1)
		client := newClient(t, "http://localhost:1", func(c *imclient.Config) {
			c.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				begin := time.Now()
				<-ctx.Done()
				dialed <- time.Since(begin)
				return nil, ctx.Err()
			}
		})
		start := time.Now()
		err := client.DeleteConversation(t.Context(), request)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("ended after %v, want the default of 5s", took)
		}
		checkNetworkError(t, err, 0, "no answer: context deadline exceeded")
		if took := <-dialed; took != 5*time.Second {
			t.Errorf("connecting was given up after %v", took)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r := request
		r.From = "hang"
		start := time.Now()
		err := client.DeleteConversation(ctx, r)
		if took := time.Since(start); took != time.Second || !errors.Is(err, context.Canceled) {
			t.Errorf("after %v: %v", took, err)
		}
		synctest.Wait()
		if underway := sim.Stats().Underway; underway != 0 {
			t.Errorf("%d calls still hang at the simulator", underway)
		}
	})
}

// countingServer counts the connections that a handler's server accepts.
func countingServer(t *testing.T, handler http.Handler) (*imclient.Client, *atomic.Int32) {
	t.Helper()
	accepted := new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			accepted.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return newClient(t, server.URL, nil), accepted
}

func TestConnectionIsReused(t *testing.T) {
	t.Parallel()
	sim := imtest.New(simConfig())
	t.Cleanup(sim.Close)
	client, accepted := countingServer(t, sim)
	accounts := []string{"hello", "code-50004", "http-502", "garbage", "http-204"}
	for n := range 1000 {
		r := request
		r.From = accounts[n%len(accounts)]
		_ = client.DeleteConversation(t.Context(), r)
	}
	if calls := sim.Stats().Calls; calls != 1000 {
		t.Errorf("%d calls arrived", calls)
	}
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d connections for 1000 calls one after another", n)
	}
}

func TestConnectionsAreReusedByManyAtOnce(t *testing.T) {
	t.Parallel()
	const workers = 64 // The default of MaxConcurrent.
	var meet sync.WaitGroup
	meet.Add(workers)
	var met atomic.Bool
	client, accepted := countingServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if !met.Load() {
			meet.Done() // In the first round all calls are under way at once, each on a connection of its own.
			meet.Wait()
		}
		_, _ = io.WriteString(w, okAnswer)
	}))
	round := func(calls int) {
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for range calls {
					if err := client.DeleteConversation(t.Context(), request); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
	}
	round(1)
	met.Store(true)
	if n := accepted.Load(); n != workers {
		t.Fatalf("%d connections for %d calls at once", n, workers)
	}
	round(50)
	// net/http gives a connection up if its answer comes before the request counts as written, as on a machine that is busy.
	if n := accepted.Load(); n > 2*workers {
		t.Errorf("%d more connections for %d calls", n-workers, 50*workers)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open atomic.Int32
		_, client := bubbleSim(t, simConfig(), func(c *imclient.Config) {
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				open.Add(1)
				return &closeCounter{Conn: conn, open: &open}, err
			}
		})
		if err := client.DeleteConversation(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if n := open.Load(); n != 1 {
			t.Errorf("%d connections open after 29s", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections open after 31s", n)
		}
	})
}

type closeCounter struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *closeCounter) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
