package service

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/internal/meter"
	"convdel/internal/testkit"
)

// promised are the metrics that operators' dashboards and alerts rely on, with their types and labels.
var promised = map[string]string{
	"convdel_events_total":                        "counter outcome",
	"convdel_calls_total":                         "counter code reason",
	"convdel_call_duration_seconds":               "histogram",
	"convdel_call_waiters":                        "gauge",
	"convdel_coalesced_total":                     "counter",
	"convdel_in_flight":                           "gauge state",
	"convdel_retries_total":                       "counter",
	"convdel_event_age_seconds":                   "histogram",
	"convdel_lag":                                 "gauge partition",
	"convdel_dead_letters_total":                  "counter class code",
	"convdel_quota_calls_per_second":              "gauge",
	"convdel_paused":                              "gauge reason",
	"convdel_commits_total":                       "counter",
	"convdel_generations_total":                   "counter",
	"convdel_unfinished":                          "gauge partition",
	"convdel_oldest_unfinished_timestamp_seconds": "gauge partition",
	"convdel_pauses_total":                        "counter reason",
	"convdel_paused_seconds_total":                "counter reason",
	"convdel_quota_limit_calls_per_second":        "gauge",
	"convdel_build_info":                          "gauge version commit goversion",
	"convdel_last_success_timestamp_seconds":      "gauge",
	"convdel_usersig_expiry_timestamp_seconds":    "gauge",
	"convdel_api_clock_skew_seconds":              "gauge",
	"convdel_commit_failures_total":               "counter",
	"convdel_outcomes_total":                      "counter outcome",
	"convdel_outcomes_waiting":                    "gauge",
	"convdel_outcome_retries_total":               "counter",
	"convdel_lists_total":                         "counter code",
	"convdel_list_waiters":                        "gauge",
	"convdel_quota_fallback":                      "gauge",
	"convdel_dead_letter_retries_total":           "counter",
	"convdel_fetch_failures_total":                "counter reason",
	"convdel_offset_resets_total":                 "counter",
	"convdel_spans_total":                         "counter result",
}

// TestPromisedMetrics: the registered metrics are the promised ones, no less and no more.
func TestPromisedMetrics(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, m := range described(newIdleService(t)) {
		words := []string{m.Kind}
		for _, l := range m.Labels {
			words = append(words, l.Name)
		}
		got[m.Name] = strings.Join(words, " ")
	}
	for name, want := range promised {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for name := range got {
		if promised[name] == "" {
			t.Errorf("%s is registered and not in the list", name)
		}
	}
}

// TestMetricsBeginAtZero: what is known beforehand is there before anything has happened. An increase from nothing is none for Prometheus.
func TestMetricsBeginAtZero(t *testing.T) {
	t.Parallel()
	s := newIdleService(t)
	all := testkit.Series(t, s.registry)
	var want []string
	each := func(name string, labels ...string) {
		for _, l := range labels {
			want = append(want, name+"{"+l+"}")
		}
	}
	for _, m := range described(s) {
		if len(m.Labels) == 1 {
			for _, value := range m.Labels[0].Values {
				each(m.Name, fmt.Sprintf("%s=%q", m.Labels[0].Name, value))
			}
		}
		if len(m.Labels) == 0 {
			want = append(want, m.Name)
		}
	}
	for _, code := range []string{"0", "50001", "50004", "60007", "60020", "70001", "70500", "other"} {
		each("convdel_calls_total", fmt.Sprintf(`code=%q,reason=""`, code))
	}
	for _, reason := range []string{"timeout", "refused", "reset", "http_5xx", "http_4xx", "not_json", "tls", "other"} {
		each("convdel_calls_total", fmt.Sprintf(`code="none",reason=%q`, reason))
	}
	each("convdel_dead_letters_total",
		`class="undecodable",code="0"`, `class="expired",code="0"`, `class="revived",code="0"`, `class="permanent",code="50001"`,
		`class="permanent",code="50003"`, `class="exhausted",code="0"`, `class="exhausted",code="50004"`, `class="exhausted",code="other"`)
	each("convdel_events_total", `outcome="deleted"`, `outcome="permanent"`, `outcome="exhausted"`, `outcome="undecodable"`, `outcome="expired"`, `outcome="revived"`)
	each("convdel_paused", `reason="halt"`, `reason="outage"`, `reason="denied"`, `reason="lists"`)
	each("convdel_in_flight", `state="ready"`, `state="waiting"`, `state="calling"`, `state="dead_letter"`, `state="outcome"`)
	for _, name := range want {
		value, there := all[name]
		if limit := name == "convdel_quota_limit_calls_per_second"; !there || value != 0 && !limit || limit && value != 200 {
			t.Errorf("%s: there %v, %v", name, there, value)
		}
	}
	build := `convdel_build_info{commit="0123456789ab",goversion="go1.`
	if !slices.ContainsFunc(slices.Collect(maps.Keys(all)), func(name string) bool { return strings.HasPrefix(name, build) }) {
		t.Errorf("no %s…", build)
	}
}

// TestMetricsAreWellFormed: `promtool check metrics` finds nothing, by its own rules, and each help says what to do.
func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	s := newIdleService(t)
	problems, err := testutil.GatherAndLint(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	known := map[string]bool{}
	for _, m := range described(s) {
		known[m.Name] = true
		if strings.Count(m.Help, ". ")+strings.Count(m.Help, ": ")+strings.Count(m.Help, "; ") == 0 || !strings.HasSuffix(m.Help, ".") || len(m.Help) > 300 {
			t.Errorf("%s: help %q", m.Name, m.Help)
		}
	}
	for name := range testkit.Series(t, s.registry) {
		if name, _, _ := strings.Cut(name, "{"); !known[name] {
			t.Errorf("%s is not described", name)
		}
	}
}

// TestReasonsOfCalls: each fault of the client, and each other error without a code, is counted under a word of its own.
func TestReasonsOfCalls(t *testing.T) {
	t.Parallel()
	errs := map[string]error{
		"no_code": &imclient.APIError{HTTPStatus: 200}, "key": &imclient.KeyError{Err: errors.New("empty")},
		"request": &imclient.RequestError{Field: "Type", Problem: "3"},
	}
	for _, fault := range imclient.Faults() {
		errs[string(fault)] = &imclient.NetworkError{Reason: "x", Fault: fault}
	}
	var labels []string
	for _, m := range described(newIdleService(t)) {
		if m.Name == "convdel_calls_total" {
			labels = slices.Clone(m.Labels[1].Values)
		}
	}
	for want, err := range errs {
		if got := answerOf(err).Reason; got != want || !slices.Contains(labels, want) {
			t.Errorf("%v is counted as %q, want %q", err, got, want)
		}
	}
	if len(labels) != len(errs) {
		t.Errorf("reasons that nothing has: %v", labels)
	}
	for _, err := range []error{nil, &imclient.APIError{Code: 50004, HTTPStatus: 200}} {
		if got := answerOf(err).Reason; got != "" {
			t.Errorf("%v has the reason %q", err, got)
		}
	}
}

// TestOpenMetrics: a scraper that asks for OpenMetrics gets it, with exemplars; any other one gets Prometheus's own format.
func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	a := newTestAdmin(t, func(c *adminConfig) {
		consumer.NewMetrics(c.registry)
		set := meter.New(c.registry)
		meter.Inc(set.Counter("x_total", "x"), trace)
		meter.Observe(set.Histogram("x_seconds", "x", []float64{1}), .5, trace)
	})
	defer func() { _ = a.listener.Close() }()
	for accept, kind := range map[string]string{
		"application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4": "application/openmetrics-text",
		"": "text/plain", "*/*": "text/plain",
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Host = "127.0.0.1:8080"
		r.Header.Set("Accept", accept)
		a.server.Handler.ServeHTTP(w, r)
		open := kind != "text/plain"
		body := w.Body.String()
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(got, kind) || strings.HasSuffix(body, "# EOF\n") != open {
			t.Errorf("accept %q: %d %s", accept, w.Code, got)
		}
		for _, line := range []string{`convdel_x_total 1.0 # {trace_id="` + trace + `"} 1.0 `, `convdel_x_seconds_bucket{le="1.0"} 1 # {trace_id="` + trace + `"} 0.5 `} {
			if strings.Contains(body, line) != open {
				t.Errorf("accept %q: %s: %v", accept, line, !open)
			}
		}
	}
}
