package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"convdel/imclient/imtest"
)

// imsimCommand runs the API's simulator alone, until it is stopped.
type imsimCommand struct {
	Addr       string `default:"127.0.0.1:8090" group:"simulator" help:"Address to listen on." placeholder:"HOST:PORT"`
	CallQuota  string `default:"200" group:"simulator" help:"Calls a second that the simulator accepts; 0 = all." name:"quota" placeholder:"NUMBER"`
	LatencyMin string `default:"20ms" group:"simulator" help:"Shortest latency of an answer." placeholder:"TIME"`
	LatencyMax string `default:"120ms" group:"simulator" help:"Longest latency of an answer." placeholder:"TIME"`
	StatsEvery string `default:"10s" group:"simulator" help:"Interval between printed counts of calls; 0 = never." placeholder:"TIME"`
	SDKAppID   string `group:"simulator" help:"The app's SDKAppID. Required." name:"im-sdkappid" placeholder:"NUMBER" setting:""`
	Identifier string `default:"administrator" group:"simulator" help:"Account of the app's administrator." name:"im-identifier" placeholder:"USERID" setting:""`
}

// Help explains more than the flags' texts can.
func (*imsimCommand) Help() string {
	return fmt.Sprintf("The simulator checks signatures. The secret key is in $%s, or in a file named by $%s.",
		imSecretKey, imSecretKey.file()) + `

The beginning of From_Account can ask for a fault:

` + simulatorFaults
}

// simulatorFaults lists the accounts' names for which package imtest answers with a fault.
const simulatorFaults = `    code-50001     always that code
    flaky-2        50004 twice, then success
    slow-300       300 ms more
    http-502       always that HTTP status
    hang           no answer at all
    reset          the connection is reset
    garbage        an answer without JSON

Anything may follow after another hyphen: code-50001-alice.`

// Run serves until ctx ends.
func (i *imsimCommand) Run(ctx context.Context, con *console) error {
	c := checker{flagsOnly: []string{"addr", "quota", "latency-min", "latency-max", "stats-every"}}
	addr := c.listenAddress("addr", i.Addr, "")
	every := c.duration("stats-every", i.StatsEvery, 0, 24*time.Hour)
	cfg := i.check(&c, con)
	if err := c.err(); err != nil {
		return err
	}
	con.serves()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("--addr %s: %w", addr, err)
	}
	sim := imtest.New(cfg)
	say(con.stdout, "IM API simulator on http://%s\napp %d, administrator %s, quota %s, latency %s to %s\n\n"+
		"The beginning of From_Account can ask for a fault:\n%s\n\n",
		listener.Addr(), cfg.SDKAppID, cfg.Identifier, quotaText(cfg.Quota), i.LatencyMin, i.LatencyMax, simulatorFaults)
	serving, ctx := errgroup.WithContext(ctx)
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
	return err
}

// check reads the settings of the simulated app.
func (i *imsimCommand) check(c *checker, con *console) imtest.Config {
	cfg := imtest.Config{RecordLimit: -1} // it may run for weeks, so it counts calls without recording them
	cfg.SDKAppID = int(c.number("im-sdkappid", i.SDKAppID, 1, math.MaxUint32, ", the app's SDKAppID"))
	cfg.Identifier = c.printable("im-identifier", i.Identifier, 32)
	cfg.Quota = int(c.number("quota", i.CallQuota, 0, 1_000_000, ", 0 = all"))
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
