package imtest_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"convdel/imclient/imtest"
)

const okBody = `{"ActionStatus":"OK","ErrorCode":0,"ErrorInfo":"","ErrorDisplay":""}`

func TestNamedFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		for account, want := range map[string]struct {
			status int
			body   string
			takes  time.Duration
			err    error
		}{
			"hello":          {200, okBody, 0, nil},
			"code":           {200, okBody, 0, nil},
			"code-":          {200, okBody, 0, nil},
			"code-x-1":       {200, okBody, 0, nil},
			"code-0":         {200, okBody, 0, nil},
			"http-100":       {200, okBody, 0, nil},
			"http-1000":      {200, okBody, 0, nil},
			"hangout":        {200, okBody, 0, nil},
			"code-50001":     {200, `{"ActionStatus":"FAIL","ErrorCode":50001,"ErrorInfo":"simulated failure","ErrorDisplay":""}`, 0, nil},
			"code-50002-abc": {200, `{"ActionStatus":"FAIL","ErrorCode":50002,"ErrorInfo":"invalid parameter","ErrorDisplay":""}`, 0, nil},
			"result-50005-1": {200, `{"ActionStatus":"FAIL","ErrorDisplay":"","ResultCode":50005,"ResultInfo":"simulated failure"}`, 0, nil},
			"http-502-1":     {502, "<html><body><h1>502 Bad Gateway</h1></body></html>\n", 0, nil},
			"http-204":       {204, "", 0, nil},
			"slow-300-1":     {200, okBody, 300 * time.Millisecond, nil},
			"drip-680":       {200, okBody, 680 * time.Millisecond, nil},
			"garbage-1":      {200, `{"ActionStatus":"OK","ErrorCode":`, 0, nil},
			"reset-1":        {0, "", 0, io.EOF},
		} {
			begin := time.Now()
			a, err := c.post(t, `{"From_Account":"`+account+`","Type":1,"To_Account":"b"}`)
			if !errors.Is(err, want.err) || a.status != want.status || a.body != want.body {
				t.Errorf("%s: got %d %q %v", account, a.status, a.body, err)
			}
			if took := time.Since(begin); took != want.takes {
				t.Errorf("%s: took %v, want %v", account, took, want.takes)
			}
			deleted := 0
			if want.body == okBody {
				deleted = 1
			}
			if n := sim.Deleted(account, 1, "b"); n != deleted {
				t.Errorf("%s: deleted %d times, want %d", account, n, deleted)
			}
		}
	})
}

func TestFlakyAccounts(t *testing.T) {
	t.Parallel()
	_, c := start(t, config())
	var codes []int
	for range 5 {
		codes = append(codes, c.call(t, "flaky-2-x"))
	}
	if want := [5]int{50004, 50004, 0, 0, 0}; [5]int(codes) != want {
		t.Errorf("codes %v, want %v", codes, want)
	}
	if code := c.call(t, "flaky-2-y"); code != 50004 {
		t.Errorf("another account: code %d", code)
	}
}

func TestHangEndsWithTheCallerOrTheServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		const body = `{"From_Account":"hang","Type":1,"To_Account":"b"}`
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path+"?"+c.query.Encode(), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := c.client.Do(req); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Hour { //nolint:bodyclose // there is none
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		synctest.Wait()
		if underway := sim.Stats().Underway; underway != 0 {
			t.Errorf("%d under way after the caller gave up", underway)
		}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if a, err := c.post(t, body); err == nil {
					t.Errorf("answered %+v", a)
				}
			})
		}
		synctest.Wait()
		if stats := sim.Stats(); stats.Underway != 10 || stats.PeakConcurrent != 10 || stats.PeakPerConversation != 10 {
			t.Errorf("%+v", stats)
		}
		for _, a := range sim.Arrivals() {
			if a.From != "hang" || !a.Answered.IsZero() || a.HTTPStatus != 0 {
				t.Errorf("hanging %+v", a)
			}
		}
		sim.Close()
		all.Wait()
		sim.Close() // Closing twice does no harm.
		if underway := sim.Stats().Underway; underway != 0 {
			t.Errorf("%d under way after Close", underway)
		}
	})
}

func TestResetIsOneOfTCP(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	sim.Script(imtest.Fault{Reset: true})
	a, err := c.post(t, `{"From_Account":"a","Type":1,"To_Account":"b"}`)
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %+v, %v, want a reset", a, err)
	}
}

func TestScriptedFaultsMatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		begin := time.Now()
		at := func(after time.Duration) { time.Sleep(time.Until(begin.Add(after))) }
		check := func(account string, want int) {
			t.Helper()
			if code := c.call(t, account); code != want {
				t.Errorf("%s at %v: code %d, want %d", account, time.Since(begin), code, want)
			}
		}
		one := sim.Script(imtest.Fault{Account: "one", Code: 50001, Times: 2})
		sim.Script(imtest.Fault{AccountPrefix: "pre", Code: 50002, Info: "by prefix"})
		sim.Script(imtest.Fault{After: 10 * time.Second, Until: 20 * time.Second, Code: 50004})
		sim.Script(imtest.Fault{NotBefore: begin.Add(30 * time.Second), NotAfter: begin.Add(40 * time.Second), Code: 50005})
		all := sim.Script(imtest.Fault{After: 50 * time.Second, Code: 60011})

		check("one", 50001)
		check("two", 0)
		check("one", 50001)
		check("one", 0)
		check("prefix", 50002)
		check("code-50003", 50003)
		at(10*time.Second - 1)
		check("two", 0)
		at(10 * time.Second)
		check("two", 50004)
		check("prefix", 50002) // This fault was added first.
		check("code-50003", 50004)
		at(20 * time.Second)
		check("two", 0)
		at(30 * time.Second)
		check("two", 50005)
		at(40 * time.Second)
		check("two", 0)
		at(50 * time.Second)
		check("two", 60011)
		all.Remove()
		all.Remove()
		check("two", 0)
		if one.Hits() != 2 || all.Hits() != 1 {
			t.Errorf("hits %d and %d", one.Hits(), all.Hits())
		}
	})
}

func TestScriptedFaultsShare(t *testing.T) {
	t.Parallel()
	hits := func(seed uint64) int {
		cfg := config()
		cfg.Seed = seed
		sim, c := start(t, cfg)
		some := sim.Script(imtest.Fault{Share: 0.3, Code: 50004})
		for range 400 {
			c.call(t, "a")
		}
		return some.Hits()
	}
	first := hits(1)
	if first < 80 || first > 160 {
		t.Errorf("%d of 400 calls hit with a share of 0.3", first)
	}
	if again := hits(1); again != first {
		t.Errorf("same seed, %d and %d hits", first, again)
	}
}

func TestScriptedEffects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim, c := bubble(t, config())
		const body = `{"From_Account":"a","Type":1,"To_Account":"b"}`
		for _, tt := range []struct {
			fault  imtest.Fault
			status int
			body   string
			takes  time.Duration
			does   bool
		}{
			{imtest.Fault{Code: 50002, Info: "To_Account"}, 200, `{"ActionStatus":"FAIL","ErrorCode":50002,"ErrorInfo":"To_Account","ErrorDisplay":""}`, 0, false},
			{imtest.Fault{HTTPStatus: 503, Body: "busy"}, 503, "busy", 0, false},
			{imtest.Fault{HTTPStatus: 200}, 200, okBody, 0, true},
			{imtest.Fault{Body: "nonsense"}, 200, "nonsense", 0, false},
			{imtest.Fault{Body: "nonsense", Deletes: true}, 200, "nonsense", 0, true},
			{imtest.Fault{Delay: time.Second}, 200, okBody, time.Second, true},
			{imtest.Fault{Delay: time.Second, Drip: 680 * time.Millisecond}, 200, okBody, 1680 * time.Millisecond, true},
			{imtest.Fault{Hang: true, Deletes: true, Times: 1}, 0, "", 3 * time.Second, true},
		} {
			sim.Reset()
			scripted := sim.Script(tt.fault)
			c.client.Timeout = 3 * time.Second
			begin := time.Now()
			a, err := c.post(t, body)
			if a.status != tt.status || a.body != tt.body || (err != nil) != tt.fault.Hang {
				t.Errorf("%+v: got %d %q %v", tt.fault, a.status, a.body, err)
			}
			if took := time.Since(begin); took != tt.takes {
				t.Errorf("%+v: took %v", tt.fault, took)
			}
			if n := sim.Deleted("a", 1, "b"); (n == 1) != tt.does {
				t.Errorf("%+v: deleted %d times", tt.fault, n)
			}
			scripted.Remove()
		}
	})
}

func TestChecksComeBeforeFaults(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	once := sim.Script(imtest.Fault{HTTPStatus: 502, Times: 1})
	if a, err := c.post(t, `{}`); err != nil || a.result.ErrorCode != 50002 || once.Hits() != 0 {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestLatencies(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	if d := imtest.Fixed(time.Second)(r); d != time.Second {
		t.Errorf("fixed %v", d)
	}
	uniform := imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)
	skewed := imtest.LogNormal(50*time.Millisecond, 0.5, 200*time.Millisecond)
	var sum time.Duration
	below, capped := 0, 0
	const draws = 10_000
	for range draws {
		d := uniform(r)
		if d < 20*time.Millisecond || d > 120*time.Millisecond {
			t.Fatalf("uniform %v", d)
		}
		sum += d
		d = skewed(r)
		if d <= 0 || d > 200*time.Millisecond {
			t.Fatalf("log-normal %v", d)
		}
		if d < 50*time.Millisecond {
			below++
		}
		if d == 200*time.Millisecond {
			capped++
		}
	}
	if mean := sum / draws; mean < 68*time.Millisecond || mean > 72*time.Millisecond {
		t.Errorf("uniform's mean %v, want 70ms", mean)
	}
	if below < draws*48/100 || below > draws*52/100 || capped == 0 || capped > draws/100 {
		t.Errorf("log-normal: %d of %d below the median, %d capped", below, draws, capped)
	}
	if d := imtest.Uniform(time.Second, time.Second)(r); d != time.Second {
		t.Errorf("uniform of one value: %v", d)
	}
}

func TestConfiguredLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Latency = imtest.Fixed(80 * time.Millisecond)
		sim, c := bubble(t, cfg)
		begin := time.Now()
		c.call(t, "slow-20")
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if a := sim.Arrivals()[0]; !a.At.Equal(begin) || a.Answered.Sub(a.At) != 100*time.Millisecond {
			t.Errorf("arrival %+v", a)
		}
	})
}

// TestRecorder: a server is a handler like any other, even if there is no connection to cut.
func TestRecorder(t *testing.T) {
	t.Parallel()
	sim, c := start(t, config())
	for account, status := range map[string]int{"a": 200, "reset": 502, "drip-1": 200} {
		body := strings.NewReader(`{"From_Account":"` + account + `","Type":1,"To_Account":"b"}`)
		recorder := httptest.NewRecorder()
		sim.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path+"?"+c.query.Encode(), body))
		if recorder.Code != status {
			t.Errorf("%s: status %d, want %d", account, recorder.Code, status)
		}
	}
	sim.Close()
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, http.NoBody))
	if recorder.Code != 502 {
		t.Errorf("closed: status %d", recorder.Code)
	}
}
