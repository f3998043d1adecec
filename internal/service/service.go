package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"convdel/consumer"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
	"convdel/internal/meter"
	"convdel/internal/notable"
	"convdel/internal/tracing"
)

// Config configures a [Service].
type Config struct {
	// Consumer and IM configure the two halves. [New] sets their connecting fields: API, Lists, Budget, Recheck, loggers, metrics.
	Consumer consumer.Config
	IM       imclient.Config
	// Redis is the budget that replicas share. Default: none.
	Redis *redisbudget.Config
	// AdminAddr is the address of the status page, /status, /metrics, /livez and /readyz, host:port. Default: none.
	AdminAddr string
	// AdminHosts are names by which the admin address may be asked for, besides IP addresses, loopback's names and AdminAddr's own.
	AdminHosts []string
	// AdminAccounts has the admin address show accounts, and errors that name some. Notable holds the log's lines that it shows. Default: none.
	AdminAccounts bool
	Notable       *notable.Book
	// Traces makes spans of events and calls. Default: none. Run closes it.
	Traces *tracing.Tracing
	// SecretFiles are the files that secrets come from. The log tells when one turns bad. Default: none.
	SecretFiles []SecretFile
	// Set are the settings that differ from their defaults, Defaults the others, each with the value that counts, for the log,
	// without secrets. Warnings are settings that are allowed but rarely intended. Version and Commit are those of the binary.
	Set, Defaults   []slog.Attr
	Warnings        []string
	Version, Commit string
}

// Service is everything that `convdel run` runs. Make it with [New], use it once with [Service.Run].
type Service struct {
	cfg      Config
	log      *slog.Logger
	registry *prometheus.Registry
	api      *imclient.Client
	budget   *redisbudget.Budget // nil unless replicas share one
	consumer *consumer.Consumer
	metrics  *consumer.Metrics
	own      *meter.Set    // the metrics that are not the consumer's
	recheck  chan struct{} // tells the consumer that the secret key has changed
	admin    *admin        // nil when turned off
	board    *board        // nil when turned off
}

// New puts the parts together. It listens on the admin address, and does nothing else before Run. Errors are those of the
// parts: [imclient.ConfigError], [redisbudget.ConfigError], [consumer.ConfigError], or that of listening.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Service, error) {
	s := &Service{cfg: cfg, log: log, registry: prometheus.NewRegistry(), recheck: make(chan struct{})}
	s.own = meter.New(s.registry)
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	cfg.IM.Logger = log
	if s.api, err = imclient.New(listingNeeds(cfg.IM, cfg.Consumer.RevivedCheck)); err != nil {
		return nil, err
	}
	if cfg.Redis != nil {
		if s.budget, err = redisbudget.New(*cfg.Redis); err != nil {
			return nil, err
		}
		cfg.Consumer.Budget = s.budget
	}
	cfg.Consumer.API, cfg.Consumer.Lists = &deleter{client: s.api, traced: cfg.Traces != nil}, &lister{client: s.api}
	cfg.Consumer.App = strconv.Itoa(cfg.IM.SDKAppID)
	cfg.Consumer.Recheck = s.recheck
	cfg.Consumer.Logger = log
	s.metrics = consumer.NewMetrics(s.registry, knownCodes()...)
	cfg.Consumer.Metrics = s.metrics
	if cfg.Traces != nil {
		cfg.Consumer.Traces = cfg.Traces
	}
	s.register()
	if s.consumer, err = consumer.New(cfg.Consumer); err != nil {
		return nil, err
	}
	if cfg.AdminAddr != "" {
		s.board = s.newBoard()
		s.admin, err = newAdmin(ctx, adminConfig{
			addr: cfg.AdminAddr, hosts: cfg.AdminHosts, registry: s.registry, status: s.shownStatus, stuck: s.consumer.Stuck, board: s.board, log: log,
		})
	}
	return s, err
}

// Run works until ctx ends, then drains and returns nil. The admin addresses answer until the end. An error is one of the
// start, a missing topic for example, or the admin server's. The last log line has it.
func (s *Service) Run(ctx context.Context) error {
	s.logStart(ctx)
	told := ctx
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error {
		<-ctx.Done()
		s.logTold(told)
		return nil
	})
	if s.admin != nil {
		work.Go(s.admin.serve)
		work.Go(func() error { return s.board.sample(ctx) })
	}
	work.Go(func() error { return s.summarize(ctx) })
	work.Go(func() error { return watchKey(ctx, s.cfg.IM.SecretKey, s.recheck) })
	work.Go(func() error { return watchSecretFiles(ctx, s.cfg.SecretFiles, s.log) })
	work.Go(func() error {
		err := s.consumer.Run(ctx)
		if s.admin != nil {
			err = errors.Join(err, s.admin.close(ctx))
		}
		return err
	})
	err := work.Wait()
	if s.cfg.Traces != nil {
		s.cfg.Traces.Close() //nolint:contextcheck // ctx is over
	}
	err = advise(err)
	s.api.CloseIdleConnections()
	if s.budget != nil {
		_ = s.budget.Close() // nothing is written there that could get lost
	}
	s.logStop(ctx, err)
	return err
}

// advise adds the settings that help to an error.
func advise(err error) error {
	advice := Advice(err)
	if missing, ok := errors.AsType[*consumer.TopicError](err); ok && advice != "" {
		return fmt.Errorf("topic %s does not exist: %s: %w", missing.Topic, advice, missing.Err)
	}
	if advice != "" {
		return fmt.Errorf("%w: %s", err, advice)
	}
	return err
}

// Advice says which settings help against an error of the start; empty if it is none of those that settings help against.
func Advice(err error) string {
	if missing, ok := errors.AsType[*consumer.TopicError](err); ok && errors.Is(missing, kafka.UnknownTopicOrPartition) {
		return "create it, or let --create-topics do so"
	}
	if undecided, ok := errors.AsType[*consumer.StartError](err); ok {
		if undecided.Err != nil {
			return "stop them first, or use another --group"
		}
		return "--start earliest (all of them), --start latest (none), or --start with a time, such as 36h or 2026-01-31"
	}
	if taken, ok := errors.AsType[*consumer.GroupTakenError](err); ok {
		return "use another --group; or, to take this one over, which ends its running replicas, --adopt " + taken.App
	}
	return ""
}

// AdminURL is the address that the admin server listens on, with the real port in place of port 0; empty when turned off.
func (s *Service) AdminURL() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.url()
}

// Stuck returns the loops of the consumer's own that stand still.
func (s *Service) Stuck() []consumer.StuckLoop { return s.consumer.Stuck() }

// Status is the consumer's status.
func (s *Service) Status() consumer.Status { return s.consumer.Status() }

// Counts reads a counter of the service's by the value of its first label. A counter without a label has an empty value.
func (s *Service) Counts(name string) map[string]int { return countsOf(s.registry, name) }
