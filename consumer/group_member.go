package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/cluster"
	"convdel/consumer/internal/membership"
	"convdel/internal/notable"
)

const (
	// heartbeatEvery is the time in which members notice a rebalance.
	heartbeatEvery = 500 * time.Millisecond
	// A range generation waits for the drain of every member: the rebalance timeout is longer than a drain's by rebalanceSlack.
	rebalanceSlack = 15 * time.Second
)

// member is who we are to the group, in a term of the holdings.
type member struct {
	group, id, instance string
	generation, term    int
}

// groupMember keeps this replica a member of the group. The package membership rules; this type holds the clock, makes the requests and
// passes the orders on.
type groupMember struct {
	c        *Consumer
	kafkas   *connections
	holdings *holdings
	share    *quotaShare

	// told are calls of the rules, answered the answers to requests.
	told     chan func(m *membership.Member, now time.Time)
	answered chan membership.Answer
	// requests are those under way, by their kind.
	requests map[reflect.Type]context.CancelFunc
	making   sync.WaitGroup
	// mu guards spacing, that of refused joins.
	mu      sync.Mutex
	spacing *spacing
	// identity is who this replica is to the group now; generation is the last one that the log has told of.
	identity   atomic.Pointer[member]
	generation int
	// idle says that no session follows the holdings any more.
	idle bool
	// deaf is closed when the rules are called no more. ended is closed when the membership is over and no request is under way, err is
	// why; nil after stop.
	deaf  chan struct{}
	ended chan struct{}
	err   error
}

func (c *Consumer) newGroupMember(kafkas *connections) *groupMember {
	g := &groupMember{
		c: c, kafkas: kafkas, share: &quotaShare{cfg: &c.cfg, limiter: c.limiter, log: c.log},
		told: make(chan func(*membership.Member, time.Time)), answered: make(chan membership.Answer),
		requests: make(map[reflect.Type]context.CancelFunc), spacing: newSpacing(0),
		deaf: make(chan struct{}), ended: make(chan struct{}),
	}
	g.holdings = newHoldings(func(ids []int) {
		g.share.drop(ids...) // also of partitions that were never opened
		g.tell(func(m *membership.Member, now time.Time) { m.GivenUp(now, ids) })
	})
	g.identity.Store(&member{group: c.cfg.Group, generation: -1})
	return g
}

// run is a member of the group until the membership is over: after stop, or for a reason that err names.
func (g *groupMember) run(ctx context.Context) {
	defer close(g.ended)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer g.making.Wait()
	defer cancel()
	defer close(g.deaf) // a request that tells the rules something does not wait for the end that waits for it
	ctx, over := g.c.loops.begin(ctx, "be a member of the group")
	defer over()
	cfg := &g.c.cfg
	rules := membership.New(membership.Config{
		Topic: cfg.Topic, InstanceID: cfg.InstanceID, Session: cfg.SessionTimeout, Rebalance: cfg.DrainTimeout + rebalanceSlack,
		Heartbeat: heartbeatEvery,
	}, time.Now())
	for {
		if g.obey(ctx, rules) {
			return
		}
		g.await(ctx, rules)
	}
}

// await waits for an answer, a call or the time at which the rules have something to do, and lets them rule on it.
func (g *groupMember) await(ctx context.Context, rules *membership.Member) {
	l := loopOf(ctx)
	timer := time.NewTimer(time.Until(rules.Wake()))
	defer timer.Stop()
	l.rests()
	defer l.works()
	select {
	case <-timer.C:
		rules.Tick(time.Now())
	case a := <-g.answered:
		rules.Answered(time.Now(), a)
	case tell := <-g.told:
		tell(rules, time.Now())
	}
}

// tell has the rules called. It does nothing once the membership is over.
func (g *groupMember) tell(call func(m *membership.Member, now time.Time)) {
	select {
	case g.told <- call:
	case <-g.deaf:
	}
}

// stop ends the membership. Nothing may work on partitions any more.
func (g *groupMember) stop() {
	g.tell(func(m *membership.Member, now time.Time) {
		g.idle = true
		m.Stop(now)
		m.GivenUp(now, g.holdings.now().leave) // no session is left to say so
	})
	<-g.ended
}

// fail ends the membership with an error.
func (g *groupMember) fail(err error) {
	g.tell(func(m *membership.Member, now time.Time) {
		g.err = err
		m.Stop(now)
	})
}

// sees tells how many partitions the topic has.
func (g *groupMember) sees(ctx context.Context, partitions int) {
	g.share.sees(ctx, partitions)
	g.tell(func(m *membership.Member, now time.Time) { m.Partitions(now, partitions) })
}

// member is who this replica is to the group now.
func (g *groupMember) member() member { return *g.identity.Load() }

// commitRefused tells that the group does not take a commit.
func (g *groupMember) commitRefused(of member, code kafka.Error) {
	g.tell(func(m *membership.Member, now time.Time) {
		//nolint:gosec // they came from 16 and 32 bits
		m.CommitRefused(now, int16(code), membership.Identity{MemberID: of.id, InstanceID: of.instance, Generation: int32(of.generation)})
	})
}

// obey carries orders out until there are none. It says whether the membership is over.
func (g *groupMember) obey(ctx context.Context, rules *membership.Member) (over bool) {
	for orders := rules.Orders(); len(orders) > 0; orders = rules.Orders() {
		g.allow(rules)
		for _, order := range orders {
			if end, is := order.(membership.End); is {
				if g.err == nil {
					g.err = end.Err
				}
				over = true
			}
			g.carryOut(ctx, rules, order)
		}
	}
	g.allow(rules)
	g.identify(rules.Identity())
	g.begins(ctx, rules)
	return over
}

// allow says until when calls may leave, and until when dead letters and outcomes may be written.
func (g *groupMember) allow(rules *membership.Member) {
	g.c.limiter.allow(rules.MayCall())
	g.kafkas.gate.allow(rules.MayWrite())
}

// identify notes who this replica is now. What is lost has been taken from the holdings before: a new membership has a new term.
func (g *groupMember) identify(id membership.Identity) {
	g.identity.Store(&member{
		group: g.c.cfg.Group, id: id.MemberID, instance: id.InstanceID, generation: int(id.Generation), term: g.holdings.now().term,
	})
}

// begins notes a generation in which this replica has its assignment.
func (g *groupMember) begins(ctx context.Context, rules *membership.Member) {
	state, now := rules.State(), g.member()
	if now.generation < 0 && g.c.status.Load().Live {
		g.c.setStatus(false, g.generation, 0) // a member that holds nothing loses nothing
	}
	if state.Phase != membership.Working || now.generation == g.generation && g.c.status.Load().Live {
		return
	}
	if state.Partitions > 0 {
		g.share.sees(ctx, state.Partitions)
	}
	g.generation = now.generation
	g.c.cfg.Metrics.generations.Inc()
	g.c.trouble.Store(nil)
	g.spaceAfter(nil)
	g.c.setStatus(true, now.generation, len(state.Held)-len(state.GivingUp))
	g.c.log.LogAttrs(notable.Mark(ctx), slog.LevelInfo, "generation begins", slog.Int("generation", now.generation),
		slog.String("group", g.c.cfg.Group), slog.String("protocol", state.Protocol), slog.Any("partitions", state.Held),
		slog.Any("giving_up", state.GivingUp))
	g.holdings.join()
}

// carryOut does what the rules order.
func (g *groupMember) carryOut(ctx context.Context, rules *membership.Member, order membership.Order) {
	switch o := order.(type) {
	case membership.Send:
		g.send(ctx, o)
	case membership.Gain:
		g.share.hold(o.Partitions...)
		g.holdings.gain(o.Partitions, o.Begin)
	case membership.GiveUp:
		if g.idle {
			g.share.drop(o.Partitions...)
			rules.GivenUp(time.Now(), o.Partitions)
			return
		}
		g.holdings.leave(o.Partitions)
	case membership.Lose:
		g.lose(ctx, o.Why)
	case membership.Pause:
		g.paused(ctx, o.Why)
	case membership.Resume:
		g.resumed(ctx)
	case membership.Refused:
		g.refused(ctx, o)
	case membership.End:
		g.c.setStatus(false, g.generation, 0)
	}
}

// paused tells of a pause, or of another reason for it.
func (g *groupMember) paused(ctx context.Context, why error) {
	level, code := slog.LevelWarn, kafka.Error(0)
	if lost, is := errors.AsType[*membership.LostError](why); is {
		code = kafka.Error(lost.Code)
	}
	if code == kafka.IllegalGeneration {
		level = slog.LevelDebug // a heartbeat and the answer to a join have crossed: a matter of milliseconds
	} else {
		g.c.doubts(why, code == 0)
	}
	g.c.log.LogAttrs(ctx, level, "no new calls: this replica may no longer be a member of the group", slog.Any("error", why))
}

// resumed tells of a pause's end, as loud as of its beginning.
func (g *groupMember) resumed(ctx context.Context) {
	level := slog.LevelDebug
	if g.c.doubtEnds() {
		level = slog.LevelInfo
	}
	g.c.log.LogAttrs(ctx, level, "calls go on: this replica is a member of the group")
}

// lose passes on that all partitions are lost. The log may stand: it comes last.
func (g *groupMember) lose(ctx context.Context, why error) {
	g.holdings.lose(why)
	g.share.dropAll()
	g.c.doubt.Store(nil)
	g.c.trouble.Store(&trouble{text: why.Error(), since: time.Now()})
	g.c.setStatus(false, g.generation, 0)
	g.c.log.LogAttrs(notable.Mark(ctx), slog.LevelWarn, "the membership is lost", slog.Any("error", why))
}

// refused says in the log that a request is made again. Refusals by the brokers have been told.
func (g *groupMember) refused(ctx context.Context, o membership.Refused) {
	err := asKafkas(o.Err)
	if cluster.Refusal(err) != nil {
		return
	}
	g.c.log.LogAttrs(ctx, slog.LevelWarn, "group not joined, will retry", slog.String("group", g.c.cfg.Group), slog.Any("error", err))
	g.c.troubled("group not joined", err)
}

// asKafkas returns a refusal with its code as a [kafka.Error].
func asKafkas(err error) error {
	if refused, is := errors.AsType[*membership.RefusedError](err); is && refused.Code != 0 && !refused.Strangers {
		return fmt.Errorf("%s: %w", refused.Request, kafka.Error(refused.Code))
	}
	return err
}

// brokersRefuse deals with a join that brokers refuse, before the rules get the answer: it ends the membership if this replica has not
// worked yet, and returns the pause before the next join otherwise.
func (g *groupMember) brokersRefuse(ctx context.Context, err error) time.Duration {
	if cluster.Refusal(err) == nil {
		return 0
	}
	if final := g.c.atStart(err); isFinal(final) {
		g.fail(final)
		return 0
	}
	level, cause := inLog(err)
	g.c.log.LogAttrs(ctx, level, "group not joined, will retry", slog.String("group", g.c.cfg.Group), cause)
	g.c.troubled("group not joined", err)
	return g.spaceAfter(err)
}

// spaceAfter returns the pause after a join that brokers refuse. A nil error begins anew: the join has succeeded.
func (g *groupMember) spaceAfter(err error) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.spacing.after(err)
}
