//go:build kafka && soak

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"convdel/imclient/imtest"
)

// tooFast is the API's code for calls beyond the quota.
const tooFast = 60007

// fault is one way to disturb the service.
type fault struct {
	name string
	// repeats says that events may be repeated because of the fault.
	repeats bool
	// api says that the API does not work meanwhile.
	api bool
	// begin begins the fault. It returns a description, how long it lasts, and a function that ends it.
	begin func(s *soak) (what string, lasts time.Duration, end func())
}

// strike is a fault that has begun.
type strike struct {
	name     string
	repeats  bool
	over     time.Time
	repeated int // The number of repeated deletes before it began.
}

var faults = []fault{
	{name: "kill", repeats: true, begin: (*soak).killReplica},
	{name: "rolling", begin: (*soak).restartReplicas},
	{name: "zombie", repeats: true, begin: (*soak).freezeReplica},
	{name: "api-502", api: true, begin: scripted("the API answers 502", imtest.Fault{HTTPStatus: 502}, 20, 40)},
	{name: "api-hang", api: true, begin: scripted("the API does not answer", imtest.Fault{Hang: true}, 20, 40)},
	{name: "api-reset", api: true, begin: scripted("the API resets connections", imtest.Fault{Reset: true}, 20, 40)},
	{name: "throttled", api: true, begin: scripted("the API says too fast to half of the calls", imtest.Fault{Code: tooFast, Share: 0.5}, 5, 15)},
	{name: "credential", api: true, begin: (*soak).refuseCredential},
	{name: "letters", begin: (*soak).blockLetters},
	{name: "partitions", begin: (*soak).addPartitions},
	{name: "broker", repeats: true, begin: (*soak).killBroker},
	{name: "redis-lost", begin: (*soak).loseRedis},
	{name: "redis-hang", begin: (*soak).freezeRedis},
}

// turn begins the next fault, or ends the present one.
func (s *soak) turn() {
	s.tb.Helper()
	if s.end != nil {
		s.end()
		s.end = nil
		last := &s.struck[len(s.struck)-1]
		last.over = time.Now()
		if s.healthy.IsZero() {
			s.healthy = last.over
		}
		s.tb.Logf("%s   over: %s", s.at(), last.name)
		s.next = s.began.Add(s.every*time.Duration(len(s.struck)) + s.every/4)
		return
	}
	f := s.draw()
	s.struck = append(s.struck, strike{name: f.name, repeats: f.repeats, repeated: s.books.repeats()})
	if f.api {
		s.healthy = time.Time{}
	}
	what, lasts, end := f.begin(s)
	s.tb.Logf("%s   fault: %s: %s, %s", s.at(), f.name, what, lasts)
	s.next, s.end = time.Now().Add(lasts), end
}

// draw takes a fault off the deck. An empty deck is filled and shuffled, so that each fault is as frequent as any other.
func (s *soak) draw() fault {
	if len(s.deck) == 0 {
		wanted := os.Getenv("TEST_SOAK_FAULTS")
		for _, f := range faults {
			if !s.possible(f.name) || wanted != "" && !slices.Contains(strings.Split(wanted, ","), f.name) {
				continue
			}
			s.deck = append(s.deck, f)
		}
		if len(s.deck) == 0 {
			s.tb.Fatalf("no faults of the names %s", wanted)
		}
		s.rand.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
	}
	f := s.deck[0]
	s.deck = s.deck[1:]
	return f
}

// possible returns true if a fault can happen now: a single broker may not be lost, partitions are added once, and not
// every soak has a Redis.
func (s *soak) possible(name string) bool {
	switch name {
	case "broker":
		return len(s.brokers) > 1
	case "redis-lost", "redis-hang":
		return s.redis != nil
	case "partitions":
		return !slices.ContainsFunc(s.struck, func(o strike) bool { return o.name == name })
	}
	return true
}

// calm returns true if there is no fault, and was none in the last quarter of a minute.
func (s *soak) calm() bool {
	return s.end == nil && (len(s.struck) == 0 || time.Since(s.struck[len(s.struck)-1].over) > 15*time.Second)
}

// seconds draws a length of time.
func (s *soak) seconds(from, to int) time.Duration {
	return time.Duration(from+s.rand.IntN(to-from+1)) * time.Second
}

// mortal draws a replica other than the first one. The first one is never ended, so that its resources can be followed from
// the beginning to the end.
func (s *soak) mortal() *replica { return s.replicas[1+s.rand.IntN(len(s.replicas)-1)] }

func (s *soak) killReplica() (string, time.Duration, func()) {
	r := s.mortal()
	r.kill()
	return "kill -9 of " + r.name, s.seconds(1, 25), r.start // some times are shorter, some longer than its session
}

func (s *soak) restartReplicas() (string, time.Duration, func()) {
	restart := func(r *replica) {
		r.stop()
		r.start()
	}
	restart(s.replicas[1])
	return "one after the other is stopped and started", s.seconds(5, 15), func() { restart(s.replicas[2]) }
}

func (s *soak) freezeReplica() (string, time.Duration, func()) {
	r := s.replicas[s.rand.IntN(len(s.replicas))]
	r.freeze()
	return r.name + " stands still, longer than its session", s.seconds(15, 25), r.thaw
}

func scripted(what string, f imtest.Fault, from, to int) func(*soak) (string, time.Duration, func()) {
	return func(s *soak) (string, time.Duration, func()) {
		return what, s.seconds(from, to), s.sim.Script(f).Remove
	}
}

func (s *soak) refuseCredential() (string, time.Duration, func()) {
	s.sim.SetSecretKey("another-key")
	return "the API knows another secret key", 20 * time.Second, func() { s.sim.SetSecretKey(secretKey) }
}

func (s *soak) blockLetters() (string, time.Duration, func()) {
	const setting = "min.insync.replicas"
	before := s.topicConfig(s.dlt, setting)
	s.configure(s.dlt, setting, strconv.Itoa(len(s.brokers)+1))
	return "dead letters can't be written", 20 * time.Second, func() { s.configure(s.dlt, setting, before) }
}

func (s *soak) addPartitions() (string, time.Duration, func()) {
	res, err := s.admin.CreatePartitions(s.tb.Context(), soakPartitions/2, s.topic)
	if err := cmp.Or(err, res.Error()); err != nil {
		s.tb.Fatal(err)
	}
	return fmt.Sprint(soakPartitions/2, " partitions more"), 40 * time.Second, func() {} // the service notices within 30 s
}

func (s *soak) killBroker() (string, time.Duration, func()) {
	id := int32(1 + s.rand.IntN(len(s.brokers)))
	node(s.tb, "kill", id)
	return fmt.Sprint("kill -9 of broker ", id), s.seconds(10, 25), func() { node(s.tb, "start", id) }
}

func (s *soak) topicConfig(topic, name string) string {
	s.tb.Helper()
	configs, err := s.admin.DescribeTopicConfigs(s.tb.Context(), topic)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == name && c.Value != nil {
			return *c.Value
		}
	}
	s.tb.Fatalf("%s has no %s: %v", topic, name, configs[0].Err)
	return ""
}
