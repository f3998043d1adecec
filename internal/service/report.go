package service

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"convdel/consumer"
	"convdel/internal/notable"
)

func (s *Service) logStart(ctx context.Context) {
	s.log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "convdel starts", slog.String("version", s.cfg.Version), slog.String("commit", s.cfg.Commit),
		slog.GroupAttrs("settings", s.cfg.Set...))
	s.log.LogAttrs(ctx, slog.LevelDebug, "settings at their defaults", slog.GroupAttrs("settings", s.cfg.Defaults...))
	for _, warning := range s.cfg.Warnings {
		s.log.LogAttrs(ctx, slog.LevelWarn, "setting to think about", slog.String("warning", warning))
	}
	if s.admin != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "admin listens", slog.String("url", s.admin.url()))
	}
}

// logTold says why the service stops, unless it stops by itself, and how much is under way.
func (s *Service) logTold(ctx context.Context) {
	if ctx.Err() == nil {
		return
	}
	s.log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "told to stop: calls under way end, nothing new begins",
		slog.String("by", context.Cause(ctx).Error()), slog.String("drain_timeout", s.cfg.Consumer.DrainTimeout.String()), s.unfinished("in_memory"))
}

// StopAtOnce says in the log that the process ends without a drain, told so by another signal, and what that leaves undone.
func (s *Service) StopAtOnce(by string) {
	s.log.Warn("told to stop again: stopping at once, the events of calls under way may be executed twice",
		slog.String("by", by), s.unfinished("left"))
}

// unfinished are the events in memory that have not ended, by state.
func (s *Service) unfinished(name string) slog.Attr {
	u := s.consumer.Unfinished()
	return slog.Group(name, slog.Int("events", u.Total()), slog.Int("ready", u.Ready), slog.Int("waiting", u.Waiting),
		slog.Int("calling", u.Calling), slog.Int("dead_letters", u.DeadLetters), slog.Int("outcomes", u.Outcomes))
}

func (s *Service) logStop(ctx context.Context, err error) {
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "convdel stops", slog.Any("error", err), s.totals(), s.unfinished("left"))
		return
	}
	if left := s.consumer.Unfinished(); left.Total() > 0 {
		s.log.LogAttrs(ctx, slog.LevelInfo, "events left undone: their offsets are not committed, the next owner of their partitions executes them",
			slog.Int("events", left.Total()), slog.Int("calls_cut_off", left.Calling))
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "convdel stops", s.totals(), s.unfinished("left"))
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
		consumer.OutcomePermanent, consumer.OutcomeExhausted, consumer.OutcomeUndecodable, consumer.OutcomeExpired, consumer.OutcomeRevived,
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
