package imclient_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

// TestGivenUpCallsAreTakenBack: what a server has not got of a call that is given up never reaches the server. The call would be made a second
// time, long after its retry.
func TestGivenUpCallsAreTakenBack(t *testing.T) {
	t.Parallel()
	server := testkit.NewUnread(t)
	var conn net.Conn
	client := newClient(t, "http://"+server.Address(), func(c *imclient.Config) {
		c.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			var err error
			if conn, err = server.DialContext(ctx, network, address); err != nil {
				return nil, err
			}
			return conn, server.Fill(conn)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	r := request
	r.Sent = cancel // the kernel has it
	if err := client.DeleteConversation(ctx, r); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want a call that is given up", err)
	}
	testkit.Await(t, time.Millisecond, 10*time.Second, "the connection is closed", func() bool {
		return errors.Is(conn.SetDeadline(time.Time{}), net.ErrClosed)
	})
	server.WantReset(server.Conn())
}

// TestConnectionsCloseAfterTheirAnswers: that connections end by a reset loses no call that is answered: of many at once all succeed, though the connection of each
// but one is closed after it.
func TestConnectionsCloseAfterTheirAnswers(t *testing.T) {
	t.Parallel()
	sim, err := imtest.Start(simConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	client := newClient(t, sim.URL, func(c *imclient.Config) { c.MaxConcurrent = 1 })
	const calls = 50
	var together sync.WaitGroup
	for range calls {
		together.Go(func() {
			if err := client.DeleteConversation(t.Context(), request); err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	if got := sim.Stats().Calls; got != calls {
		t.Errorf("%d calls arrived, want %d", got, calls)
	}
}
