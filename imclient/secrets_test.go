package imclient_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tencentyun/tls-sig-api-v2-golang/tencentyun"

	"convdel/imclient"
)

// logBuffer is a log at the lowest level, as text and as JSON.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *logBuffer) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(-100)}
	return slog.New(slog.NewMultiHandler(slog.NewTextHandler(b, options), slog.NewJSONHandler(b, options)))
}

// checkNoSecret looks for secrets in a text: unchanged, escaped for URLs, with base64's usual letters, and for any 16 bytes
// of them.
func checkNoSecret(t *testing.T, what, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret == "" {
			t.Fatalf("%s: no secret to look for", what)
		}
		standard := strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(secret)
		for _, form := range []string{secret, url.QueryEscape(secret), standard, url.QueryEscape(standard)} {
			for i := 0; i+16 <= len(form); i++ {
				if strings.Contains(text, form[i:i+16]) {
					t.Errorf("%s shows %q of a secret: %s", what, form[i:i+16], text)
					return
				}
			}
		}
	}
}

// chain returns an error and all errors that it wraps.
func chain(err error) []error {
	all := []error{err}
	if next := errors.Unwrap(err); next != nil {
		all = append(all, chain(next)...)
	}
	if joined, ok := any(err).(interface{ Unwrap() []error }); ok {
		for _, next := range joined.Unwrap() {
			all = append(all, chain(next)...)
		}
	}
	return all
}

func checkErrorHoldsNoSecret(t *testing.T, err error, secrets ...string) {
	t.Helper()
	var log logBuffer
	for _, e := range chain(err) {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			checkNoSecret(t, fmt.Sprintf("%T %s", e, format), fmt.Sprintf(format, e), secrets...)
		}
		if text, err := json.Marshal(e); err == nil {
			checkNoSecret(t, fmt.Sprintf("%T as JSON", e), string(text), secrets...)
		}
		log.logger().Error("failed", slog.Any("error", e))
	}
	checkNoSecret(t, "log", log.String(), secrets...)
}

// talkback is a server that answers with bytes made from the signature and the target of the request.
func talkback(t *testing.T, answer func(sig, target string) string) string {
	t.Helper()
	listener := listen(t)
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(conn, answer(r.URL.Query().Get("usersig"), r.RequestURI))
			})
		}
	})
	return "http://" + listener.Addr().String()
}

func answer200(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func failure(info string) string {
	text, err := json.Marshal(map[string]any{"ActionStatus": "FAIL", "ErrorCode": 60002, "ErrorInfo": info})
	if err != nil {
		return err.Error()
	}
	return answer200(string(text))
}

// echoes are the ways in which servers and proxies repeat parts of a request.
var echoes = map[string]func(sig, target string) string{
	"info with the target":  func(_, target string) string { return failure("bad request " + target) },
	"info with the value":   func(sig, _ string) string { return failure("usersig " + sig + " is no good") },
	"info is the value":     func(sig, _ string) string { return failure(sig) },
	"info with half of it":  func(sig, _ string) string { return failure("usersig starts " + sig[:len(sig)/2]) },
	"info with a short bit": func(sig, _ string) string { return failure("... " + sig[30:52] + " ...") },
	"info escaped":          func(sig, _ string) string { return failure("bad " + url.QueryEscape(sig)) },
	"info escaped, target":  func(_, target string) string { return failure(url.QueryEscape(target)) },
	"info escaped twice": func(sig, _ string) string {
		return failure(url.QueryEscape("usersig=" + url.QueryEscape(sig)))
	},
	"info in standard base64": func(sig, _ string) string {
		return failure(strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(sig))
	},
	"info in lines": func(sig, _ string) string {
		var b strings.Builder
		for i := 0; i < len(sig); i += 60 {
			b.WriteString(sig[i:min(i+60, len(sig))] + "\n")
		}
		return failure(b.String())
	},
	"info behind 4 KiB": func(sig, _ string) string { return failure(strings.Repeat("x ", 2040) + sig) },
	"info cut at the cap": func(sig, _ string) string {
		return failure(strings.Repeat("y ", 120) + sig)
	},
	"display": func(sig, _ string) string {
		return answer200(`{"ActionStatus":"FAIL","ErrorCode":70003,"ErrorDisplay":"` + sig + `"}`)
	},
	"result info": func(sig, _ string) string {
		return answer200(`{"ActionStatus":"FAIL","ResultCode":70003,"ResultInfo":"` + sig + `"}`)
	},
	"body is the target":     func(_, target string) string { return answer200(target) },
	"body is a page":         func(_, target string) string { return answer200("<a href='" + target + "'>here</a>") },
	"body of the wrong type": func(sig, _ string) string { return answer200(`{"ErrorCode":"` + sig + `"}`) },
	"key in the JSON":        func(sig, _ string) string { return answer200(`{"` + sig + `":`) },
	"status text": func(_, target string) string {
		return "HTTP/1.1 400 bad " + target + "\r\nContent-Length: 0\r\n\r\n"
	},
	"status text of success": func(_, target string) string {
		return "HTTP/1.1 200 " + target + "\r\nContent-Length: 2\r\n\r\n{}"
	},
	"no HTTP at all":   func(_, target string) string { return "what is " + target + "?\r\n\r\n" },
	"malformed status": func(_, target string) string { return "HTTP/1.1 2OO " + target + "\r\n\r\n" },
	"malformed header": func(_, target string) string { return "HTTP/1.1 200 OK\r\n" + target + "\r\n\r\n" },
	"malformed length": func(sig, _ string) string { return "HTTP/1.1 200 OK\r\nContent-Length: " + sig + "\r\n\r\n" },
	"malformed coding": func(sig, _ string) string { return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + sig + "\r\n\r\n" },
	"malformed chunk": func(sig, _ string) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sig + "\r\n"
	},
	"redirect":           func(_, target string) string { return "HTTP/1.1 302 Found\r\nLocation: " + target + "\r\n\r\n" },
	"malformed redirect": func(sig, _ string) string { return "HTTP/1.1 302 Found\r\nLocation: :" + sig + "\r\n\r\n" },
	"content type": func(_, target string) string {
		return "HTTP/1.1 200 OK\r\nContent-Type: " + target + "\r\nContent-Length: 1\r\n\r\n{"
	},
	"date": func(sig, _ string) string {
		return "HTTP/1.1 200 OK\r\nDate: " + sig + "\r\nContent-Length: 1\r\n\r\n{"
	},
	"cut off":   func(_, target string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + target },
	"nothing":   func(string, string) string { return "" },
	"early end": func(string, string) string { return "HTTP/1.1 200 OK\r\nContent-" },
	"unasked switch": func(sig, _ string) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + sig + "\r\n\r\n"
	},
	"endless hints": func(sig, _ string) string { return strings.Repeat("HTTP/1.1 103 "+sig+"\r\nLink: x\r\n\r\n", 10) },
}

func TestEchoedSignatureIsNotShown(t *testing.T) {
	t.Parallel()
	for name, echo := range echoes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			client := newClient(t, talkback(t, echo), func(c *imclient.Config) { c.Logger = log.logger() })
			err := client.DeleteConversation(t.Context(), request)
			if err == nil {
				t.Fatal("no error")
			}
			sig := client.Sig()
			checkErrorHoldsNoSecret(t, err, sig, secretKey)
			checkErrorHoldsNoSecret(t, fmt.Errorf("event 7: %w", errors.Join(io.EOF, err)), sig, secretKey)
			checkNoSecret(t, "log", log.String(), sig, secretKey)
			if len(err.Error()) > 600 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

// TestNetworkFaultsDoNotShowTheSignature has faults below HTTP, whose errors are net/http's own.
func TestNetworkFaultsDoNotShowTheSignature(t *testing.T) {
	t.Parallel()
	dialError := func(err error) func(c *imclient.Config) {
		return func(c *imclient.Config) {
			c.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, err }
		}
	}
	closed := listen(t)
	_ = closed.Close()
	sim, _ := startSim(t, simConfig())
	tlsServer := httptest.NewUnstartedServer(sim)
	tlsServer.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tlsServer.StartTLS()
	t.Cleanup(tlsServer.Close)
	for name, tt := range map[string]struct {
		endpoint string
		account  string
		change   func(c *imclient.Config)
	}{
		"refused":         {endpoint: "http://" + closed.Addr().String()},
		"reset":           {endpoint: sim.URL, account: "reset"},
		"unknown host":    {endpoint: "https://im.invalid", change: dialError(&net.DNSError{Err: "no such host", Name: "im.invalid"})},
		"certificate":     {endpoint: tlsServer.URL},
		"http for https":  {endpoint: strings.Replace(sim.URL, "http:", "https:", 1)},
		"https for http":  {endpoint: strings.Replace(tlsServer.URL, "https:", "http:", 1)},
		"whole URL shown": {endpoint: "http://im", change: dialError(&url.Error{Op: "Post", URL: "http://im/?usersig=" + oldSig(t), Err: io.EOF})},
		"URL deep inside": {
			endpoint: "http://im",
			change:   dialError(fmt.Errorf("proxy: %w", errors.Join(io.EOF, &url.Error{Op: "Post", URL: "http://im/?usersig=" + oldSig(t), Err: io.EOF}))),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			client := newClient(t, tt.endpoint, func(c *imclient.Config) {
				c.Logger, c.Insecure = log.logger(), true
				if tt.change != nil {
					tt.change(c)
				}
			})
			r := request
			if tt.account != "" {
				r.From = tt.account
			}
			err := client.DeleteConversation(t.Context(), r)
			checkNetworkError(t, err, max(0, statusOf(err)), "im api: ")
			checkErrorHoldsNoSecret(t, err, client.Sig(), oldSig(t), secretKey)
			checkNoSecret(t, "log", log.String(), client.Sig(), secretKey)
		})
	}
}

func statusOf(err error) int {
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok {
		return network.HTTPStatus
	}
	return -1
}

// oldSig returns a signature that the present client has not made.
func oldSig(t *testing.T) string {
	t.Helper()
	sig, err := tencentyun.GenUserSig(appID, secretKey, identifier, 7200)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}
