package imclient_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

func TestSentOncePerCall(t *testing.T) {
	t.Parallel()
	sim, client := startSim(t, simConfig())
	for _, account := range []string{"hello", "code-50004", "http-502", "garbage", "reset", "hello"} {
		r, sent := counted(account)
		_ = client.DeleteConversation(t.Context(), r)
		if n := sent.Load(); n != 1 {
			t.Errorf("%s: Sent called %d times", account, n)
		}
	}
	if calls := sim.Stats().Calls; calls != 6 {
		t.Errorf("%d calls arrived", calls)
	}
}

func counted(account string) (imclient.DeleteRequest, *atomic.Int32) {
	sent := new(atomic.Int32)
	r := request
	r.From = account
	r.Sent = func() { sent.Add(1) }
	return r, sent
}

func TestSentOverTLS(t *testing.T) {
	t.Parallel()
	sim := imtest.New(simConfig())
	t.Cleanup(sim.Close)
	server := httptest.NewTLSServer(sim)
	t.Cleanup(server.Close)
	client := newClient(t, server.URL, nil)
	client.Transport().TLSClientConfig.RootCAs = x509.NewCertPool()
	client.Transport().TLSClientConfig.RootCAs.AddCert(server.Certificate())
	for range 3 {
		r, sent := counted("hello")
		if err := client.DeleteConversation(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if n := sent.Load(); n != 1 {
			t.Errorf("Sent called %d times", n)
		}
	}
}

func TestNotSent(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	refused := newClient(t, "http://"+listener.Addr().String(), nil)
	_ = listener.Close()
	r, sent := counted("hello")
	if err := refused.DeleteConversation(t.Context(), r); err == nil {
		t.Error("no error without a server")
	}

	sim, client := startSim(t, simConfig())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.DeleteConversation(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before the call: %v", err)
	}

	keyless := newClient(t, sim.URL, func(c *imclient.Config) { c.SecretKey = imclient.StaticKey("") })
	if err := keyless.DeleteConversation(t.Context(), r); imclient.ClassOf(err) != imclient.Halt {
		t.Errorf("without a key: %v", err)
	}
	if n, calls := sent.Load(), sim.Stats().Calls; n != 0 || calls != 0 {
		t.Errorf("Sent called %d times, %d calls arrived", n, calls)
	}
}

// TestSentIsTheMomentOfWriting: Sent is called neither before there is a connection nor only with the answer.
func TestSentIsTheMomentOfWriting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := simConfig()
		cfg.Latency = imtest.Fixed(700 * time.Millisecond)
		_, client := bubbleSim(t, cfg, func(c *imclient.Config) {
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				time.Sleep(300 * time.Millisecond)
				return dial(ctx, network, address)
			}
		})
		for _, want := range []time.Duration{300 * time.Millisecond, 0} { // A new connection, and a used one.
			start := time.Now()
			var after time.Duration
			r := request
			r.Sent = func() { after = time.Since(start) }
			if err := client.DeleteConversation(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if after != want {
				t.Errorf("Sent after %v, want %v", after, want)
			}
		}
	})
}

// TestNotSentWhileNobodyReads: a request that could not be written completely has not been sent, and Sent is not called
// later either.
func TestNotSentWhileNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		listener, err := network.Listen("tcp", "localhost:8000")
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, err := listener.Accept()
			if err == nil {
				accepted <- conn
			}
		}()
		client := newClient(t, "http://localhost:8000", func(c *imclient.Config) { c.DialContext = network.DialContext })
		r, sent := counted("hello")
		var timeout *imclient.NetworkError
		if err := client.DeleteConversation(t.Context(), r); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("got %v, want a timeout", err)
		}
		synctest.Wait()
		if n := sent.Load(); n != 0 {
			t.Errorf("Sent called %d times", n)
		}
		_ = (<-accepted).Close()
		_ = listener.Close()
	})
}

// TestSentIfAnswered: an answer that comes before the request is written completely answers this request all the same, and
// its quota is used up.
func TestSentIfAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		listener, err := network.Listen("tcp", "localhost:8000")
		if err != nil {
			t.Fatal(err)
		}
		answered := make(chan error, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				answered <- err
				return
			}
			// After one byte of the request an answer is possible.
			_, err = conn.Read(make([]byte, 1))
			_, writeErr := io.WriteString(conn, answer200(okAnswer))
			time.Sleep(time.Second)
			answered <- errors.Join(err, writeErr, conn.Close())
		}()
		client := newClient(t, "http://localhost:8000", func(c *imclient.Config) { c.DialContext = network.DialContext })
		r, sent := counted("hello")
		if err := client.DeleteConversation(t.Context(), r); err != nil {
			t.Error(err)
		}
		if n := sent.Load(); n != 1 {
			t.Errorf("Sent called %d times", n)
		}
		if err := <-answered; err != nil {
			t.Error(err)
		}
		if n := sent.Load(); n != 1 {
			t.Errorf("Sent called %d times in the end", n)
		}
		_ = listener.Close()
	})
}
