package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/twmb/franz-go/pkg/kgo"
	kgoplain "github.com/twmb/franz-go/pkg/sasl/plain"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/consumer/redisbudget"
	"convdel/imclient"
	"convdel/internal/service"
)

// stopSlack is what a clean stop may take in addition to the drain: the last commit and leaving the group, each with
// retries.
const stopSlack = 40 * time.Second

// host runs replicas, at most one at a time.
type host struct {
	w      *world
	number int

	// turn is held while a replica is started or stopped. It is no mutex, since virtual time stands still while a goroutine
	// waits for one.
	turn    chan struct{}
	running sync.Mutex // guards current
	current *replica
	count   int
	// instance is the instance ID of the host's replicas; empty if they have none. former says that the next one is of the former version.
	instance string
	former   bool
}

// replica is one process of the service.
type replica struct {
	name   string
	party  *party
	cancel context.CancelFunc
	done   chan struct{}
	err    error
	// former says that it is of the former version.
	former bool
	// absent says whether it is no working member of the group; nil for a former one.
	absent func() bool
	// contested says that it was started beside one that has its instance ID, and was no working member. If that one's next join comes
	// later, it is the newer member, and this one is fenced.
	contested bool
}

// fenced says whether a replica ended since another one is the newer member with its instance ID.
func (r *replica) fenced() bool { return r.err != nil && strings.HasPrefix(r.err.Error(), "fenced: ") }

// start starts a replica, unless one runs.
func (s *host) start() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.running.Lock()
	defer s.running.Unlock()
	if s.current != nil {
		return
	}
	s.count++
	name, port := fmt.Sprintf("%d.%d", s.number, s.count), apiPort+100*s.number+s.count
	if s.former {
		s.current = s.w.launchFormer(name, port)
	} else {
		s.current = s.w.launch(name, port, s.member)
	}
}

func (s *host) replica() *replica {
	s.running.Lock()
	defer s.running.Unlock()
	return s.current
}

func (s *host) clear(r *replica) {
	s.running.Lock()
	defer s.running.Unlock()
	if s.current == r {
		s.current = nil
	}
}

// stop ends the replica cleanly.
func (s *host) stop() {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	r := s.replica()
	if r == nil {
		return
	}
	began := time.Now()
	r.cancel()
	<-r.done
	s.clear(r)
	if r.party.isDead() {
		return
	}
	s.w.note("replica %s has stopped", r.name)
	if r.err != nil && (!r.contested || !r.fenced()) {
		s.w.fail("stuck", "replica %s ended with: %v", r.name, r.err)
	}
	if took := time.Since(began); took > s.w.sc.drainTimeout+stopSlack {
		s.w.fail("stuck", "replica %s took %s to stop, with a drain timeout of %s", r.name, took, s.w.sc.drainTimeout)
	}
	s.w.acting.Go(func() {
		time.Sleep(longestHold + time.Second) // frames that were on their way when the replica closed the connection
		if open := r.party.open(); len(open) > 0 {
			s.w.fail("left behind", "replica %s has stopped and has connections to ports %v", r.name, open)
		}
	})
}

// kill ends the replica at any moment, without leaving the group. Nothing that it does afterwards has an effect.
func (s *host) kill() {
	r := s.replica()
	if r == nil {
		return
	}
	r.party.sever()
	r.cancel()
	s.clear(r)
	s.w.acting.Go(func() { <-r.done })
}

func (w *world) stopHost(n int)  { w.acting.Go(w.hosts[n].stop) }
func (w *world) startHost(n int) { w.acting.Go(w.hosts[n].start) }
func (w *world) killHost(n int)  { w.hosts[n].kill() }

func (w *world) rollingRestart(each time.Duration) {
	w.acting.Go(func() {
		for _, s := range w.hosts {
			s.stop()
			time.Sleep(each)
			s.start()
		}
	})
}

// setAway changes whether a host's replica reaches the brokers.
func (w *world) setAway(n int, away, mute bool) {
	r := w.hosts[n].replica()
	if r == nil {
		return
	}
	wasMute := false
	w.net.set(func() { wasMute, r.party.away, r.party.mute = r.party.mute, away, mute })
	if away || wasMute {
		w.net.cutAll(false, func(p *party, port int) bool { return p == r.party && toKafka(port) })
	}
}

// launch starts a process of the service, as `convdel run` does.
func (w *world) launch(name string, port int, edit ...func(*service.Config)) *replica {
	w.note("replica %s starts", name)
	r := &replica{name: name, party: w.net.party(name, w.tap), done: make(chan struct{})}
	w.api.serve(w, name, port)
	out := &output{name: name}
	w.mu.Lock()
	w.output = append(w.output, out)
	w.mu.Unlock()
	level := slog.LevelInfo
	if w.sc.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))
	cfg := w.config(r, port)
	for _, e := range edit {
		e(&cfg)
	}
	s, err := service.New(context.Background(), cfg, log)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.absent = cancel, func() bool { return s.Status().Absent != "" }
	go func() {
		defer close(r.done)
		r.err = s.Run(ctx)
	}()
	w.watching.Go(func() { w.watchLive(r, s) })
	return r
}

// liveEvery is how often a replica is asked whether its loops move.
const liveEvery = 15 * time.Second

// watchLive asks a replica until it ends. Whatever the API, the brokers and Redis do, none of its own loops may stand still.
func (w *world) watchLive(r *replica, s *service.Service) {
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			return
		case <-tick.C:
		}
		if stuck := s.Stuck(); stuck != nil {
			w.fail("live", "loops of replica %s stand still: %v", r.name, stuck)
			return
		}
	}
}

// intrude starts a replica of another app in the group. It must notice and end, and make no call.
func (w *world) intrude() {
	w.acting.Go(func() {
		w.mu.Lock()
		w.intruders++
		n := w.intruders
		w.mu.Unlock()
		name := fmt.Sprintf("of another app %d", n)
		r := w.launch(name, apiPort+1000+n, func(c *service.Config) { c.IM.SDKAppID++ })
		over := time.NewTimer(intruderLimit)
		defer over.Stop()
		select {
		case <-r.done:
		case <-over.C:
			w.fail("foreign", "replica %s still runs after %s", name, intruderLimit)
		}
		r.cancel()
		<-r.done
		if _, told := errors.AsType[*consumer.GroupTakenError](r.err); !told {
			w.fail("foreign", "replica %s ended with: %v", name, r.err)
		}
		for _, c := range w.api.took() {
			if c.by == name {
				w.fail("foreign", "at %s replica %s calls for %v", w.clock(c.at), name, c.Conversation)
			}
		}
	})
}

// intruderLimit is longer than any fault that can keep it from reading whose group it is.
const intruderLimit = 10 * time.Minute

func (w *world) config(r *replica, port int) service.Config {
	sc := w.sc
	cfg := service.Config{
		Consumer: consumer.Config{
			Cluster: w.cluster(r.party), Topic: topic, Group: group, DeadLetterTopic: deadLetters, Start: consumer.StartEarliest(),
			SessionTimeout: sc.members.session,
			CallsPerSecond: sc.quota, ShareByPartitions: sc.quotaMode != byOne,
			CallTimeout: sc.callTimeout, MaxAttempts: sc.maxAttempts, RetryMax: sc.retryMax,
			MaxInFlight: sc.maxInFlight, MaxBatchBytes: maxBatchBytes, MaxRecordBytes: maxRecordBytes, MaxEventAge: sc.maxEventAge, RevivedCheck: sc.revivedCheck, DrainTimeout: sc.drainTimeout,
		},
		IM: imclient.Config{
			Endpoint: "http://" + fmtAddress(port), SDKAppID: sdkAppID, Identifier: admin, SecretKey: w.key,
			CallTimeout: sc.callTimeout, MaxConcurrent: sc.quota, DialContext: r.party.dial,
		},
	}
	if sc.outcomes {
		cfg.Consumer.OutcomeTopic, cfg.Consumer.OutcomesHideAccounts = outcomes, !sc.accounts
	}
	if w.redis != nil {
		cfg.Redis = &redisbudget.Config{
			URL: func() (string, error) { return "redis://:" + redisGuard + "@redis:6379", nil },
			Key: redisKey, CallsPerSecond: sc.quota, Insecure: true, Dial: func(context.Context, string, string) (net.Conn, error) { return r.party.dialRedis(w.redis) },
		}
	}
	return cfg
}

// cluster configures the service's Kafka client.
func (w *world) cluster(p *party) cluster.Config {
	c := cluster.Config{Brokers: w.brokers(), Dial: p.dial}
	if w.sc.sasl {
		c.SASL = plain.Mechanism{Username: "convdel", Password: password}
	}
	return c
}

func saslOf() kgo.Opt { return kgo.SASL(kgoplain.Auth{User: "convdel", Pass: password}.AsMechanism()) }

// output is the output of a process.
type output struct {
	name string
	mu   sync.Mutex
	b    bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
