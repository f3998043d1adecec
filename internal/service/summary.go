package service

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
)

// summaryEvery is how often the log sums up the work, while there is some.
const summaryEvery = 10 * time.Second

// work is what the service has done since the start.
type work struct {
	ended map[string]int
	calls int
}

// summarize sums up the work in the log, each ten seconds in which a call was made or an event has ended, until ctx ends.
func (s *Service) summarize(ctx context.Context) error {
	ticker := time.NewTicker(summaryEvery)
	defer ticker.Stop()
	before, _ := workOf(s.registry)
	for at := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		now, share := workOf(s.registry)
		passed := time.Since(at)
		at = at.Add(passed)
		if now.calls != before.calls || Sum(now.ended) != Sum(before.ended) {
			s.log.LogAttrs(ctx, slog.LevelInfo, "summary", summary(before, now, passed, share, s.consumer.Owned())...)
		}
		before = now
	}
}

// summary is what the log says of the work in a length of time. share is the calls a second that this replica may make now.
func summary(before, now work, passed time.Duration, share float64, owned []consumer.OwnedPartition) []slog.Attr {
	var ended []any
	for _, o := range append([]consumer.Outcome{consumer.OutcomeDeleted}, DeadOutcomes()...) {
		ended = append(ended, slog.Int(string(o), now.ended[string(o)]-before.ended[string(o)]))
	}
	var unfinished int64
	var oldest time.Time
	for _, p := range owned {
		unfinished += p.Unfinished
		if !p.Oldest.IsZero() && (oldest.IsZero() || p.Oldest.Before(oldest)) {
			oldest = p.Oldest
		}
	}
	calls := now.calls - before.calls
	attrs := []slog.Attr{
		slog.Group("ended", ended...), slog.Int("calls", calls), slog.Float64("calls_per_second", tenths(float64(calls)/passed.Seconds())),
		slog.Float64("share", tenths(share)), slog.Int64("unfinished", unfinished),
	}
	if !oldest.IsZero() {
		attrs = append(attrs, slog.Time("oldest", oldest))
	}
	return attrs
}

func tenths(x float64) float64 { return math.Round(10*x) / 10 }

// workOf reads the work, and the calls a second that this replica may make, from metrics.
func workOf(from prometheus.Gatherer) (w work, share float64) {
	w.ended = map[string]int{}
	families, err := from.Gather()
	if err != nil {
		return w, 0
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			switch family.GetName() {
			case "convdel_events_total":
				w.ended[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			case "convdel_calls_total":
				w.calls += int(m.GetCounter().GetValue())
			case "convdel_quota_calls_per_second":
				share = m.GetGauge().GetValue()
			}
		}
	}
	return w, share
}
