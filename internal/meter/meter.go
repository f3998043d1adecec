// Package meter registers Prometheus metrics, and keeps what a document says of each.
//
//	set := meter.New(registry)
//	ended := set.CounterVec("events_total", "Events that have ended.", meter.Label{Name: "outcome", Values: []string{"deleted", "expired"}})
//	meter.Inc(ended.WithLabelValues("deleted"), trace)
//	set.Metrics() // for docs/metrics.md
package meter

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Namespace is the first word of each name.
const Namespace = "convdel"

// Metric is what a document says of a metric.
type Metric struct {
	// Name is the whole name, Kind one of counter, gauge and histogram.
	Name, Kind, Help string
	Labels           []Label
}

// Label is a label of a metric.
type Label struct {
	Name string
	// Values are the ones that it can have, if they are known beforehand.
	Values []string
	// Text says in a document which values there are. Default: the Values.
	Text string
}

// Set registers metrics. It panics, as the Prometheus library does, if a name is taken.
type Set struct {
	registerer prometheus.Registerer
	metrics    []Metric
}

// New returns a set that registers with r.
func New(r prometheus.Registerer) *Set { return &Set{registerer: r} }

// Metrics returns the metrics of the set, in the order of their registration.
func (s *Set) Metrics() []Metric { return s.metrics }

// note keeps what a document says, and returns the whole name and those of the labels.
func (s *Set) note(kind, name, help string, labels []Label) (full string, names []string) {
	full = prometheus.BuildFQName(Namespace, "", name)
	s.metrics = append(s.metrics, Metric{Name: full, Kind: kind, Help: help, Labels: labels})
	for _, l := range labels {
		names = append(names, l.Name)
	}
	return full, names
}

// Counter registers a counter.
func (s *Set) Counter(name, help string) prometheus.Counter {
	full, _ := s.note("counter", name, help, nil)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: full, Help: help})
	s.registerer.MustRegister(c)
	return c
}

// CounterVec registers a counter with labels. If there is one, each of its values is there from the start, at 0.
func (s *Set) CounterVec(name, help string, labels ...Label) *prometheus.CounterVec {
	full, names := s.note("counter", name, help, labels)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: full, Help: help}, names)
	if len(labels) == 1 {
		for _, value := range labels[0].Values {
			c.WithLabelValues(value)
		}
	}
	s.registerer.MustRegister(c)
	return c
}

// Gauge registers a gauge.
func (s *Set) Gauge(name, help string) prometheus.Gauge {
	full, _ := s.note("gauge", name, help, nil)
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: full, Help: help})
	s.registerer.MustRegister(g)
	return g
}

// GaugeFunc registers a gauge whose value is computed when it is read.
func (s *Set) GaugeFunc(name, help string, value func() float64) {
	full, _ := s.note("gauge", name, help, nil)
	s.registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: full, Help: help}, value))
}

// Info registers a gauge that is 1, with labels that have one value each.
func (s *Set) Info(name, help string, labels ...Label) {
	full, names := s.note("gauge", name, help, labels)
	fixed := prometheus.Labels{}
	for i, l := range labels {
		fixed[names[i]] = l.Values[0]
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: full, Help: help, ConstLabels: fixed})
	g.Set(1)
	s.registerer.MustRegister(g)
}

// Histogram registers a histogram.
func (s *Set) Histogram(name, help string, buckets []float64) prometheus.Histogram {
	full, _ := s.note("histogram", name, help, nil)
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: full, Help: help, Buckets: buckets})
	s.registerer.MustRegister(h)
	return h
}

// Computed describes a counter or a gauge that a [prometheus.Collector] computes when it is read. The caller registers that.
func (s *Set) Computed(kind, name, help string, labels ...Label) *prometheus.Desc {
	full, names := s.note(kind, name, help, labels)
	return prometheus.NewDesc(full, help, names, nil)
}
