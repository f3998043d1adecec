package service

import (
	"cmp"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/imclient"
	"convdel/internal/meter"
)

var update = flag.Bool("update", false, "write the document of metrics anew")

const metricsDocument = "../../docs/metrics.md"

// TestMetricsDocument: docs/metrics.md says the same about each metric as /metrics.
func TestMetricsDocument(t *testing.T) {
	t.Parallel()
	want := metricsText(described(newIdleService(t)))
	if *update {
		if err := os.WriteFile(metricsDocument, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(metricsDocument)
	if err != nil || string(got) != want {
		t.Errorf("docs/metrics.md is not what the code says (%v): go test ./internal/service -run MetricsDocument -update", err)
	}
}

// newIdleService returns a service that does not run.
func newIdleService(t *testing.T) *Service {
	t.Helper()
	s, err := New(t.Context(), Config{
		Consumer: consumer.Config{
			Cluster: cluster.Config{Brokers: []string{"127.0.0.1:1"}}, Topic: "events", Group: "group", DeadLetterTopic: "events.dead-letter", CallsPerSecond: 200,
		},
		IM:      imclient.Config{Endpoint: "http://127.0.0.1:1", SDKAppID: 7, Identifier: "admin", SecretKey: imclient.StaticKey(secretKey)},
		Version: "v1.2.3", Commit: "0123456789ab",
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// described are the metrics of a service as documents have them, by name.
func described(s *Service) []meter.Metric {
	all := slices.Concat(s.metrics.Described(), s.own.Metrics())
	slices.SortFunc(all, func(a, b meter.Metric) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// metricsText makes the document.
func metricsText(all []meter.Metric) string {
	var b strings.Builder
	b.WriteString(`# Metrics

` + "`/metrics`" + ` on the admin address (` + "`admin-addr`" + `) has the metrics below, in Prometheus's text format, and in OpenMetrics for a scraper that asks for it.
The rules in ` + "`deploy/prometheus/`" + ` alert on them. Each replica counts its own work: add replicas up with ` + "`sum`" + `. ` + "`convdel_quota_limit_calls_per_second`" + ` is the
same in all.

Times are Unix timestamps: ` + "`time() - min(convdel_oldest_unfinished_timestamp_seconds)`" + ` is the age of the oldest unfinished event. A time that is 0 is not known
yet: compare with ` + "`> 0`" + ` first.

Labels have few values, known beforehand, each there from the start at 0. Partitions are the exception: a replica has those that it owns, and none
that it has lost. No label holds an account, an ID or a text of the API.

| metric | type | labels | meaning, and what to do |
|---|---|---|---|
`)
	for _, m := range all {
		var labels []string
		for _, l := range m.Labels {
			labels = append(labels, fmt.Sprintf("`%s`: %s", l.Name, cmp.Or(l.Text, "`"+strings.Join(l.Values, "`, `")+"`")))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, strings.Join(labels, "; "), strings.ReplaceAll(m.Help, "|", `\|`))
	}
	b.WriteString(`
` + "`go_…` and `process_…`" + ` are those of the Go runtime and of the process: memory, processor time, goroutines, open files.
`)
	b.WriteString("\n## Codes\n\nThese codes have labels of their own. Every other one counts as `other`; dead letters name it.\n\n| code | meaning | what to do |\n|---|---|---|\n")
	for _, code := range imclient.Codes() {
		meaning, advice := imclient.Explain(code)
		fmt.Fprintf(&b, "| %d | %s | %s |\n", code, meaning, advice)
	}
	b.WriteString(`
## Exemplars

A record's header ` + "`traceparent`" + ` (W3C Trace Context) names the trace that its publisher works in. If the publisher keeps the trace (the sampled flag), what is
counted for the event has its ` + "`trace_id`" + ` as an exemplar: events by outcome, their age, calls, their duration, retries and dead letters. Of a call for several events,
the first event with a trace counts. A CloudEvents header ` + "`ce_traceparent`" + ` counts where there is none. This needs no setting. With [traces](traces.md), the exemplar is the trace of the event's own span, which has a link to the publisher's. Exemplars are in the OpenMetrics format alone, and Prometheus keeps them with
` + "`--enable-feature=exemplar-storage`" + `.
`)
	return b.String()
}
