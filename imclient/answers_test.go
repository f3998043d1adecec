package imclient_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"convdel/imclient"
)

func TestAPIErrors(t *testing.T) {
	t.Parallel()
	_, client := startSim(t, simConfig())
	for class, list := range codes {
		for _, code := range list {
			if code == imclient.CodeExpired {
				continue // 70001 has a test of its own.
			}
			for _, account := range []string{"code-", "result-"} {
				r := request
				r.From = account + itoa(code)
				err := client.DeleteConversation(t.Context(), r)
				var api *imclient.APIError
				if !errors.As(err, &api) || api.Code != code || api.HTTPStatus != 200 || api.Info == "" || api.Renewed {
					t.Errorf("%s: got %#v", r.From, err)
				}
				if got := imclient.ClassOf(err); got != class {
					t.Errorf("%s: class %v, want %v", r.From, got, class)
				}
			}
		}
	}
}

func TestHTTPStatusIsNeverTheAPIs(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 204, 302, 307, 400, 401, 403, 404, 429, 500, 502, 503, 504} {
		client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				_, _ = io.WriteString(w, okAnswer) // The status must count, not this body.
			}
		})
		err := client.DeleteConversation(t.Context(), request)
		if status == http.StatusTooManyRequests { // it has a class of its own
			if statusOf(err) != status || imclient.ClassOf(err) != imclient.Throttled {
				t.Errorf("429: got %v", err)
			}
			continue
		}
		checkNetworkError(t, err, status, "http status "+itoa(status))
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var arrivals atomic.Int32
	client := startHandler(t, func(w http.ResponseWriter, r *http.Request) {
		arrivals.Add(1)
		http.Redirect(w, r, "/v4/recentcontact/delete", http.StatusTemporaryRedirect)
	})
	checkNetworkError(t, client.DeleteConversation(t.Context(), request), 307, "http status 307")
	if n := arrivals.Load(); n != 1 {
		t.Errorf("%d arrivals for one call", n)
	}
}

func TestBodiesThatAreNoAnswer(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "OK", "{}", `{"status":"ok"}`, "<html>502</html>", okAnswer[:40], "[1]", okAnswer + okAnswer, `{"ErrorCode":50001,"ErrorCode":0}`,
	} {
		client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		err := client.DeleteConversation(t.Context(), request)
		checkNetworkError(t, err, 200, "answer is not the api's json ("+itoa(len(body))+" bytes, content type")
	}
}

func TestBodyIsCapped(t *testing.T) {
	t.Parallel()
	var written atomic.Int64
	client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := bytes.Repeat([]byte(" "), 32<<10)
		for {
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	checkNetworkError(t, client.DeleteConversation(t.Context(), request), 200, "answer larger than 65536 bytes")

	large := strings.Repeat(" ", 64<<10-len(okAnswer)) + okAnswer
	client = startHandler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, large) })
	if err := client.DeleteConversation(t.Context(), request); err != nil {
		t.Errorf("an answer of exactly 64 KiB: %v", err)
	}
	client = startHandler(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, " "+large) })
	checkNetworkError(t, client.DeleteConversation(t.Context(), request), 200, "answer larger")
}

func TestAnswerCutOff(t *testing.T) {
	t.Parallel()
	client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, okAnswer)
	})
	err := client.DeleteConversation(t.Context(), request)
	checkNetworkError(t, err, 200, "answer cut off")
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v does not wrap io.ErrUnexpectedEOF", err)
	}
}

func TestGarbageAndHTMLFromTheSimulator(t *testing.T) {
	t.Parallel()
	_, client := startSim(t, simConfig())
	r := request
	r.From = "garbage"
	checkNetworkError(t, client.DeleteConversation(t.Context(), r), 200, "not the api's json")
	r.From = "http-502"
	checkNetworkError(t, client.DeleteConversation(t.Context(), r), 502, "http status 502")
	r.From = "hello"
	if err := client.DeleteConversation(t.Context(), r); err != nil {
		t.Errorf("after faults: %v", err)
	}
}
