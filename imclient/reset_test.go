package imclient_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"convdel/imclient"
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
