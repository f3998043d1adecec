//go:build kafka && soak

package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	soakPartitions = 6
	soakReplicas   = 3

	sampleEvery = 5 * time.Second
	// finishLimit is for the backlog and for events that keep failing: after an outage these may make six attempts, up to 45 s
	// apart. drainLimit is for the few events that follow.
	finishLimit = 8 * time.Minute
	drainLimit  = time.Minute
	// stopLimit is the drain timeout and some time to leave the group.
	stopLimit = 20 * time.Second
	// disruptionLimit is how many deletes one kill, lost broker or zombie may repeat. At 200 a second 40 are made in 200
	// ms, and 24 are in flight at up to 120 ms. A busy machine also takes some time to notice.
	disruptionLimit = 100
	// peakLimit tells replicas that share the quota from replicas that don't. Tests in virtual time check the exact bound.
	peakLimit = 300
	// recoveryLimit is two probes of a replica that probes every half minute, and some time for the calls.
	recoveryLimit = 75 * time.Second
)

// soak is three replicas at work. Once a minute they, their Kafka or their API have a fault.
type soak struct {
	*stage
	seed     uint64
	lasts    time.Duration
	every    time.Duration
	rand     *rand.Rand // For drawing faults; only the main loop uses it.
	began    time.Time
	books    *books
	traffic  *apiTraffic
	replicas []*replica
	redis    *redisProcess // Nil unless the quota is kept in it.
	flags    []string      // Flags of all replicas.
	seen     func() []string

	deck     []fault
	struck   []strike
	next     time.Time // When the next fault begins, or the present one ends.
	end      func()    // Ends the present fault; nil if there is none.
	reported time.Time
	sampled  time.Time
	// healthy is since when the API has worked; zero while it does not.
	healthy time.Time
	// recovery is the longest time for which a replica has made no calls while the API worked.
	recovery time.Duration
}

// TestSoak runs for TEST_SOAK_MINUTES (`make soak MINUTES=n`). It prints a line a minute and one for each fault. At the
// end, without faults, the ledger must balance, and memory, goroutines and descriptors must not have grown.
// TEST_SOAK_QUOTA (`make soak QUOTA=redis`) is the replicas' setting quota. TEST_SOAK_SEED repeats the sequence of
// faults. TEST_SOAK_FAULTS (names, comma-separated) and TEST_SOAK_EVERY (a duration) choose the faults.
func TestSoak(t *testing.T) { //nolint:paralleltest // it needs the machine for itself
	s := newSoak(t)
	p := s.newPublisher()
	p.start()
	s.run()
	s.finish(p)
	s.judge()
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	minutes, err := strconv.ParseFloat(cmp.Or(os.Getenv("TEST_SOAK_MINUTES"), "30"), 64)
	if err != nil {
		t.Fatal(err)
	}
	every, err := time.ParseDuration(cmp.Or(os.Getenv("TEST_SOAK_EVERY"), "1m"))
	if err != nil {
		t.Fatal(err)
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("TEST_SOAK_SEED"), strconv.FormatInt(time.Now().Unix(), 10)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{seed: seed, lasts: time.Duration(minutes * float64(time.Minute)), every: every, rand: rand.New(rand.NewPCG(seed, 1))}
	api := vendor()
	api.Seed, api.RecordLimit = seed, -1
	s.stage = newStage(t, soakPartitions, api)
	s.quiet = true
	s.books = newBooks()
	s.traffic = newAPITraffic()
	s.shareQuota()
	var url string
	s.seen, url = s.watchSignatures(s.observe(s.sim))
	for i := range soakReplicas {
		s.replicas = append(s.replicas, &replica{s: s, name: fmt.Sprint("r", i+1), admin: freeAddr(t), api: url})
	}
	return s
}

// shareQuota sets how the replicas share the quota.
func (s *soak) shareQuota() {
	s.tb.Helper()
	switch quota := cmp.Or(os.Getenv("TEST_SOAK_QUOTA"), "partitions"); quota {
	case "partitions":
	case "redis":
		s.redis = newRedisProcess(s.tb)
		s.env = append(s.env, "CONVDEL_REDIS_URL=redis://"+s.redis.addr)
		s.flags = []string{"--quota", quota}
	default:
		s.tb.Fatalf("TEST_SOAK_QUOTA is %q, must be partitions or redis", quota)
	}
}

// run begins and ends faults, takes samples and reports until the time is over. No fault is left at its end.
func (s *soak) run() {
	s.tb.Logf("soak of %s, seed %d, brokers %v, faults every %s %v", s.lasts, s.seed, s.brokers, s.every, s.flags)
	s.began = time.Now()
	s.reported, s.sampled, s.healthy = s.began, s.began, s.began
	s.next = s.began.Add(s.every / 4)
	for _, r := range s.replicas {
		r.start()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for time.Since(s.began) < s.lasts {
		now := <-tick.C
		if !now.Before(s.next) {
			s.turn()
		}
		s.watch(now)
	}
	if s.end != nil {
		s.turn()
	}
	s.report()
}

// watch does all periodic checks that are due.
func (s *soak) watch(now time.Time) {
	s.tb.Helper()
	s.wantAlive()
	if now.Sub(s.sampled) >= sampleEvery {
		s.sampled = now
		s.sample()
	}
	if now.Sub(s.reported) >= time.Minute {
		s.report()
	}
}

// wantAlive fails the test as soon as a replica has ended by itself.
func (s *soak) wantAlive() {
	s.tb.Helper()
	for _, r := range s.replicas {
		select {
		case <-r.process.done:
			if !r.down {
				s.tb.Fatalf("%s has ended by itself: %v", r.name, r.process.err)
			}
		default:
		}
	}
}

// finish waits until all published events have ended, and stops the replicas. A few good events are published until the
// last dead letter has been written, since without successes a failing event can't be told from an outage.
func (s *soak) finish(p *publisher) {
	s.tb.Helper()
	p.calm.Store(true)
	began := time.Now()
	if !s.within(finishLimit, func() bool { return s.books.due(s.deadLetters()) == 0 }) {
		s.tb.Errorf("%s after the last fault there are dead letters missing", finishLimit)
	}
	p.stop()
	if !s.within(drainLimit, s.drained) {
		s.tb.Errorf("%s after the last record not everything is committed", drainLimit)
	}
	s.tb.Logf("%s settled in %.1f s", s.at(), time.Since(began).Seconds())
	s.report()
	for _, r := range s.replicas {
		r.stop()
	}
}

// within calls ok every few seconds until it returns true or the limit is over.
func (s *soak) within(limit time.Duration, ok func() bool) bool {
	s.tb.Helper()
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ok(); {
		now := <-tick.C
		if now.After(deadline) {
			return false
		}
		s.watch(now)
	}
	return true
}

// at returns the time since the beginning, in minutes and seconds.
func (s *soak) at() string {
	d := time.Since(s.began).Round(time.Second)
	return fmt.Sprintf("%3d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func (s *soak) report() {
	s.reported = time.Now()
	calls, peak, codes := s.traffic.since()
	parts := []string{fmt.Sprintf("%s %s, %s", s.at(), s.books, s.lag()), fmt.Sprintf("%d calls, peak %d/s, codes %v", calls, peak, codes)}
	for _, r := range s.replicas {
		parts = append(parts, r.String())
	}
	s.tb.Log(strings.Join(parts, "; "))
}

// lag reports how many records are published and not committed, and how many dead letters were written.
func (s *soak) lag() string {
	ctx, cancel := context.WithTimeout(s.tb.Context(), 5*time.Second)
	defer cancel()
	ends, err := s.admin.ListEndOffsets(ctx, s.topic, s.dlt)
	if err != nil || ends.Error() != nil {
		return "lag and letters not known"
	}
	committed, err := s.admin.FetchOffsets(ctx, s.group)
	if err != nil || committed.Error() != nil {
		return "lag and letters not known"
	}
	lag, letters := int64(0), int64(0)
	ends.Each(func(end kadm.ListedOffset) {
		if end.Topic == s.dlt {
			letters += end.Offset
			return
		}
		lag += end.Offset
		if at, ok := committed.Lookup(s.topic, end.Partition); ok {
			lag -= at.At
		}
	})
	return fmt.Sprintf("%d letters, lag %d", letters, lag)
}
