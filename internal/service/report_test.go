package service

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestCountsOf(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	labelled := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "a"}, []string{"l"})
	plain := prometheus.NewCounter(prometheus.CounterOpts{Name: "b"})
	registry.MustRegister(labelled, plain)
	labelled.WithLabelValues("x").Add(2)
	labelled.WithLabelValues("y").Add(3)
	plain.Add(4)
	if got := countsOf(registry, "a"); got["x"] != 2 || got["y"] != 3 || Sum(got) != 5 {
		t.Errorf("a: %v", got)
	}
	if got := countsOf(registry, "b"); Sum(got) != 4 {
		t.Errorf("b: %v", got)
	}
	if got := countsOf(registry, "c"); Sum(got) != 0 {
		t.Errorf("c: %v", got)
	}
}
