package service

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"convdel/consumer"
	"convdel/internal/status"
	"convdel/internal/status/page"
)

// testBoard is a board over a snapshot, and how often that was asked for.
func testBoard(snapshot func() consumer.Snapshot) (b *board, asked *int) {
	asked = new(int)
	history := &status.History{}
	return &board{
		snapshot: func(int) consumer.Snapshot { *asked++; return snapshot() }, history: history, page: page.New(),
		source: func() status.Source { return status.Source{Replica: status.Replica{Group: "g"}, History: history} },
	}, asked
}

func snapshotNow() consumer.Snapshot {
	return consumer.Snapshot{At: time.Now(), Status: consumer.Status{Live: true, Partitions: 1}}
}

// TestStatusAnswers: the page and its JSON, with their headers, and the refusals that hold for all of the admin address.
func TestStatusAnswers(t *testing.T) {
	t.Parallel()
	a := startTestAdmin(t, func(c *adminConfig) { c.board, _ = testBoard(snapshotNow) })
	code, body := a.get("/status")
	var r status.Report
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK || r.State != status.Working || r.Replica.Group != "g" {
		t.Errorf("/status: %d %s %v", code, body, err)
	}
	if code, body := a.get("/"); code != http.StatusOK || !strings.Contains(body, "Works: nothing is left to do.") || !strings.Contains(body, `http-equiv="refresh"`) {
		t.Errorf("/: %d %.300s", code, body)
	}
	if code, body := a.get("/?refresh=off"); code != http.StatusOK || strings.Contains(body, `http-equiv="refresh"`) {
		t.Errorf("/?refresh=off: %d %.300s", code, body)
	}
	for _, path := range []string{"/?refresh=no", "/?refresh", "/?x=1", "/?refresh=off&refresh=off", "/status?x=1"} {
		if code, _ := a.get(path); code != http.StatusBadRequest {
			t.Errorf("%s: %d", path, code)
		}
	}
	for _, path := range []string{"/status/", "/index.html", "/static"} {
		if code, _ := a.get(path); code != http.StatusNotFound {
			t.Errorf("%s: %d", path, code)
		}
	}
	const to = " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	for request, want := range map[string]int{
		"HEAD /" + to + "\r\n": 200, "HEAD /status" + to + "\r\n": 200, "POST /" + to + "Content-Length: 3\r\n\r\n": 405, "DELETE /status" + to + "\r\n": 405,
		"GET /" + to + "Content-Length: 3\r\n\r\n": 413, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n": 421, "GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n": 421,
	} {
		if got, _ := ask(t, a, request); got != want {
			t.Errorf("%.40q: %d, want %d", request, got, want)
		}
	}
	response, err := http.Get(a.url() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if h := response.Header; h.Get("Content-Security-Policy") != page.Policy() || h.Get("X-Content-Type-Options") != "nosniff" ||
		h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" || !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		t.Errorf("headers: %v", h)
	}
}

// TestStatusIsMadeOnceASecond: asking often costs one look at the consumer a second, and both forms tell of the same moment.
func TestStatusIsMadeOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, asked := testBoard(snapshotNow)
		form := func(name string) string {
			body, err := b.form(name)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		for range 100 {
			form(formJSON)
			form(formPage)
			form(formStill)
		}
		first := form(formJSON)
		time.Sleep(999 * time.Millisecond)
		if *asked != 1 || form(formJSON) != first {
			t.Errorf("asked %d times in a second", *asked)
		}
		time.Sleep(time.Millisecond)
		if form(formJSON) == first || *asked != 2 {
			t.Errorf("asked %d times in two seconds", *asked)
		}
	})
}

// TestSamplesAreTaken: every five seconds, from the start to the end.
func TestSamplesAreTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, _ := testBoard(snapshotNow)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if err := b.sample(ctx); err != nil {
			t.Fatal(err)
		}
		if n := len(b.history.Samples()); n != 13 {
			t.Errorf("%d samples in a minute", n)
		}
	})
}

// TestReadinessHidesAccounts: the last error of a pause names an account on /readyz only if accounts are allowed.
func TestReadinessHidesAccounts(t *testing.T) {
	t.Parallel()
	pause := &consumer.Pause{Reason: consumer.PauseHalt, LastError: `account "alice"`, Err: errors.New(`account "alice"`)}
	if got := shownPause(pause, true).LastError; got != `account "alice"` {
		t.Error(got)
	}
	hidden := shownPause(pause, false)
	if hidden == pause || pause.LastError != `account "alice"` || hidden.LastError != consumer.WithoutAccounts(pause.Err) {
		t.Errorf("%+v", hidden)
	}
	if shownPause(nil, false) != nil {
		t.Error("a pause where there is none")
	}
}
