package imclient_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"convdel/imclient"
)

// TestThrottledByWhatStandsBeforeTheAPI: 429, and 503 with a Retry-After, are throttled, and say for how long.
func TestThrottledByWhatStandsBeforeTheAPI(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	// These are the forms of the header, for either status, and the wait that each asks for.
	waits := map[string]time.Duration{
		"0": 0, "1": time.Second, " 07 ": 7 * time.Second, "60": time.Minute, "61": time.Minute, "86400": time.Minute,
		"99999999999999999999999999": time.Minute, strings.Repeat("0", 200) + "5": 5 * time.Second,
		"-5": 0, "+5": 0, "1.5": 0, "5s": 0, "1e3": 0, "soon": 0, "": 0, "٣": 0, "5, 7": 0, "0x10": 0,
		in(30 * time.Second): 30 * time.Second, in(-time.Hour): 0, in(time.Hour): time.Minute,
		"Wed, 31 Feb 2026 10:00:00 GMT": 0, "Sunday, 06-Nov-94 08:49:37 GMT": 0, "Sun Nov  6 08:49:37 1994": 0,
		"Fri, 31 Dec 9999 23:59:59 GMT": time.Minute,
	}
	for _, status := range []int{429, 503} {
		for text, want := range waits {
			client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", text)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, okAnswer) // the status counts
			})
			err := client.DeleteConversation(t.Context(), request)
			network, ok := errors.AsType[*imclient.NetworkError](err)
			if !ok || network.HTTPStatus != status || !network.Throttled || imclient.ClassOf(err) != imclient.Throttled {
				t.Errorf("%d, %q: got %#v", status, text, err)
				continue
			}
			if off := network.RetryAfter - want; off.Abs() > 2*time.Second || want == 0 && off != 0 { // dates have whole seconds
				t.Errorf("%d, %q: wait %s, want %s", status, text, network.RetryAfter, want)
			}
		}
	}
}

// TestRetryAfterByTheServersClock: a date is meant by the clock of the server that has sent it.
func TestRetryAfterByTheServersClock(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-24 * time.Hour, -time.Minute, 0, 3 * time.Hour} {
		client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
			now := time.Now().Add(skew).UTC()
			w.Header().Set("Date", now.Format(http.TimeFormat))
			w.Header().Set("Retry-After", now.Add(20*time.Second).Format(http.TimeFormat))
			w.WriteHeader(http.StatusTooManyRequests)
		})
		network, ok := errors.AsType[*imclient.NetworkError](client.DeleteConversation(t.Context(), request))
		if !ok || network.RetryAfter != 20*time.Second || network.Error() != "im api: http status 429 (retry after 20s)" {
			t.Errorf("with a clock off by %s: %#v", skew, network)
		}
	}
}

// TestNotThrottled: which answers are not: a 503 that does not say when to come back, and the header beside any other status.
func TestNotThrottled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		header string
		class  imclient.Class
		wait   time.Duration
	}{
		{status: 503, class: imclient.Transient},
		{status: 429, class: imclient.Throttled},
		{status: 502, header: "5", class: imclient.Transient},
		{status: 301, header: "5", class: imclient.Transient},
		{status: 403, header: "5", class: imclient.Transient},
		{status: 529, header: "5", class: imclient.Transient},
	} {
		client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
			if tt.header != "" {
				w.Header().Set("Retry-After", tt.header)
			}
			w.WriteHeader(tt.status)
		})
		err := client.DeleteConversation(t.Context(), request)
		network, ok := errors.AsType[*imclient.NetworkError](err)
		if !ok || network.RetryAfter != 0 || imclient.ClassOf(err) != tt.class {
			t.Errorf("%d, %q: got %#v", tt.status, tt.header, err)
		}
	}
}

// TestAPIThrottledForAWhile: the API's own "too fast" may name a wait as well; no other answer of its does.
func TestAPIThrottledForAWhile(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]time.Duration{60007: 9 * time.Second, 50004: 0, 70009: 0} {
		client := startHandler(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			_, _ = io.WriteString(w, `{"ActionStatus":"FAIL","ErrorCode":`+itoa(code)+`,"ErrorInfo":"x"}`)
		})
		api, ok := errors.AsType[*imclient.APIError](client.DeleteConversation(t.Context(), request))
		if !ok || api.Code != code || api.RetryAfter != want {
			t.Errorf("%d: got %#v", code, api)
		}
	}
}
