package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/offsets"
	"convdel/internal/notable"
)

const (
	// The group notices a lost member after Config.SessionTimeout, and members notice a rebalance within a heartbeat. A member whose
	// heartbeats reach nobody stops calling before its session times out: its heartbeat fails after groupTimeout at the latest,
	// and the calls under way end soon after.
	heartbeatEvery = time.Second
	groupTimeout   = 5 * time.Second
	joinBackoff    = 500 * time.Millisecond
	// kafka-go joins again at once after a rebalance has interrupted its join, since brokers hold a join. A broker that does not
	// would get thousands of joins a second.
	joinPause = 100 * time.Millisecond
	// While the topic is gone, generations end at once. The next generation begins after shortestGeneration.
	shortestGeneration = time.Second
	// partitionsEvery is how often the leader looks for partitions that were added.
	partitionsEvery = 30 * time.Second
	// A rebalance waits for the drain of every member: its timeout is longer than a drain's by rebalanceSlack.
	rebalanceSlack = 15 * time.Second
)

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
	// session is the present one; nil between generations.
	session atomic.Pointer[session]
	// left is what the last session has left undone; nil before that.
	left atomic.Pointer[Unfinished]
	// trouble is the last known reason why this replica is no working member of the group; nil while it is one.
	trouble atomic.Pointer[trouble]
	// causes are those of retries.
	causes causes
	// member names this replica in the group; nil until it has joined.
	member atomic.Pointer[member]
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
	// partitions owned in it.
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
		if t := c.trouble.Load(); t != nil {
			s.Absent = t.text
			if t.unreached {
				s.Unreached, s.Since = t.text, t.since
			}
		}
	} else if over := at.over.Load(); over != nil {
		s.Since, s.Absent, s.Draining, s.Stopping = over.since, over.why, true, over.stopping
		s.Unreached = at.unreached()
	} else {
		s.Absent, s.Unreached = at.stalls.refused(), at.unreached()
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

// Run consumes until ctx ends. Then it makes no new call, lets the calls under way and the dead letters end within DrainTimeout,
// commits, leaves the group and returns nil.
//
// At the start it returns a [TopicError] if the topics can't be used, and a [StartError] if the group has no offsets and
// [Config.Start] does not say where to begin. It returns a [cluster.RefusedError] if brokers refuse this replica before it has read
// anything. At any time it returns a [GroupTakenError] if the group is another service's, and a
// [StartError] if an offset is lost or beyond the end of the log. Run retries after all other faults for as long as they last.
func (c *Consumer) Run(ctx context.Context) error {
	kafkas := connect(c.cfg)
	defer kafkas.close(c.log)
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
	conns := &cutter{dial: c.cfg.Cluster.Connect}
	group, err := c.joinGroup(conns) //nolint:contextcheck // the group's log lines belong to no call
	if err != nil {
		return err
	}
	defer c.leave(context.WithoutCancel(ctx), group, kafkas.client, conns)
	spacing := newSpacing(joinPause)
	for {
		began := time.Now()
		gen, err := group.Next(ctx)
		if err == nil {
			c.member.Store(&member{group: gen.GroupID, id: gen.MemberID, generation: int(gen.ID)})
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if err := c.notJoined(ctx, err, spacing); err != nil || ctx.Err() != nil {
				return err
			}
			continue
		}
		if err := c.work(ctx, gen, kafkas, conns); err != nil {
			return err
		}
		if time.Since(began) >= shortestGeneration {
			continue
		}
		text := fmt.Sprintf("generations end as soon as they begin, as they do while topic %s is not there", c.cfg.Topic)
		c.trouble.CompareAndSwap(nil, &trouble{text: text, since: time.Now()})
		if pause(ctx, shortestGeneration) != nil {
			return nil
		}
	}
}

func (c *Consumer) joinGroup(conns *cutter) (*kafka.ConsumerGroup, error) {
	dialer := c.cfg.Cluster.Dialer()
	dialer.DialFunc = conns.DialContext
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     c.cfg.Group,
		Brokers:                c.cfg.Cluster.GroupBrokers(),
		Dialer:                 dialer,
		Topics:                 []string{c.cfg.Topic},
		GroupBalancers:         []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval:      heartbeatEvery,
		SessionTimeout:         c.cfg.SessionTimeout,
		RebalanceTimeout:       c.cfg.DrainTimeout + rebalanceSlack,
		JoinGroupBackoff:       joinBackoff,
		Timeout:                groupTimeout,
		StartOffset:            kafka.FirstOffset,
		WatchPartitionChanges:  true,
		PartitionWatchInterval: partitionsEvery,
		Logger:                 kafkaLog(c.log, slog.LevelDebug),
		ErrorLogger:            conns.quietLog(c.log),
	})
	if err != nil {
		return nil, fmt.Errorf("consumer group %s: %w", c.cfg.Group, err)
	}
	return group, nil
}

// work is one generation, from the assignment to the last commit. An error is one that Run ends with.
func (c *Consumer) work(ctx context.Context, gen *kafka.Generation, kafkas *connections, conns *cutter) (final error) {
	done := make(chan struct{})
	gen.Start(func(generation context.Context) {
		defer close(done)
		member := c.member.Load()
		var ids []int
		for _, a := range gen.Assignments[c.cfg.Topic] {
			ids = append(ids, a.ID)
		}
		c.cfg.Metrics.generations.Inc()
		log := c.log.With(slog.Int("generation", member.generation))
		log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "generation begins", slog.String("group", c.cfg.Group), slog.Any("partitions", ids))
		c.setStatus(true, member.generation, len(ids))
		if shares, err := c.shareQuota(generation, ctx, kafkas.log(c.cfg.Topic), ids); err == nil && len(ids) > 0 {
			final = c.workOn(generation, ctx.Done(), c.newOpener(member, ids, shares, kafkas, log), kafkas.to)
			c.limiter.setShare(0)
		} else {
			awaitEither(generation, ctx)
		}
		c.setStatus(false, member.generation, 0)
		c.session.Store(nil)
		log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "generation ends")
		if ctx.Err() != nil || final != nil {
			// Before this function returns, or kafka-go would join the group again.
			c.resign(context.WithoutCancel(ctx), member, kafkas.client)
			conns.cut()
		}
	})
	<-done
	return final
}

// attend does what goes on beside the generations. The returned function ends that.
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

// leave ends the membership. It cuts the connections to the group, since kafka-go would wait for a join that the broker holds until
// all members have drained.
func (c *Consumer) leave(ctx context.Context, group *kafka.ConsumerGroup, client *kafka.Client, conns *cutter) {
	m := c.member.Load()
	if m == nil && !conns.isCut() {
		// The first join is under way, and only its answer names the member. Without a resignation the group would wait for that
		// member until its session times out.
		joined, cancel := context.WithTimeout(ctx, c.cfg.DrainTimeout)
		gen, err := group.Next(joined)
		cancel()
		if err == nil {
			m = &member{group: gen.GroupID, id: gen.MemberID, generation: int(gen.ID)}
		}
	}
	if m != nil && !conns.isCut() {
		c.resign(ctx, m, client)
	}
	conns.cut()
	if err := group.Close(); err != nil {
		c.log.LogAttrs(ctx, slog.LevelWarn, "group not closed", slog.Any("error", err))
	}
}

// resign tells the group that this member has left, so that the others need not wait for its
// session to time out.
func (c *Consumer) resign(ctx context.Context, m *member, client *kafka.Client) {
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	res, err := client.LeaveGroup(ctx, &kafka.LeaveGroupRequest{
		GroupID: m.group, Members: []kafka.LeaveGroupRequestMember{{ID: m.id}},
	})
	if err == nil {
		err = res.Error
	}
	if err != nil && !errors.Is(err, kafka.UnknownMemberId) {
		c.log.LogAttrs(ctx, slog.LevelWarn, "group not left, it will notice within the session timeout", slog.Any("error", err))
	}
}

// working notes that a session begins.
func (c *Consumer) working(s *session) {
	c.session.Store(s)
	c.trouble.Store(nil)
}

func (c *Consumer) setStatus(live bool, generation, partitions int) {
	c.status.Store(&Status{Live: live, Generation: generation, Partitions: partitions, Since: time.Now()})
}

func awaitEither(a, b context.Context) {
	select {
	case <-a.Done():
	case <-b.Done():
	}
}
