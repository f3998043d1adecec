package service

import (
	"errors"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
	"convdel/imclient"
	"convdel/internal/meter"
	"convdel/internal/tracing"
)

// knownCodes are the API's codes with what they mean, for the labels of metrics.
func knownCodes() []consumer.Code {
	var known []consumer.Code
	for _, code := range imclient.Codes() {
		known = append(known, consumer.Code{Number: code, Verdict: verdictOf(imclient.Classify(code))})
	}
	return known
}

// reasonOf says in one word why the API itself has not answered; empty if its answer has a code.
func reasonOf(err error) string {
	if network, ok := errors.AsType[*imclient.NetworkError](err); ok {
		return string(network.Fault)
	}
	if api, ok := errors.AsType[*imclient.APIError](err); ok {
		if api.Code == 0 {
			return "no_code"
		}
		return ""
	}
	if _, ok := errors.AsType[*imclient.KeyError](err); ok {
		return "key"
	}
	if _, ok := errors.AsType[*imclient.RequestError](err); ok {
		return "request"
	}
	return ""
}

// register registers the metrics that are the service's own, beside the consumer's.
func (s *Service) register() {
	one := func(name, value string) meter.Label {
		return meter.Label{Name: name, Values: []string{value}, Text: "the binary's"}
	}
	s.own.Info("build_info", "1, with the version, the commit and the Go version of this binary. Replicas that differ are in the middle of an upgrade.",
		one("version", s.cfg.Version), one("commit", s.cfg.Commit), one("goversion", runtime.Version()))
	s.own.GaugeFunc("usersig_expiry_timestamp_seconds",
		"When the present UserSig expires; 0 before the first call. It is renewed after four fifths of its lifetime: if less than a fifth is left, the secret key can't be read, see the log.",
		func() float64 { return timestamp(s.api.SignatureExpires()) })
	s.own.GaugeFunc("api_clock_skew_seconds",
		"How far this machine's clock is ahead of the API's (negative: behind), to about a second, by the last answer; 0 before that. From a minute on, set the clock: signatures have times.",
		func() float64 { skew, _ := s.api.ClockSkew(); return skew.Seconds() })
	s.registry.MustRegister(&spanCounts{of: s.cfg.Traces, spans: s.own.Computed("counter", "spans_total",
		"Spans that have ended, by result: sent, failed (the collector did not take them) or dropped (too many waited); 0 without traces. No event waits for them. If failed or dropped rises, see docs/traces.md.",
		meter.Label{Name: "result", Values: []string{spansSent, spansFailed, spansDropped}})})
}

// The results of spans.
const (
	spansSent    = "sent"
	spansFailed  = "failed"
	spansDropped = "dropped"
)

// spanCounts reads the numbers of spans when metrics are read.
type spanCounts struct {
	of    *tracing.Tracing // nil without traces
	spans *prometheus.Desc
}

// Describe names the metric.
func (c *spanCounts) Describe(to chan<- *prometheus.Desc) { to <- c.spans }

// Collect reads the numbers.
func (c *spanCounts) Collect(to chan<- prometheus.Metric) {
	var n tracing.Counts
	if c.of != nil {
		n = c.of.Counts()
	}
	for result, count := range map[string]uint64{spansSent: n.Sent, spansFailed: n.Failed, spansDropped: n.Dropped} {
		to <- prometheus.MustNewConstMetric(c.spans, prometheus.CounterValue, float64(count), result)
	}
}

func timestamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
