package consumer

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/internal/meter"
)

// stateCollector computes metrics when they are read, from what the consumer is doing then. So a partition that has been lost leaves no
// series behind.
type stateCollector struct {
	// of is the consumer, nil before there is one.
	of     atomic.Pointer[Consumer]
	pauses *pauses

	inFlight, lag, unfinished, oldest *prometheus.Desc
	quota, quotaLimit, quotaFallback  *prometheus.Desc
	paused, pauseCount, pausedSeconds *prometheus.Desc
}

func newStateCollector(set *meter.Set, p *pauses) *stateCollector {
	partition := meter.Label{Name: "partition", Text: "the partitions that the replica owns"}
	reason := meter.Label{Name: "reason", Values: pauseReasons()}
	return &stateCollector{
		pauses: p,
		inFlight: set.Computed("gauge", "in_flight",
			"Events in memory: ready and waiting for a call, waiting for a retry or a list, calling, and waiting for their dead letter or outcome to be written. If waiting is most of max-in-flight, see why calls fail.",
			meter.Label{Name: "state", Values: []string{"ready", "waiting", "calling", "dead_letter", "outcome"}}),
		lag: set.Computed("gauge", "lag",
			"Offsets between the lowest unfinished one and the end of the log. It counts events that have ended above that: convdel_unfinished does not.", partition),
		unfinished: set.Computed("gauge", "unfinished",
			"Events that have not ended: those in memory, and one for each offset not read yet. Divided by the rate of convdel_events_total it is the time to empty.", partition),
		oldest: set.Computed("gauge", "oldest_unfinished_timestamp_seconds",
			"Time of the oldest event in memory that has not ended; if none is there, since when a record waits to be read; absent if nothing is unfinished. If it is old, docs/partitions.md says what can hold an event up.", partition),
		quota: set.Computed("gauge", "quota_calls_per_second",
			"This replica's share of the quota now, less what throttled answers have taken; 0 without partitions. If it is below its share for long, find out who else calls with this SDKAppID."),
		quotaLimit: set.Computed("gauge", "quota_limit_calls_per_second",
			"The quota of all replicas together, as calls-per-second sets it; 0: no limit. Raise it only if the vendor has raised the app's quota."),
		quotaFallback: set.Computed("gauge", "quota_fallback",
			"1 while the shared budget in Redis fails, or has just come back, and this replica keeps to its share; else 0. See that Redis answers (docs/quota.md)."),
		paused: set.Computed("gauge", "paused",
			"1 while no calls are made, by reason; lists: while events wait that need their account's list. /readyz has the error, docs/failures.md the remedy.", reason),
		pauseCount: set.Computed("counter", "pauses_total",
			"Pauses that have begun, by reason; a pause that changes its reason counts for each. Many short ones are an API that keeps failing: see convdel_calls_total.", reason),
		pausedSeconds: set.Computed("counter", "paused_seconds_total",
			"Time spent in pauses, by reason, the present one included. Compare its rate with 1 for the part of the time that was lost.", reason),
	}
}

// Describe names the metrics.
func (s *stateCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		s.inFlight, s.lag, s.unfinished, s.oldest, s.quota, s.quotaLimit, s.quotaFallback, s.paused, s.pauseCount, s.pausedSeconds,
	} {
		to <- d
	}
}

// Collect computes the metrics.
func (s *stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	s.collectPauses(to)
	c := s.of.Load()
	now := Unfinished{}
	var pace, limit, fallback float64
	if c != nil {
		pace, limit = c.limiter.pace(), float64(c.cfg.CallsPerSecond)
		if c.limiter.fallsBack() {
			fallback = 1
		}
		if at := c.session.Load(); at != nil {
			now = at.unfinished()
		}
		for _, p := range c.Owned() {
			s.collectPartition(p, gauge)
		}
	}
	gauge(s.quota, pace)
	gauge(s.quotaLimit, limit)
	gauge(s.quotaFallback, fallback)
	for state, n := range map[string]int{
		"ready": now.Ready, "waiting": now.Waiting, "calling": now.Calling, "dead_letter": now.DeadLetters, "outcome": now.Outcomes,
	} {
		gauge(s.inFlight, float64(n), state)
	}
}

func (s *stateCollector) collectPartition(p OwnedPartition, gauge func(*prometheus.Desc, float64, ...string)) {
	label := strconv.Itoa(p.Partition)
	if p.End >= 0 {
		gauge(s.lag, float64(p.Lag), label)
		gauge(s.unfinished, float64(p.Unfinished), label)
	}
	if !p.Oldest.IsZero() {
		gauge(s.oldest, seconds(p.Oldest), label)
	}
}

func (s *stateCollector) collectPauses(to chan<- prometheus.Metric) {
	for reason, p := range s.pauses.now(time.Now()) {
		open := 0.0
		if p.open {
			open = 1
		}
		to <- prometheus.MustNewConstMetric(s.paused, prometheus.GaugeValue, open, string(reason))
		to <- prometheus.MustNewConstMetric(s.pauseCount, prometheus.CounterValue, float64(p.count), string(reason))
		to <- prometheus.MustNewConstMetric(s.pausedSeconds, prometheus.CounterValue, p.lasted.Seconds(), string(reason))
	}
}
