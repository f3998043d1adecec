package imclient_test

import (
	"bufio"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"convdel/imclient"
)

// surplusServer answers each request on a connection with what answer returns, part by part, a moment between the parts.
// It counts requests and connections.
func surplusServer(t *testing.T, listener net.Listener, answer func(sig string) []string) (requests, accepted *atomic.Int32) {
	t.Helper()
	requests, accepted = new(atomic.Int32), new(atomic.Int32)
	var serving sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					requests.Add(1)
					for i, part := range answer(r.URL.Query().Get("usersig")) {
						if i > 0 {
							time.Sleep(time.Millisecond)
						}
						if _, err := io.WriteString(conn, part); err != nil {
							return
						}
					}
				}
			})
		}
	})
	return requests, accepted
}

// chunked is an answer in chunks.
func chunked(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

const failed = `{"ActionStatus":"FAIL","ErrorCode":50004,"ErrorInfo":"later"}`

// TestPromise7_BytesThatNoCallHasAskedFor: a server sends more than the answer, and repeats the signature in it. Nobody prints that, which
// TestMain checks for the whole package; and no call takes it for its own answer.
func TestPromise7_BytesThatNoCallHasAskedFor(t *testing.T) {
	t.Parallel()
	surplus := func(sig string) string {
		return answer200(`{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"` + sig + `"}`)
	}
	for name, answer := range map[string]func(sig string) []string{
		"with the answer":           func(sig string) []string { return []string{answer200(failed) + surplus(sig)} },
		"after the answer":          func(sig string) []string { return []string{answer200(failed), surplus(sig)} },
		"byte by byte":              func(sig string) []string { return append([]string{answer200(failed)}, strings.Split(sig[:20], "")...) },
		"with an answer in chunks":  func(sig string) []string { return []string{chunked(failed) + surplus(sig)} },
		"after an answer in chunks": func(sig string) []string { return []string{chunked(failed), surplus(sig)} },
		"with an empty answer": func(sig string) []string {
			return []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + surplus(sig)}
		},
		"with an answer without a body": func(sig string) []string { return []string{"HTTP/1.1 204 No Content\r\n\r\n" + surplus(sig)} },
		"with another status": func(sig string) []string {
			return []string{"HTTP/1.1 502 x\r\nContent-Length: 1\r\n\r\nx" + surplus(sig)}
		},
		"no HTTP":       func(sig string) []string { return []string{answer200(failed) + sig + "\r\n" + sig} },
		"one byte":      func(string) []string { return []string{answer200(failed) + "H"} },
		"an empty line": func(string) []string { return []string{answer200(failed) + "\r\n"} },
		"behind a hint": func(sig string) []string {
			return []string{"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer200(failed) + surplus(sig)}
		},
		"a length that does not count": func(sig string) []string {
			return []string{"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n\r\n" + surplus(sig)}
		},
		"a length that counts twice": func(sig string) []string {
			return []string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n{" + surplus(sig)}
		},
		"a status for what has not been asked": func(sig string) []string {
			return []string{answer200(failed), "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n" + sig}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				network := new(kfake.VirtualNetwork)
				listener, err := network.Listen("tcp", "localhost:8000")
				if err != nil {
					t.Fatal(err)
				}
				requests, _ := surplusServer(t, listener, answer)
				client := newClient(t, "http://localhost:8000", func(c *imclient.Config) { c.DialContext = network.DialContext })
				for n := range 10 {
					err := client.DeleteConversation(t.Context(), request)
					if err == nil {
						t.Fatalf("call %d is answered by what was left of another answer", n)
					}
					checkErrorHoldsNoSecret(t, err, client.Sig())
					// What comes when the next call is on its way can't be told from its answer.
					if n%2 == 0 || len(answer("0123456789012345678901234567890123456789")) > 1 {
						time.Sleep(time.Second)
					}
				}
				if n := requests.Load(); n < 5 {
					t.Errorf("%d requests have arrived", n)
				}
			})
		})
	}
}

// TestCallTimeoutWithAnUnfinishedAnswer: the server begins an answer and goes no further. The call ends when call-timeout has passed, or
// before, whatever has come: an answer with status 101 has no end at all.
func TestCallTimeoutWithAnUnfinishedAnswer(t *testing.T) {
	t.Parallel()
	for _, begin := range []string{
		"", "H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\nx",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"HTTP/1.1 199 x\r\nContent-Length: 9\r\n\r\nx",
		"HTTP/1.1 200 OK\r\n\r\n{", "HTTP/1.0 200 OK\r\n\r\n{", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n{",
		"HTTP/1.1 429 x\r\nContent-Length: 9\r\n\r\nx", "HTTP/1.1 502 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
	} {
		synctest.Test(t, func(t *testing.T) {
			network := new(kfake.VirtualNetwork)
			listener, err := network.Listen("tcp", "localhost:8000")
			if err != nil {
				t.Fatal(err)
			}
			surplusServer(t, listener, func(string) []string { return []string{begin} })
			client := newClient(t, "http://localhost:8000", func(c *imclient.Config) {
				c.DialContext, c.CallTimeout = network.DialContext, 3*time.Second
			})
			ended := make(chan error, 1)
			go func() { ended <- client.DeleteConversation(t.Context(), request) }()
			select {
			case err := <-ended:
				if err == nil {
					t.Errorf("%q is a success", begin)
				}
			case <-time.After(4 * time.Second):
				t.Errorf("%q: the call goes on after call-timeout", begin)
			}
		})
	}
}

// TestBytesThatNoCallHasAskedForOverTLS: the same above TLS, also behind a proxy that connects.
func TestBytesThatNoCallHasAskedForOverTLS(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		calls.Add(1)
		_, _ = buf.WriteString(answer200(failed) + "HTTP/1.1 200 OK\r\n\r\nusersig=" + r.URL.Query().Get("usersig"))
		_ = buf.Flush()
		_, _ = io.Copy(io.Discard, conn) // until the client closes it
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newClient(t, server.URL, nil)
	client.Transport().TLSClientConfig.RootCAs = x509.NewCertPool()
	client.Transport().TLSClientConfig.RootCAs.AddCert(server.Certificate())
	for range 10 {
		api, ok := errors.AsType[*imclient.APIError](client.DeleteConversation(t.Context(), request))
		if !ok || api.Code != 50004 {
			t.Fatalf("got %v", api)
		}
		time.Sleep(time.Millisecond)
	}
	if n := calls.Load(); n != 10 {
		t.Errorf("%d calls", n)
	}
}

// TestConnectionsOfOtherFormsAreReused: an answer that is read to its end leaves its connection as it was.
func TestConnectionsOfOtherFormsAreReused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"chunks":             chunked(okAnswer),
		"chunks and trailer": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\nX: y\r\n\r\n", len(okAnswer), okAnswer),
		"bare line feeds":    fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n%s", len(okAnswer), okAnswer),
		"lower case":         fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-length:%d\r\n\r\n%s", len(okAnswer), okAnswer),
		"behind a hint":      "HTTP/1.1 103 x\r\nLink: y\r\n\r\n" + answer200(okAnswer),
		"folded header":      fmt.Sprintf("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: %d\r\n\r\n%s", len(okAnswer), okAnswer),
		"a large body":       answer200(strings.Repeat(" ", 60<<10) + okAnswer),
		"a large body, cut in chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 30<<10, strings.Repeat(" ", 30<<10), len(okAnswer), okAnswer),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener := listen(t)
			_, conns := surplusServer(t, listener, func(string) []string { return []string{answer} })
			client := newClient(t, "http://"+listener.Addr().String(), nil)
			for range 5 {
				if err := client.DeleteConversation(t.Context(), request); err != nil {
					t.Fatal(err)
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections for 5 calls", n)
			}
		})
	}
}

// TestSwitchingProtocolsEndsTheCall: the body of such an answer is the connection itself, which no deadline of the call ends.
func TestSwitchingProtocolsEndsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := new(kfake.VirtualNetwork)
		listener, err := network.Listen("tcp", "localhost:8000")
		if err != nil {
			t.Fatal(err)
		}
		surplusServer(t, listener, func(string) []string {
			return []string{"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n", "other bytes"}
		})
		client := newClient(t, "http://localhost:8000", func(c *imclient.Config) { c.DialContext = network.DialContext })
		begun := time.Now()
		checkNetworkError(t, client.DeleteConversation(t.Context(), request), http.StatusSwitchingProtocols, "http status 101")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}
