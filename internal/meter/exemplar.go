package meter

import "github.com/prometheus/client_golang/prometheus"

// TraceLabel is the label of an exemplar that names a trace.
const TraceLabel = "trace_id"

// Inc adds 1 to a counter. The trace is the exemplar, unless it is empty. It is a W3C trace ID: 32 hexadecimal digits.
func Inc(c prometheus.Counter, trace string) {
	if trace != "" {
		if e, ok := c.(prometheus.ExemplarAdder); ok {
			e.AddWithExemplar(1, prometheus.Labels{TraceLabel: trace})
			return
		}
	}
	c.Inc()
}

// Observe adds a value to a histogram, with the trace as [Inc] has it.
func Observe(h prometheus.Histogram, value float64, trace string) {
	if trace != "" {
		if e, ok := h.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(value, prometheus.Labels{TraceLabel: trace})
			return
		}
	}
	h.Observe(value)
}
