package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"convdel/consumer/cluster"
	"convdel/imclient/imtest"
	"convdel/internal/publish"
	"convdel/internal/service"
	"convdel/schema"
)

// demoCommand shows convdel at work, with everything it needs in one process.
type demoCommand struct {
	Events    string `default:"1000" group:"demo" help:"Sample events to publish." placeholder:"NUMBER"`
	CallQuota string `default:"200" group:"demo" help:"Calls a second that the simulated API accepts; 0 = all." name:"quota" placeholder:"NUMBER"`
	Seed      string `default:"1" group:"demo" help:"Seed of the mix of samples." placeholder:"NUMBER"`
	DataDir   string `group:"demo" help:"Directory of the broker's data. Without this flag, the data is in memory." placeholder:"DIR"`
	Letters   string `default:"12" group:"demo" help:"Dead letters to list at the end." placeholder:"NUMBER"`
	Stay      bool   `group:"demo" help:"Keep everything running after the ledger, to publish and look around."`
	LogLevel  string `default:"error" group:"demo" help:"Lowest level of the service's log lines to show." placeholder:"LEVEL" words:"debug,info,warn,error"`
}

// Help explains more than the flags' texts can.
func (*demoCommand) Help() string {
	return `Needs nothing: no broker, no account, no settings.

    convdel demo
    convdel demo --events 20000 --stay

Before the ledger, an account of the simulator is erased, with its plan and its report.

The ledger at the end is checked against the broker's topics and the simulator's own record, whatever
the service says of itself. The exit status is 0 only if it balances.`
}

// These identify the app in the demo's simulator. The key protects nothing.
const (
	demoApp        = 1400000000
	demoIdentifier = "administrator"
	demoSecretKey  = "demo-key-of-the-simulator" //nolint:gosec // it protects nothing
	demoGroup      = "convdel"
)

// demoOptions are the demo's settings, read and checked.
type demoOptions struct {
	events, quota, letters int
	seed                   uint64
	dataDir, logLevel      string
	stay                   bool
}

func (d *demoCommand) check() (demoOptions, error) {
	c := checker{flagsOnly: []string{"events", "quota", "letters", "seed", "log-level"}}
	opts := demoOptions{
		events:  int(c.number("events", d.Events, 1, 1_000_000, "")),
		quota:   int(c.number("quota", d.CallQuota, 0, 100_000, ", 0 = no limit")),
		letters: int(c.number("letters", d.Letters, 0, 1_000_000, "")),
		seed:    uint64(c.number("seed", d.Seed, 0, 1<<62, "")), //nolint:gosec // not negative
		dataDir: d.DataDir, stay: d.Stay, logLevel: d.LogLevel,
	}
	c.logLevel(d.LogLevel)
	return opts, c.err()
}

// demo holds the demo's parts: broker, simulator and service.
type demo struct {
	demoOptions
	con     *console
	broker  *demoBroker
	sim     *imtest.Server
	service *service.Service
	// endLog ends the service's log; nil before there is one.
	endLog func()
}

// Run runs the demo.
func (d *demoCommand) Run(ctx context.Context, con *console) error {
	opts, err := d.check()
	if err != nil {
		return err
	}
	stage, err := newDemo(ctx, opts, con)
	if err != nil {
		return err
	}
	defer stage.close()
	return stage.play(ctx)
}

// newDemo starts a broker and a simulator, and makes a service for them as `convdel run` does.
func newDemo(ctx context.Context, opts demoOptions, con *console) (*demo, error) {
	d := &demo{demoOptions: opts, con: con}
	var err error
	if d.broker, err = startBroker(opts.dataDir); err != nil {
		return nil, err
	}
	d.sim, err = imtest.Start(imtest.Config{
		SDKAppID: demoApp, Identifier: demoIdentifier, SecretKey: demoSecretKey,
		Quota: opts.quota, Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond), Seed: opts.seed,
	})
	if err == nil {
		d.service, err = d.newService(ctx)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// newService reads the service's settings from a command line, so that only these flags differ from `convdel run`. The
// waits between attempts are short. Otherwise the demo would take minutes.
func (d *demo) newService(ctx context.Context) (*service.Service, error) {
	var cmds commands
	parser, err := newParser(&cmds, &console{stdout: io.Discard, stderr: io.Discard, env: d.env}, func(int) {})
	if err != nil {
		return nil, err
	}
	if _, err = parser.Parse([]string{
		"run", "--brokers=" + d.broker.address, "--group=" + demoGroup, "--create-topics", "--start=earliest",
		"--im-endpoint=" + d.sim.URL, "--im-sdkappid=" + strconv.Itoa(demoApp), "--im-identifier=" + demoIdentifier,
		"--calls-per-second=" + strconv.Itoa(d.quota), "--retry-initial=100ms", "--retry-max=1s",
		"--outcome-topic=" + demoOutcomes, "--admin-addr=127.0.0.1:0", "--log-level=" + d.logLevel,
	}); err != nil {
		return nil, err
	}
	cfg, err := cmds.Run.check(d.env)
	if err != nil {
		return nil, err
	}
	s, endLog, err := newService(ctx, cfg, d.con)
	d.endLog = endLog
	return s, err
}

func (d *demo) close() {
	if d.endLog != nil {
		d.endLog()
	}
	if d.sim != nil {
		d.sim.Close()
	}
	d.broker.close()
}

// play publishes, lets the service work until every event has ended, and prints the ledger.
func (d *demo) play(ctx context.Context) error {
	d.introduce()
	start, err := d.broker.mark(ctx)
	if err != nil {
		return err
	}
	run := strconv.FormatInt(time.Now().Unix()%(36*36*36*36*36*36), 36)
	samples := makeSamples(d.events, d.seed, run)
	if err := d.publish(ctx, samples); err != nil {
		return err
	}
	d.printf("published %d events: %s\n", len(samples), describeSamples(samples))
	if start.backlog > 0 {
		d.printf("an earlier run has left up to %d events that had not ended; they come first\n", start.backlog)
	}

	served := d.serve(context.WithoutCancel(ctx))
	planned := len(samples)
	err = d.watch(ctx, served, start.backlog+planned, func() error {
		witness := makeWitness(len(samples), run)
		samples = append(samples, witness)
		return d.publish(ctx, []sample{witness})
	})
	if more := len(samples) - planned; more > 0 {
		d.printf("published %d more events: they show that the API is well, and that the failing ones fail on their own\n", more)
	}
	if err == nil && !d.stay {
		err = d.erase(ctx, run)
	}
	if err == nil && d.stay {
		err = d.balance(ctx, start, samples)
		d.invite()
		select {
		case <-ctx.Done():
			d.printf("\nstopping\n")
		case <-served.done:
		}
	}
	if stopped := served.end(); stopped != nil {
		return stopped
	}
	if err == nil && !d.stay {
		err = d.balance(ctx, start, samples)
	}
	return err
}

// served is the service while it works.
type served struct {
	stop context.CancelFunc
	done chan struct{}
	err  error // valid once done is closed
}

func (d *demo) serve(ctx context.Context) *served {
	ctx, stop := context.WithCancel(ctx)
	s := &served{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = d.service.Run(ctx)
	}()
	return s
}

// end stops the service and waits for it.
func (s *served) end() error {
	s.stop()
	<-s.done
	return s.err
}

// publish publishes the samples.
func (d *demo) publish(ctx context.Context, samples []sample) error {
	sink := publish.NewWriter(cluster.Config{Brokers: d.broker.cluster.ListenAddrs()}, schema.Topic)
	records := make([]publish.Record, len(samples))
	for i, s := range samples {
		records[i] = s.record
	}
	for len(records) > 0 {
		n := min(len(records), maxChunkLines)
		if _, err := sink.Write(ctx, records[:n]); err != nil {
			return errors.Join(err, sink.Close())
		}
		records = records[n:]
	}
	return sink.Close()
}

// balance draws up the ledger and prints it. It fails if the ledger does not balance.
func (d *demo) balance(ctx context.Context, start mark, samples []sample) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	l, err := d.draw(ctx, start, samples)
	if err != nil {
		return fmt.Errorf("draw up the ledger: %w", err)
	}
	d.report(l)
	if len(l.problems) > 0 {
		return errReported
	}
	return nil
}

// ledgerTimeout bounds the reading of the topics for the ledger.
const ledgerTimeout = time.Minute

func (d *demo) printf(format string, args ...any) { say(d.con.stdout, format, args...) }
