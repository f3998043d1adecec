package imclient_test

import (
	"fmt"
	"log" //nolint:depguard // to see that nothing is printed to it
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"convdel/imclient"
	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(proxyChild) != "" {
		callThroughProxy()
		return
	}
	log.SetOutput(&printed)
	goleak.VerifyTestMain(quietMain{m})
}

// printed is what anything in this process prints to the standard logger.
var printed logBuffer

// quietMain runs the tests, and fails if anything was printed.
type quietMain struct{ *testing.M }

func (m quietMain) Run() int {
	code := m.M.Run()
	if text := printed.String(); text != "" {
		_, _ = fmt.Fprintln(os.Stderr, "printed to the standard logger:\n"+text)
		return max(1, code)
	}
	return code
}

const (
	appID      = 1400000000
	identifier = "administrator"
	secretKey  = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
)

var request = imclient.DeleteRequest{From: "id1", Type: imclient.C2C, To: "id2", ClearRamble: true}

func simConfig() imtest.Config {
	return imtest.Config{SDKAppID: appID, Identifier: identifier, SecretKey: secretKey}
}

func itoa(n int) string { return strconv.Itoa(n) }

// newClient returns a client for an endpoint. Its idle connections are closed at the test's end.
func newClient(tb testing.TB, endpoint string, change func(*imclient.Config)) *imclient.Client {
	tb.Helper()
	cfg := imclient.Config{
		Endpoint:   endpoint,
		SDKAppID:   appID,
		Identifier: identifier,
		SecretKey:  imclient.StaticKey(secretKey),
	}
	if change != nil {
		change(&cfg)
	}
	client, err := imclient.New(cfg)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	tb.Cleanup(client.CloseIdleConnections)
	return client
}

// startSim returns a simulator on loopback and a client for it.
func startSim(tb testing.TB, cfg imtest.Config) (*imtest.Server, *imclient.Client) {
	tb.Helper()
	sim, err := imtest.Start(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(sim.Close)
	return sim, newClient(tb, sim.URL, nil)
}

// startHandler returns a client for a server with a handler of the test's own.
func startHandler(tb testing.TB, handler http.HandlerFunc) *imclient.Client {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return newClient(tb, server.URL, nil)
}

// bubbleSim returns a simulator and a client that work inside a synctest bubble, on a network in memory.
func bubbleSim(t *testing.T, cfg imtest.Config, change func(*imclient.Config)) (*imtest.Server, *imclient.Client) {
	t.Helper()
	sim, dial := testkit.StartAPI(t, cfg)
	client := newClient(t, testkit.APIURL, func(c *imclient.Config) {
		c.DialContext = dial
		if change != nil {
			change(c)
		}
	})
	return sim, client
}

// listen returns a listener on loopback that is closed at the test's end.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return listener
}
