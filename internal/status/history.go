package status

import (
	"slices"
	"sync"
	"time"

	"convdel/consumer"
)

const (
	// Every is how often a sample is taken.
	Every = 5 * time.Second
	// Span is how long samples are kept.
	Span = 15 * time.Minute
	// ratesOver and callsOver are the times from which rates are computed.
	ratesOver = time.Minute
	callsOver = 2 * Every
)

// Sample is what a chart and the rates need of a moment.
type Sample struct {
	At time.Time
	// Ended, Calls, Failed and Letters are numbers since the start.
	Ended, Calls, Failed, Letters int64
	Unfinished                    int64
	Share                         float64
	// Generation and Partitions say whose events are unfinished: with other partitions, their number says nothing of what was published.
	Generation, Partitions int
}

// SampleOf takes a sample from a snapshot.
func SampleOf(s consumer.Snapshot) Sample {
	sample := Sample{
		At: s.At, Calls: s.Counts.Calls, Failed: s.Counts.Failed, Unfinished: unfinishedOf(s).Total, Share: s.Share,
		Generation: s.Status.Generation, Partitions: len(s.Partitions),
	}
	for _, n := range s.Counts.Ended {
		sample.Ended += n
	}
	for _, l := range s.Counts.Letters {
		sample.Letters += l.Letters
	}
	return sample
}

// History keeps the samples of the last minutes. It is safe for concurrent use; the zero value is empty.
type History struct {
	mu      sync.Mutex
	samples []Sample
}

// Add takes a sample, and drops those that are too old.
func (h *History) Add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := 0
	for old < len(h.samples) && s.At.Sub(h.samples[old].At) > Span {
		old++
	}
	h.samples = append(slices.Delete(h.samples, 0, old), s)
}

// Samples returns the samples, the oldest first.
func (h *History) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.samples)
}

// Rates returns the rates up to a moment, which is not kept. Without it they would be up to [Every] old, and a replica that has just begun to
// call would seem to stand still.
func (h *History) Rates(now Sample) Rates {
	samples := h.Samples()
	if n := len(samples); n > 0 && now.At.After(samples[n-1].At) && now.At.Sub(samples[n-1].At) <= 3*Every {
		samples = append(samples, now)
	}
	return ratesOf(samples, now.At)
}

// ratesOf computes rates from samples.
func ratesOf(samples []Sample, now time.Time) Rates {
	if len(samples) == 0 {
		return Rates{}
	}
	last := samples[len(samples)-1]
	if now.Sub(last.At) > 3*Every { // nobody samples any more
		return Rates{}
	}
	var r Rates
	if first, ok := firstSince(samples, last.At.Add(-callsOver), func(Sample) bool { return true }); ok {
		seconds := last.At.Sub(first.At).Seconds()
		r.Calls, r.Failed = float64(last.Calls-first.Calls)/seconds, float64(last.Failed-first.Failed)/seconds
	}
	first, ok := firstSince(samples, last.At.Add(-ratesOver), func(s Sample) bool {
		return s.Generation == last.Generation && s.Partitions == last.Partitions
	})
	if ok && last.Partitions > 0 {
		seconds := last.At.Sub(first.At).Seconds()
		r.Ended = float64(last.Ended-first.Ended) / seconds
		r.Arriving = max(0, r.Ended+float64(last.Unfinished-first.Unfinished)/seconds)
		r.Known = true
	}
	return r
}

// firstSince returns the first of the last samples in a row that are all not before a time and fit, if that is [Every] before the last one: a
// shorter time says little.
func firstSince(samples []Sample, since time.Time, fits func(Sample) bool) (Sample, bool) {
	first := len(samples) - 1
	for first > 0 && !samples[first-1].At.Before(since) && fits(samples[first-1]) {
		first--
	}
	return samples[first], samples[len(samples)-1].At.Sub(samples[first].At) >= Every
}
