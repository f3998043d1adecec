package consumer

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"convdel/consumer/internal/offsets"
)

// shortestSession is the time after which a session may follow another. While the topic is gone, sessions end at once.
const shortestSession = time.Second

// Consumer is one member of the group. Make it with [New], use it once with [Consumer.Run].
type Consumer struct {
	cfg     Config
	log     *slog.Logger
	limiter *limiter
	breaker *breakerGuard
	// lists is the breaker of the accounts' lists. Their limiter is beside the calls' own.
	lists  *breakerGuard
	loops  *loops
	status atomic.Pointer[Status]
	// session is the present one; nil before this replica is a member of the group, and after it has lost its membership.
	session atomic.Pointer[session]
	// left is what the last session has left undone; nil before that.
	left atomic.Pointer[Unfinished]
	// trouble is the last known reason why this replica is no working member of the group; nil while it is one.
	trouble atomic.Pointer[trouble]
	// doubt is why this replica makes no calls, since it may no longer be a member of the group; nil if it is one for sure.
	doubt atomic.Pointer[trouble]
	// causes are those of retries.
	causes causes
	// began is the ID that the topic had when Run began.
	began offsets.TopicID
	// worked says that the brokers have let this replica do its work: it has read a partition, or it owned none.
	worked atomic.Bool
}

// Status is what a [Consumer] is doing now.
type Status struct {
	// Live says that the consumer works in a generation of the group. Otherwise it is joining, or ends what it has begun, or has ended,
	// or brokers refuse to let it work.
	Live bool
	// Generation is the group's current or last generation, Partitions the number of the topic's
	// partitions that are to be worked on in it.
	Generation, Partitions int
	// Since is when Live last changed.
	Since time.Time
	// Absent says why the consumer is no working member of the group, as far as known; empty if it is one.
	Absent string
	// Unreached says that brokers can't be reached, or don't answer, which is the reason of Absent, or why no partition can be read.
	Unreached string
	// Draining says that the consumer only ends what it has begun; Stopping, that it was told to end and will not join again.
	Draining, Stopping bool
	// Paused says why no calls are made, or, with PauseLists, why events wait that need their account's list; nil if neither is so.
	Paused *Pause
	// Throttled says that the API, or what stands before it, takes no more calls; nil if it has not said so lately.
	Throttled *Throttle
	// Stalled says that nothing moves although there is something to do and calls are not paused; nil otherwise.
	Stalled *Stall
	// QuotaFallback says that the shared budget fails, or has just come back, and this replica keeps to its share of the quota.
	QuotaFallback bool
}

// Throttle is that the API says too fast.
type Throttle struct {
	// At is when it last did.
	At time.Time
	// Until is when the time ends for which it wants no call at all; zero if there is none.
	Until time.Time
}

// throttleLasts is for how long a throttled answer is worth telling.
const throttleLasts = 10 * time.Second

// New checks the configuration. It returns one [ConfigError] per unusable field, joined.
func New(cfg Config) (*Consumer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, log: cfg.Logger, limiter: newLimiter(cfg.CallsPerSecond, cfg.Budget), loops: newLoops()}
	c.limiter.loops = c.loops
	c.status.Store(&Status{Since: time.Now()})
	c.limiter.beside = newLimiter(cfg.CallsPerSecond, nil)
	c.breaker = newBreakerGuard(cfg, guardedCalls(), c.limiter.ramp)
	c.lists = newBreakerGuard(cfg, guardedLists(), c.limiter.beside.ramp)
	cfg.Metrics.state.of.Store(c)
	return c, nil
}

// Status says what the consumer is doing now.
func (c *Consumer) Status() Status {
	s := *c.status.Load()
	at := c.session.Load()
	if at == nil {
		s.absentFor(c.trouble.Load())
	} else if over := at.over.Load(); over != nil {
		s.Since, s.Absent, s.Draining, s.Stopping = over.since, over.why, true, over.stopping
		s.Unreached = at.unreached()
	} else {
		s.Absent, s.Unreached = cmp.Or(at.stalls.refused(), at.owned.absent()), at.unreached()
		if doubt := c.doubt.Load(); doubt != nil {
			s.absentFor(cmp.Or(c.trouble.Load(), doubt)) // the answer to a join says more than the silence before it
			s.Since = doubt.since
		}
	}
	s.Live = s.Live && s.Absent == ""
	if s.Paused = c.breaker.paused(); s.Paused == nil {
		s.Paused = c.lists.paused()
	}
	s.QuotaFallback, s.Throttled = c.limiter.fallsBack(), c.limiter.throttle()
	if at != nil && s.Paused == nil {
		s.Stalled = at.stalls.standstill().ruling(time.Now())
	}
	return s
}

// absentFor says why the replica is no working member of the group; nil changes nothing.
func (s *Status) absentFor(t *trouble) {
	if t == nil {
		return
	}
	s.Absent, s.Unreached = t.text, ""
	if t.unreached {
		s.Unreached, s.Since = t.text, t.since
	}
}

// Run consumes until ctx ends. Then it makes no new call, lets the calls under way and the dead letters end within DrainTimeout,
// commits, leaves the group, unless it is a static member, and returns nil.
//
// At the start it returns a [TopicError] if the topics can't be used, and a [StartError] if the group has no offsets and
// [Config.Start] does not say where to begin. It returns a [cluster.RefusedError] if brokers refuse this replica before it has read
// anything. At any time it returns a [GroupTakenError] if the group is another service's, a
// [StartError] if an offset is lost or beyond the end of the log, and an error that names instance-id or session-timeout if another replica
// has the same instance ID, or brokers do not allow the time. Run retries after all other faults for as long as they last.
func (c *Consumer) Run(ctx context.Context) error {
	kafkas := connect(c.cfg)
	defer kafkas.close()
	if err := c.prepareTopics(ctx, kafkas); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before anything began
		}
		return err
	}
	if err := c.begin(ctx, kafkas); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer c.attend(ctx)()
	g := c.newGroupMember(kafkas)
	alive, over := context.WithCancel(ctx)
	defer over()
	go func() {
		defer over()
		g.run(ctx)
	}()
	err := c.serve(alive, ctx.Done(), g)
	g.stop()
	if err == nil {
		err = g.err
	}
	return err
}

// serve works on what the group gives to this replica, in one session after the other, until ctx ends. stop is closed when Run is told to
// end. An error is one that Run ends with.
func (c *Consumer) serve(ctx context.Context, stop <-chan struct{}, g *groupMember) error {
	for {
		now := g.holdings.now()
		if !now.joined {
			if wait(ctx, time.Time{}, now.changed) != nil {
				return nil //nolint:nilerr // a stop is no error
			}
			continue
		}
		began := time.Now()
		if err := c.workOn(ctx, stop, g, now.term); err != nil || ctx.Err() != nil {
			return err
		}
		if time.Since(began) >= shortestSession {
			continue
		}
		text := fmt.Sprintf("partitions can't be worked on as soon as they are opened, as while topic %s is not there", c.cfg.Topic)
		c.trouble.CompareAndSwap(nil, &trouble{text: text, since: time.Now()})
		if pause(ctx, shortestSession) != nil {
			return nil //nolint:nilerr // a stop is no error
		}
	}
}

// attend does what goes on beside the sessions. The returned function ends that.
func (c *Consumer) attend(ctx context.Context) (stop func()) {
	stops := []func(){c.limiter.follow(ctx, c.log), c.recheck(ctx), c.breaker.remind(ctx), c.lists.remind(ctx)}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}

// recheck makes a probe at once whenever Config.Recheck says so. The returned function ends that.
func (c *Consumer) recheck(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, time.Time{}, c.cfg.Recheck) == nil {
			c.breaker.hurry()
			c.lists.hurry()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// setStatus notes what this replica is to the group from now on.
func (c *Consumer) setStatus(live bool, generation, partitions int) {
	since := time.Now()
	if before := c.status.Load(); before.Live == live {
		since = before.Since
	}
	c.status.Store(&Status{Live: live, Generation: generation, Partitions: partitions, Since: since})
}
