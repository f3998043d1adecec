package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// scenario is a day, drawn from a seed: the set-up, what is published, and what goes wrong when.
type scenario struct {
	seed uint64
	// gentle days have no fault by which work may be done again.
	gentle bool

	brokers    int
	partitions int32
	replicas   int

	quota                                            int
	quotaMode                                        string
	maxAttempts, maxInFlight                         int
	callTimeout, retryMax, drainTimeout, maxEventAge time.Duration
	// latency is the longest of the API, lag that of the network to the brokers.
	latency, lag time.Duration
	sasl, debug  bool
	// transactions says that some events are published in some, and some of those rolled back. Not where brokers
	// fail: the publisher's client waits for them with a mutex, for which virtual time stands still.
	transactions bool

	// length is how long there are faults, and events.
	length time.Duration
	events []*planned
	// batches are odd ones, whose events are among these.
	batches []*batch
	acts    []*act
}

// The ways to keep the quota.
const (
	byPartitions = "partitions"
	byRedis      = "redis"
	byOne        = "local"
)

// draw makes a scenario of a seed. Nothing else decides.
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
	sc.length = d.between(time.Minute, 6*time.Minute)
	sc.events = d.drawEvents()
	sc.acts = d.drawActs()
	sc.batches = drawBatches(sc)
	slices.SortStableFunc(sc.acts, func(a, b *act) int { return int(a.at - b.at) })
	return sc
}

// String is the scenario as a reader wants it: its set-up and its acts.
func (sc *scenario) String() string {
	var b strings.Builder
	mood := "rough"
	if sc.gentle {
		mood = "gentle"
	}
	fmt.Fprintf(&b, "seed %d, %s: %d replicas, %d brokers, %d partitions, quota %d (%s), latency up to %s, lag up to %s, sasl %t\n",
		sc.seed, mood, sc.replicas, sc.brokers, sc.partitions, sc.quota, sc.quotaMode, sc.latency, sc.lag, sc.sasl)
	fmt.Fprintf(&b, "max-attempts %d, max-in-flight %d, call-timeout %s, retry-max %s, drain-timeout %s, max-event-age %s\n",
		sc.maxAttempts, sc.maxInFlight, sc.callTimeout, sc.retryMax, sc.drainTimeout, sc.maxEventAge)
	fates := map[fate]int{}
	for _, e := range sc.events {
		fates[e.fate]++
	}
	fmt.Fprintf(&b, "%d events in %s:", len(sc.events), sc.length.Round(time.Second))
	for f := good; f <= unreadable; f++ {
		if fates[f] > 0 {
			fmt.Fprintf(&b, " %d %s", fates[f], f)
		}
	}
	b.WriteByte('\n')
	for _, a := range sc.acts {
		fmt.Fprintf(&b, "  %8s  %s\n", a.at.Round(100*time.Millisecond), a)
	}
	return b.String()
}
