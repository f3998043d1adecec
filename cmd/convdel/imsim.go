package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"convdel/imclient/imtest"
)

// imsimCommand runs the API's simulator alone, until it is stopped.
type imsimCommand struct {
	Addr        string `default:"127.0.0.1:8090" group:"simulator" help:"Address to listen on." placeholder:"HOST:PORT"`
	ControlAddr string `default:"127.0.0.1:8091" group:"simulator" help:"Address that switches faults on and off (docs/rehearsal.md); empty turns it off. Whoever reaches it may." placeholder:"HOST:PORT"`
	CallQuota   string `default:"200" group:"simulator" help:"Calls a second that the simulator accepts, of deletes and of lists each; 0 = all." name:"quota" placeholder:"NUMBER"`
	LatencyMin  string `default:"20ms" group:"simulator" help:"Shortest latency of an answer." placeholder:"TIME"`
	LatencyMax  string `default:"120ms" group:"simulator" help:"Longest latency of an answer." placeholder:"TIME"`
	StatsEvery  string `default:"10s" group:"simulator" help:"Interval between printed counts of calls; 0 = never." placeholder:"TIME"`
	PageSize    string `default:"100" group:"simulator" help:"Conversations on a page of a list." placeholder:"NUMBER"`
	ListLimit   string `default:"100" group:"simulator" help:"Conversations of an account that lists show, the most recent ones." placeholder:"NUMBER"`
	SDKAppID    string `group:"simulator" help:"The app's SDKAppID. Required." name:"im-sdkappid" placeholder:"NUMBER" setting:""`
	Identifier  string `default:"administrator" group:"simulator" help:"Account of the app's administrator." name:"im-identifier" placeholder:"USERID" setting:""`
}

// Help explains more than the flags' texts can.
func (*imsimCommand) Help() string {
	return fmt.Sprintf("The simulator checks signatures. The secret key is in $%s, or in a file named by $%s.",
		imSecretKey, imSecretKey.file()) + `

    CONVDEL_IM_SECRET_KEY=any convdel imsim --im-sdkappid 1400000001 --quota 100

The beginning of From_Account can ask for a fault:

` + simulatorFaults
}

// simulatorFaults lists the accounts' names that mean something to package imtest.
const simulatorFaults = `    code-50001     always that code
    flaky-2        50004 twice, then success
    slow-300       300 ms more
    http-502       always that HTTP status
    hang           no answer at all
    reset          the connection is reset
    garbage        an answer without JSON
    has-250        no fault: the account has 250 conversations

Anything may follow after another hyphen: code-50001-alice.`

// Run serves until ctx ends.
func (i *imsimCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"addr", "control-addr", "quota", "page-size", "list-limit", "latency-min", "latency-max", "stats-every"}}
	addr := c.listenAddress("addr", i.Addr, "")
	if i.ControlAddr != "" {
		c.listenAddress("control-addr", i.ControlAddr, ", or empty")
	}
	every := c.duration("stats-every", i.StatsEvery, 0, 24*time.Hour)
	cfg := i.check(&c, con)
	if err := c.err(); err != nil {
		return err
	}
	con.serves()
	listener, err := listen(ctx, "addr", addr)
	if err != nil {
		return err
	}
	sim := imtest.New(cfg)
	serving, ctx := errgroup.WithContext(ctx)
	controlled := "off"
	if i.ControlAddr != "" {
		control, err := listen(ctx, "control-addr", i.ControlAddr)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		controlled = "http://" + control.Addr().String()
		serving.Go(func() error { return serveControl(ctx, control, newControl(sim)) })
	}
	say(con.stdout, "IM API simulator on http://%s\napp %d, administrator %s, quota %s, latency %s to %s\ncontrol address: %s\n\n"+
		"The beginning of From_Account can ask for a fault:\n%s\n\n",
		listener.Addr(), cfg.SDKAppID, cfg.Identifier, quotaText(cfg.Quota), i.LatencyMin, i.LatencyMax, controlled, simulatorFaults)
	serving.Go(func() error { return sim.Serve(listener) })
	serving.Go(func() error {
		printStats(ctx, con.stdout, sim, every)
		sim.Close()
		return nil
	})
	err = serving.Wait()
	s := sim.Stats()
	say(con.stdout, "\n%d calls, %d deletes, %d throttled; at most %d calls in one second, %d at once, %d for one conversation\n",
		s.Calls, s.Deletes, s.Throttled, s.PeakPerSecond, s.PeakConcurrent, s.PeakPerConversation)
	if lists := sim.ListStats(); lists.Calls > 0 {
		say(con.stdout, "%d calls for lists, %d throttled; at most %d in one second\n", lists.Calls, lists.Throttled, lists.PeakPerSecond)
	}
	return err
}

// listen opens the address of a flag.
func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w", flag, addr, err)
	}
	return listener, nil
}

// serveControl serves the control address until ctx ends.
func serveControl(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // a listener's error is of no use at the end
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control address: %w", err)
	}
	return nil
}

// check reads the settings of the simulated app.
func (i *imsimCommand) check(c *checker, con *console) imtest.Config {
	cfg := imtest.Config{RecordLimit: -1} // it may run for weeks, so it counts calls without recording them
	cfg.SDKAppID = int(c.number("im-sdkappid", i.SDKAppID, 1, math.MaxUint32, ", the app's SDKAppID"))
	cfg.Identifier = c.printable("im-identifier", i.Identifier, 32)
	cfg.Quota = int(c.number("quota", i.CallQuota, 0, 1_000_000, ", 0 = all"))
	cfg.PageSize = int(c.number("page-size", i.PageSize, 1, 1_000_000, ""))
	cfg.ListLimit = int(c.number("list-limit", i.ListLimit, 1, 1_000_000, ""))
	shortest := c.duration("latency-min", i.LatencyMin, 0, time.Hour)
	longest := c.duration("latency-max", i.LatencyMax, 0, time.Hour)
	if longest < shortest {
		c.conflict("latency-max", i.LatencyMax, fmt.Sprintf("must be at least --latency-min, which is %q", i.LatencyMin))
	}
	cfg.Latency = imtest.Uniform(shortest, longest)
	if key, err := c.secret(imSecretKey, con.env, true).read(); err == nil {
		cfg.SecretKey = key
	}
	return cfg
}

func quotaText(callsPerSecond int) string {
	if callsPerSecond == 0 {
		return "none"
	}
	return fmt.Sprintf("%d calls/s", callsPerSecond)
}

// printStats writes a line of statistics every now and then, if something has changed, until ctx ends.
func printStats(ctx context.Context, w io.Writer, sim *imtest.Server, every time.Duration) {
	if every == 0 {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var last imtest.Stats
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			s := sim.Stats()
			if s.Calls == last.Calls && s.Underway == last.Underway {
				continue
			}
			say(w, "%s  %d calls (%.0f/s)  %d deletes  %d throttled  %d under way  peak %d/s\n", stamp(now),
				s.Calls, float64(s.Calls-last.Calls)/every.Seconds(), s.Deletes, s.Throttled, s.Underway, s.PeakPerSecond)
			last = s
		}
	}
}
