package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
)

// runCommand runs the service until it is told to stop.
type runCommand struct{ serviceSettings }

// Run checks the settings and then serves.
func (r *runCommand) Run(ctx context.Context, con *console) error {
	cfg, err := r.check(con.env)
	if err != nil {
		return err
	}
	boundMemory(con.env, cfg.consumer.MaxInFlightBytes)
	s, err := newService(ctx, cfg, newLogger(con.stderr, cfg.logLevel, cfg.logFormat))
	if err != nil {
		return asUsage(err)
	}
	if s.run(ctx) != nil {
		return errReported // by its last log line
	}
	return nil
}

// service is everything that `convdel run` runs; `convdel demo` runs the same.
type service struct {
	cfg      serviceConfig
	log      *slog.Logger
	registry *prometheus.Registry
	api      *imclient.Client
	budget   *redisbudget.Budget // nil unless replicas share one
	consumer *consumer.Consumer
	recheck  chan struct{} // to the consumer, when the secret key has changed
	admin    *admin        // nil when turned off
}

// newService puts the parts together. Nothing moves before run, but the admin address is taken.
func newService(ctx context.Context, cfg serviceConfig, log *slog.Logger) (*service, error) {
	s := &service{cfg: cfg, log: log, registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	cfg.im.Logger = log
	if s.api, err = imclient.New(cfg.im); err != nil {
		return nil, err
	}
	if cfg.redis != nil {
		if s.budget, err = redisbudget.New(*cfg.redis); err != nil {
			return nil, err
		}
		cfg.consumer.Budget = s.budget
	}
	cfg.consumer.API = &caller{client: s.api}
	s.recheck = make(chan struct{})
	cfg.consumer.Recheck = s.recheck
	cfg.consumer.Logger = log
	cfg.consumer.Metrics = consumer.NewMetrics(s.registry)
	if s.consumer, err = consumer.New(cfg.consumer); err != nil {
		return nil, err
	}
	if cfg.adminAddr != "" {
		s.admin, err = newAdmin(ctx, cfg.adminAddr, s.registry, s.consumer.Status, log)
	}
	return s, err
}

// run works until ctx ends, then drains; the admin addresses answer to the last.
func (s *service) run(ctx context.Context) error {
	s.logStart(ctx)
	work, ctx := errgroup.WithContext(ctx)
	if s.admin != nil {
		work.Go(s.admin.serve)
	}
	work.Go(func() error { return watchKey(ctx, s.cfg.im.SecretKey, s.recheck) })
	work.Go(func() error {
		err := s.consumer.Run(ctx)
		if s.admin != nil {
			err = errors.Join(err, s.admin.close(ctx))
		}
		return err
	})
	err := work.Wait()
	if missing, ok := errors.AsType[*consumer.TopicError](err); ok && errors.Is(err, kafka.UnknownTopicOrPartition) {
		err = fmt.Errorf("topic %s does not exist: create it, or let --create-topics do so: %w", missing.Topic, missing.Err)
	}
	s.api.CloseIdleConnections()
	if s.budget != nil {
		_ = s.budget.Close() // nothing is lost with its connections
	}
	s.logStop(ctx, err)
	return err
}

func (s *service) logStart(ctx context.Context) {
	b := readBuild()
	s.log.LogAttrs(ctx, slog.LevelInfo, "convdel starts", slog.String("version", b.version), slog.String("commit", b.commit),
		slog.GroupAttrs("settings", s.cfg.effective...))
	for _, warning := range s.cfg.warnings {
		s.log.LogAttrs(ctx, slog.LevelWarn, "setting to think about", slog.String("warning", warning))
	}
	if s.admin != nil {
		s.log.LogAttrs(ctx, slog.LevelInfo, "admin listens", slog.String("url", s.admin.url()))
	}
}

func (s *service) logStop(ctx context.Context, err error) {
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "convdel stops", slog.Any("error", err), s.totals())
		return
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "convdel stops", s.totals())
}

// totals is what has been done since the start, by the service's own metrics.
func (s *service) totals() slog.Attr {
	events := countsOf(s.registry, "convdel_events_total")
	attrs := []slog.Attr{slog.Int("consumed", sum(events)), slog.Int("deleted", events[string(consumer.OutcomeDeleted)])}
	for _, o := range deadOutcomes() {
		attrs = append(attrs, slog.Int(string(o), events[string(o)]))
	}
	attrs = append(attrs, slog.Int("calls", sum(countsOf(s.registry, "convdel_calls_total"))))
	return slog.GroupAttrs("totals", attrs...)
}

// deadOutcomes are the outcomes that end as dead letters.
func deadOutcomes() []consumer.Outcome {
	return []consumer.Outcome{
		consumer.OutcomePermanent, consumer.OutcomeExhausted, consumer.OutcomeUndecodable, consumer.OutcomeExpired,
	}
}

// countsOf reads a counter by the value of its label, which is empty for one without.
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

func sum[K comparable](counts map[K]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// asUsage turns what the environment has wrong, a proxy's address say, into a usage error.
func asUsage(err error) error {
	if setting, ok := errors.AsType[*imclient.ConfigError](err); ok {
		return &usageError{lines: []string{setting.Error()}}
	}
	return err
}
