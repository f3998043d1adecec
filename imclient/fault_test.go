package imclient_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient"
	"convdel/imclient/imtest"
)

// checkFault checks the fault of an error, and that it is on the list of them.
func checkFault(t *testing.T, err error, want imclient.Fault) {
	t.Helper()
	network, ok := errors.AsType[*imclient.NetworkError](err)
	if !ok || network.Fault != want || !slices.Contains(imclient.Faults(), want) {
		t.Errorf("%#v: want the fault %s", err, want)
	}
}

// TestFaults: each way in which the API does not answer has its word.
func TestFaults(t *testing.T) {
	t.Parallel()
	refused := listen(t)
	_ = refused.Close()
	dialing := func(err error) func(*imclient.Config) {
		return func(c *imclient.Config) {
			c.DialContext = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: err}
			}
		}
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	for _, test := range []struct {
		endpoint string
		edit     func(*imclient.Config)
		want     imclient.Fault
	}{
		{"http://" + refused.Addr().String(), nil, imclient.FaultRefused},
		{"https://im.invalid", dialing(&net.DNSError{Err: "i/o timeout", Name: "im.invalid", IsTimeout: true}), imclient.FaultDNS},
		{"https://im.invalid", dialing(syscall.EHOSTUNREACH), imclient.FaultUnreachable},
		{"https://im.invalid", dialing(syscall.ECONNRESET), imclient.FaultReset},
		{"https://im.invalid", dialing(syscall.ETIMEDOUT), imclient.FaultTimeout},
		{"https://im.invalid", dialing(syscall.EMFILE), imclient.FaultOther},
		{untrusted.URL, nil, imclient.FaultTLS},
		{"https://" + serve(t, "SSH-2.0-x\r\n").Addr().String(), nil, imclient.FaultTLS},
		{"http://" + serve(t, "SSH-2.0-x\r\n").Addr().String(), nil, imclient.FaultNotJSON},
		{"http://" + serve(t, "").Addr().String(), nil, imclient.FaultReset},
		{"https://" + serve(t, "").Addr().String(), nil, imclient.FaultReset},
		{"http://" + serve(t, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{").Addr().String(), nil, imclient.FaultReset},
	} {
		checkFault(t, newClient(t, test.endpoint, test.edit).DeleteConversation(t.Context(), request), test.want)
	}
}

// serve answers the first bytes of each connection with a text, and closes it.
func serve(t *testing.T, text string) net.Listener {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(text))
			if half, ok := conn.(*net.TCPConn); ok {
				_ = half.CloseWrite() // with bytes unread, a whole close would be a reset
			}
			go func() {
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// TestFaultsOfAnswers: answers that are not the API's have words, too. So have calls that end by the time or by the caller.
func TestFaultsOfAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, client := bubbleSim(t, simConfig(), nil)
		for account, want := range map[string]imclient.Fault{
			"http-502": imclient.FaultHTTP5xx, "http-404": imclient.FaultHTTP4xx, "http-429": imclient.FaultHTTP4xx,
			"http-204": imclient.FaultHTTPOther, "http-301": imclient.FaultHTTPOther, "garbage": imclient.FaultNotJSON,
			"hang": imclient.FaultTimeout,
		} {
			r := request
			r.From = account
			checkFault(t, client.DeleteConversation(t.Context(), r), want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r := request
		r.From = "hang"
		checkFault(t, client.DeleteConversation(ctx, r), imclient.FaultStopped)
		sim.Script(imtest.Fault{Reset: true})
		checkFault(t, client.DeleteConversation(t.Context(), request), imclient.FaultReset)
	})
}
