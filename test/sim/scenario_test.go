package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// scenario is a day, drawn from a seed: the set-up, the events, and the faults with their times.
type scenario struct {
	seed uint64
	// gentle days have no fault that allows work to be repeated.
	gentle bool

	brokers    int
	partitions int32
	replicas   int
	members    membership
	// changes says that replicas of the former version take part.
	changes bool

	quota                                            int
	quotaMode                                        string
	maxAttempts, maxInFlight                         int
	callTimeout, retryMax, drainTimeout, maxEventAge time.Duration
	// latency is the API's longest latency. lag is the longest latency of the network to the brokers.
	latency, lag time.Duration
	sasl, debug  bool
	// revivedCheck is the age from which on an event needs its account's list; 0 is off. pageSize is how many conversations a page has.
	revivedCheck time.Duration
	pageSize     int
	// leaving are accounts that are erased. listLimit is how many conversations lists show; 0 is the simulator's default.
	leaving   []*leaving
	listLimit int
	// outcomes says that the ends of events are recorded, accounts that accounts are, too.
	outcomes, accounts bool
	// transactions says that some events are published in transactions, and some of these are rolled back. It is false on
	// days on which brokers fail: the publisher's client then waits with a mutex, and virtual time stands still.
	transactions bool

	// length is the time during which there are faults and events.
	length time.Duration
	events []*planned
	// batches are the odd batches. Their events are part of events.
	batches []*batch
	acts    []*act
}

// These are the ways to keep the quota.
const (
	byPartitions = "partitions"
	byRedis      = "redis"
	byOne        = "local"
)

// draw makes a scenario from a seed. It depends on nothing else.
func draw(seed uint64) *scenario {
	sc := &scenario{seed: seed}
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 0xc0de)), sc: sc}
	sc.gentle = d.chance(0.3)
	sc.brokers = pick(d.Rand, []int{1, 3, 3})
	sc.partitions = int32(1 + d.IntN(8))
	sc.replicas = 1 + d.IntN(4)
	sc.quota = pick(d.Rand, []int{200, 200, 100, 40, 20})
	sc.quotaMode = pick(d.Rand, []string{byPartitions, byPartitions, byRedis})
	if sc.replicas == 1 && d.chance(0.5) {
		sc.quotaMode = byOne
	}
	sc.maxAttempts = pick(d.Rand, []int{6, 6, 6, 4, 3})
	sc.maxInFlight = pick(d.Rand, []int{2000, 2000, 200, 50})
	sc.callTimeout = pick(d.Rand, []time.Duration{5 * time.Second, 5 * time.Second, 2 * time.Second})
	sc.retryMax = pick(d.Rand, []time.Duration{30 * time.Second, 30 * time.Second, 5 * time.Second})
	sc.drainTimeout = pick(d.Rand, []time.Duration{15 * time.Second, 15 * time.Second, 8 * time.Second})
	sc.maxEventAge = pick(d.Rand, []time.Duration{0, 3 * time.Hour})
	sc.latency = pick(d.Rand, []time.Duration{20 * time.Millisecond, 120 * time.Millisecond, 400 * time.Millisecond})
	sc.lag = pick(d.Rand, []time.Duration{0, 0, time.Millisecond, 20 * time.Millisecond})
	sc.sasl = d.chance(0.2)
	sc.debug = d.chance(0.15)
	sc.transactions = sc.gentle && sc.brokers == 1
	o := &drawer{Rand: rngOf(sc, 5), sc: sc} // a source of its own leaves the days otherwise as they were
	sc.outcomes, sc.accounts = o.chance(0.6), o.chance(0.7)
	if o := (&drawer{Rand: rngOf(sc, 6), sc: sc}); o.chance(0.5) {
		sc.revivedCheck, sc.pageSize = time.Hour, pick(o.Rand, []int{0, 0, 2})
	}
	if o := (&drawer{Rand: rngOf(sc, 13), sc: sc}); o.chance(0.2) { // such a day has what the former version's stand-in can do
		sc.changes, sc.outcomes, sc.quotaMode = true, false, byPartitions
	}
	sc.length = d.between(time.Minute, 6*time.Minute)
	sc.events = d.drawEvents()
	if !sc.changes {
		drawLeaving(sc)
	}
	sc.acts = d.drawActs()
	if !sc.changes {
		sc.batches = drawBatches(sc)
	}
	drawOld(sc)
	drawMembers(sc)
	slices.SortStableFunc(sc.acts, func(a, b *act) int { return int(a.at - b.at) })
	return sc
}

// String describes the scenario: its set-up and its acts.
func (sc *scenario) String() string {
	var b strings.Builder
	mood := "rough"
	if sc.gentle {
		mood = "gentle"
	}
	fmt.Fprintf(&b, "seed %d, %s: %d replicas, %d brokers, %d partitions, quota %d (%s), latency up to %s, lag up to %s, sasl %t, outcomes %t, accounts %t\n",
		sc.seed, mood, sc.replicas, sc.brokers, sc.partitions, sc.quota, sc.quotaMode, sc.latency, sc.lag, sc.sasl, sc.outcomes, sc.accounts)
	fmt.Fprintf(&b, "max-attempts %d, max-in-flight %d, call-timeout %s, retry-max %s, drain-timeout %s, max-event-age %s, revived-check %s, pages of %d\n",
		sc.maxAttempts, sc.maxInFlight, sc.callTimeout, sc.retryMax, sc.drainTimeout, sc.maxEventAge, sc.revivedCheck, sc.pageSize)
	fates := map[fate]int{}
	for _, e := range sc.events {
		fates[e.fate]++
	}
	fmt.Fprintf(&b, "%d events in %s:", len(sc.events), sc.length.Round(time.Second))
	for f := good; f <= revived; f++ {
		if fates[f] > 0 {
			fmt.Fprintf(&b, " %d %s", fates[f], f)
		}
	}
	b.WriteByte('\n')
	fmt.Fprintf(&b, "%s\n", &sc.members)
	for _, v := range sc.leaving {
		fmt.Fprintf(&b, "%s\n", v)
	}
	for _, a := range sc.acts {
		fmt.Fprintf(&b, "  %8s  %s\n", a.at.Round(100*time.Millisecond), a)
	}
	return b.String()
}
