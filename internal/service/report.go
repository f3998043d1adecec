package service

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
)

func (s *Service) logStart(ctx context.Context) {
	s.log.LogAttrs(ctx, slog.LevelInfo, "convdel starts", slog.String("version", s.cfg.Version), slog.String("commit", s.cfg.Commit),
		slog.GroupAttrs("settings", s.cfg.Effective...))
	for _, warning := range s.cfg.Warnings {
		s.log.LogAttrs(ctx, slog.LevelWarn, "setting to think about", slog.String("warning", warning))
	}
	if s.admin != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "admin listens", slog.String("url", s.admin.url()))
	}
}

func (s *Service) logStop(ctx context.Context, err error) {
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "convdel stops", slog.Any("error", err), s.totals())
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "convdel stops", s.totals())
}

// totals are the numbers of calls and outcomes since the start, by the service's own metrics.
func (s *Service) totals() slog.Attr {
	events := s.Counts("convdel_events_total")
	attrs := []slog.Attr{slog.Int("consumed", Sum(events)), slog.Int("deleted", events[string(consumer.OutcomeDeleted)])}
	for _, o := range DeadOutcomes() {
		attrs = append(attrs, slog.Int(string(o), events[string(o)]))
	}
	attrs = append(attrs, slog.Int("calls", Sum(s.Counts("convdel_calls_total"))))
	return slog.GroupAttrs("totals", attrs...)
}

// DeadOutcomes are the outcomes that end as dead letters.
func DeadOutcomes() []consumer.Outcome {
	return []consumer.Outcome{
		consumer.OutcomePermanent, consumer.OutcomeExhausted, consumer.OutcomeUndecodable, consumer.OutcomeExpired,
	}
}

func countsOf(from prometheus.Gatherer, name string) map[string]int {
	counts := map[string]int{}
	families, err := from.Gather()
	if err != nil {
		return counts
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			label := ""
			if labels := m.GetLabel(); len(labels) > 0 {
				label = labels[0].GetValue()
			}
			counts[label] += int(m.GetCounter().GetValue())
		}
	}
	return counts
}

// Sum adds up counts.
func Sum[K comparable](counts map[K]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}
