package consumer

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// counts reads the counters that a [Snapshot] has.
func (m *Metrics) counts() Counts {
	c := Counts{Ended: make(map[Outcome]int64)}
	each(m.events, func(labels map[string]string, n int64) { c.Ended[Outcome(labels["outcome"])] = n })
	each(m.calls, func(labels map[string]string, n int64) {
		c.Calls += n
		if labels["code"] != codeZero {
			c.Failed += n
		}
	})
	each(m.deadLetters, func(labels map[string]string, n int64) {
		if n > 0 {
			c.Letters = append(c.Letters, LetterCount{Class: Outcome(labels["class"]), Code: labels["code"], Letters: n})
		}
	})
	slices.SortFunc(c.Letters, func(a, b LetterCount) int {
		return cmp.Or(cmp.Compare(b.Letters, a.Letters), cmp.Compare(a.Class, b.Class), cmp.Compare(a.Code, b.Code))
	})
	return c
}

// each calls a function with the labels and the value of each series of a counter.
func each(counter *prometheus.CounterVec, of func(labels map[string]string, n int64)) {
	series := make(chan prometheus.Metric)
	go func() {
		defer close(series)
		counter.Collect(series)
	}()
	for s := range series {
		var m dto.Metric
		if s.Write(&m) != nil {
			continue
		}
		labels := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		of(labels, int64(m.GetCounter().GetValue()))
	}
}
