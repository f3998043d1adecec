package main

import (
	"context"
	"errors"
	"log/slog"

	"convdel/imclient"
	"convdel/internal/service"
	"convdel/internal/tracing"
)

// runCommand runs the service until it is told to stop.
type runCommand struct{ serviceSettings }

// Help shows an example.
func (*runCommand) Help() string {
	return `Runs until it is told to stop by SIGTERM or SIGINT. "convdel check" tells beforehand whether all that it needs is there.

    export CONVDEL_IM_SECRET_KEY_FILE=/run/secrets/im-secret-key
    convdel run --brokers kafka-1:9092,kafka-2:9092 --im-sdkappid 1400000001`
}

// Run checks the settings and then serves: settings → logger → imclient → consumer → admin. Package service has the last
// three.
func (r *runCommand) Run(ctx context.Context, con *console) error {
	cfg, err := r.check(con.env)
	if err != nil {
		return err
	}
	boundMemory(con.env, cfg.Consumer.MaxInFlightBytes)
	s, endLog, err := newService(ctx, cfg, con)
	if err != nil {
		return asUsage(err)
	}
	defer endLog()
	atOnce := func(signal string) {
		s.StopAtOnce(signal)
		endLog()
	}
	con.atOnce.Store(&atOnce)
	if s.Run(ctx) != nil {
		return errReported // the last log line has the error
	}
	return nil
}

// newService makes the logger and the service. endLog is called after the log's last line.
func newService(ctx context.Context, cfg serviceConfig, con *console) (s *service.Service, endLog func(), err error) {
	b := readBuild()
	cfg.Version, cfg.Commit = b.version, b.commit
	cfg.Notable = newBook(cfg.AdminAccounts)
	log, endLog := newLogger(con.stderr, cfg.logLevel, cfg.logFormat, cfg.Notable)
	if !cfg.logAccounts {
		log = slog.New(withoutAccounts{log.Handler()})
	}
	con.libraries.redirect(log)
	if cfg.traces != nil {
		if cfg.Traces, err = tracing.New(ctx, cfg.traces, tracing.Config{API: cfg.IM.Endpoint, Version: cfg.Version}, log); err != nil {
			return nil, endLog, err
		}
	}
	s, err = service.New(ctx, cfg.Config, log)
	return s, endLog, err
}

// asUsage turns an error about the environment, a wrong proxy address for example, into a usage error.
func asUsage(err error) error {
	if setting, ok := errors.AsType[*imclient.ConfigError](err); ok {
		return &usageError{lines: []string{setting.Error()}}
	}
	return err
}
