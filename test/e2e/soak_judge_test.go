//go:build kafka && soak

package e2e

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// judge compares the soak with the promises, once all is over.
func (s *soak) judge() {
	s.tb.Helper()
	table := s.deadLetters()
	const shown = 20
	wrong := s.books.check(table)
	for _, w := range wrong[:min(len(wrong), shown)] {
		s.tb.Error(w)
	}
	s.tb.Logf("ledger: %s; %d dead letters; %d things wrong", s.books, len(table), len(wrong))
	s.judgeRepeats()
	s.judgeTraffic()
	s.judgeSecrets(table)
	for _, r := range s.replicas {
		s.tb.Logf("%s: %d processes, stops took %v", r.name, len(r.processes), r.stops)
	}
	s.judgeGrowth(s.replicas[0])
}

// judgeRepeats: only faults that kill without a clean stop may repeat events, and each only a bounded number.
func (s *soak) judgeRepeats() {
	s.tb.Helper()
	total := s.books.repeats()
	times, repeated := map[string]int{}, map[string]int{}
	disruptions := 0
	for i, one := range s.struck {
		until := total
		if i+1 < len(s.struck) {
			until = s.struck[i+1].repeated
		}
		times[one.name]++
		repeated[one.name] += until - one.repeated
		if one.repeats {
			disruptions++
		} else if until > one.repeated {
			s.tb.Errorf("%d deletes done again after a fault of kind %s", until-one.repeated, one.name)
		}
	}
	for _, name := range sortedKeys(times) {
		s.tb.Logf("fault %-10s %d times, %d deletes done again", name, times[name], repeated[name])
	}
	if limit := disruptions * disruptionLimit; total > limit {
		s.tb.Errorf("%d deletes done again in %d disruptions", total, disruptions)
	}
}

func (s *soak) judgeTraffic() {
	s.tb.Helper()
	t := s.traffic
	s.tb.Logf("traffic: %d calls, %d refused as too fast, peak %d/s", t.arrived, t.refused, t.most)
	if t.most > peakLimit {
		s.tb.Errorf("%d calls in a second", t.most)
	}
	s.tb.Logf("longest pause with the API at work: %.0f s", s.recovery.Seconds())
	if s.recovery > recoveryLimit {
		s.tb.Errorf("a replica still made no calls %s after the API was at work again", s.recovery.Round(time.Second))
	}
}

// judgeSecrets looks for secrets where the processes' own check does not: for signatures, and in dead letters.
func (s *soak) judgeSecrets(table map[string]*kgo.Record) {
	s.tb.Helper()
	secrets := s.seen()
	if len(secrets) == 0 {
		s.tb.Error("no signature seen")
	}
	for _, r := range s.replicas {
		for _, p := range r.processes {
			wantNoSecret(s.tb, "output of "+r.name, p.stderr.String(), secrets...)
		}
	}
	secrets = append(secrets, secretKey, password)
	for _, l := range table {
		wantNoSecret(s.tb, "dead letter", fmt.Sprintf("%s %s %s", l.Key, l.Value, l.Headers), secrets...)
	}
}

// leastSamples is how many calm samples each third must have for a comparison. A soak of a few minutes has fewer.
const leastSamples = 10

// judgeGrowth compares the medians of the calm samples in the run's first and last third. It leaves out the first minute,
// in which connections and caches fill.
func (s *soak) judgeGrowth(r *replica) {
	s.tb.Helper()
	third := (s.lasts - time.Minute) / 3
	calm := func(from time.Time) []sample {
		return slices.DeleteFunc(slices.Clone(r.samples), func(one sample) bool {
			return !one.calm || one.at.Before(from) || one.at.After(from.Add(third))
		})
	}
	first, last := calm(s.began.Add(time.Minute)), calm(s.began.Add(s.lasts-third))
	if len(first) < leastSamples || len(last) < leastSamples {
		s.tb.Logf("growth of %s not judged: %d calm samples in the first third, %d in the last", r.name, len(first), len(last))
		return
	}
	for _, g := range []struct {
		name   string
		of     func(sample) float64
		factor float64
		margin float64
	}{
		{"resident MiB", func(x sample) float64 { return x.rss }, 1.2, 6},
		{"heap MiB", func(x sample) float64 { return x.heap }, 1.2, 6},
		{"goroutines", func(x sample) float64 { return x.goroutines }, 1.1, 20},
		{"files", func(x sample) float64 { return x.files }, 1.1, 20},
	} {
		was, is := medianOf(first, g.of), medianOf(last, g.of)
		s.tb.Logf("%s of %s: %.1f in the first third (%d calm samples), %.1f in the last (%d)", g.name, r.name, was, len(first), is, len(last))
		if is > was*g.factor+g.margin {
			s.tb.Errorf("%s of %s have grown from %.1f to %.1f", g.name, r.name, was, is)
		}
	}
}

func medianOf(list []sample, of func(sample) float64) float64 {
	values := make([]float64, len(list))
	for i, one := range list {
		values[i] = of(one)
	}
	return median(values)
}
