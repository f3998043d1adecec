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
)

const (
	// A lost member is noticed after sessionTimeout, a rebalance by the others within a heartbeat. A
	// member that no heartbeat gets out of stops calling before its session is over: the
	// heartbeat fails after groupTimeout at the latest, and the calls under way end soon after.
	heartbeatEvery = time.Second
	sessionTimeout = 12 * time.Second
	groupTimeout   = 5 * time.Second
	joinBackoff    = 500 * time.Millisecond
	// kafka-go joins again at once where a rebalance has interrupted it, and leaves it to the broker to hold that join: one that
	// does not would be asked thousands of times a second.
	joinPause = 100 * time.Millisecond
	// A generation that ends at once, as all do while the topic is gone, is not followed by the next at once.
	shortestGeneration = time.Second
	// partitionsEvery is how often the leader looks for partitions that were added.
	partitionsEvery = 30 * time.Second
	// A rebalance waits for the drain of every member: its timeout is longer than that by rebalanceSlack.
	rebalanceSlack = 15 * time.Second
)

// Consumer is one member of the group. Make it with [New], use it once with [Consumer.Run].
type Consumer struct {
	cfg     Config
	log     *slog.Logger
	limiter *limiter
	breaker *breakerGuard
	status  atomic.Pointer[Status]
	// session is the one at work; nil between generations.
	session atomic.Pointer[session]
	// trouble is why it was no working member of the group, when that was last found out; nil since a session began.
	trouble atomic.Pointer[string]
	// member is who we are in the group, as far as known.
	member atomic.Pointer[member]
	// began is the topic that was there when Run began.
	began offsets.TopicID
}

// Status is what a [Consumer] is doing now.
type Status struct {
	// Live says that it works in a generation of the group; otherwise it is joining, or has ended.
	Live bool
	// Generation is the group's current or last generation, Partitions the number of the topic's
	// partitions owned in it.
	Generation, Partitions int
	// Since is when Live became what it is.
	Since time.Time
	// Absent says why it is no working member of the group, as far as known; empty if it is one.
	Absent string
	// Paused says why no calls are made; nil if they are.
	Paused *Pause
	// Stalled says that nothing moves although there is something to do and no pause; nil otherwise.
	Stalled *Stall
}

// New checks the configuration. It returns one [ConfigError] per unusable field, joined.
func New(cfg Config) (*Consumer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Consumer{cfg: cfg, log: cfg.Logger, limiter: newLimiter(cfg.CallsPerSecond, cfg.Budget)}
	c.status.Store(&Status{Since: time.Now()})
	cfg.Metrics.limiter.Store(c.limiter)
	c.breaker = newBreakerGuard(cfg, c.limiter.ramp)
	return c, nil
}

// Status says what the consumer is doing now.
func (c *Consumer) Status() Status {
	s := *c.status.Load()
	if why := c.trouble.Load(); why != nil && c.session.Load() == nil {
		s.Absent = *why
	}
	s.Paused = c.breaker.paused()
	if at := c.session.Load(); at != nil && s.Paused == nil {
		s.Stalled = at.stalls.standstill().ruling(time.Now())
	}
	return s
}

// Run consumes until ctx ends. Then it makes no new call, lets those under way and the dead letters
// end within DrainTimeout, commits, leaves the group and returns nil. It returns an error at
// the start, when the topics can't be used ([TopicError]) or the group has no offsets and it is not clear where to begin
// ([StartError]), and, whenever that is found, when the group is another service's ([GroupTakenError]). All other faults
// are retried for as long as they last.
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
	defer c.limiter.follow(ctx, c.log)()
	conns := &cutter{dial: c.cfg.Cluster.Connect}
	group, err := c.joinGroup(conns) //nolint:contextcheck // the group's log lines belong to no call
	if err != nil {
		return err
	}
	stopRecheck := c.recheck(ctx)
	defer stopRecheck()
	defer c.leave(context.WithoutCancel(ctx), group, kafkas.client, conns)
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
			c.log.LogAttrs(ctx, slog.LevelWarn, "group not joined, will retry", slog.String("group", c.cfg.Group), slog.Any("error", err))
			c.troubled("group not joined", err)
			if pause(ctx, joinPause) != nil {
				return nil
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
		c.trouble.CompareAndSwap(nil, &text)
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
		Brokers:                c.cfg.Cluster.Brokers,
		Dialer:                 dialer,
		Topics:                 []string{c.cfg.Topic},
		GroupBalancers:         []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval:      heartbeatEvery,
		SessionTimeout:         sessionTimeout,
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
		log.LogAttrs(ctx, slog.LevelInfo, "generation begins", slog.String("group", c.cfg.Group), slog.Any("partitions", ids))
		c.setStatus(true, member.generation, len(ids))
		if shares, err := c.shareQuota(generation, ctx, kafkas.log(c.cfg.Topic), ids); err == nil && len(ids) > 0 {
			final = c.workOn(generation, ctx.Done(), c.newOpener(member, ids, shares, kafkas, log), kafkas.writers)
			c.session.Store(nil)
			c.limiter.setShare(0)
		} else {
			awaitEither(generation, ctx)
		}
		c.setStatus(false, member.generation, 0)
		log.LogAttrs(ctx, slog.LevelInfo, "generation ends")
		if ctx.Err() != nil || final != nil {
			// Before this function returns, or kafka-go would join the group again.
			c.resign(context.WithoutCancel(ctx), member, kafkas.client)
			conns.cut()
		}
	})
	<-done
	return final
}

// recheck makes a probe at once whenever Config.Recheck says so. The returned function ends that.
func (c *Consumer) recheck(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, time.Time{}, c.cfg.Recheck) == nil {
			c.breaker.hurry()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// leave ends the membership. What makes kafka-go wait, a join that the broker holds until all
// members have drained, is cut.
func (c *Consumer) leave(ctx context.Context, group *kafka.ConsumerGroup, client *kafka.Client, conns *cutter) {
	m := c.member.Load()
	if m == nil && !conns.isCut() {
		// The first join is under way: only its answer tells who we are to the group, which would
		// otherwise wait for us until the session times out.
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

// working notes that a session has begun to work.
func (c *Consumer) working(s *session) {
	c.session.Store(s)
	c.trouble.Store(nil)
}

// troubled notes why this replica is no working member of the group, for [Status].
func (c *Consumer) troubled(what string, err error) {
	text := fmt.Sprintf("%s: %v", what, err)
	c.trouble.Store(&text)
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
