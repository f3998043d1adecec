package e2e

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
	"convdel/schema"
)

// traffic publishes events in the background.
type traffic struct {
	stop chan struct{}
	done chan []schema.Event
}

// flow publishes an event of the accounts prefix-N each period, round-robin over the partitions, until end is called.
func (s *stage) flow(prefix string, every time.Duration) *traffic {
	s.tb.Helper()
	f := &traffic{stop: make(chan struct{}), done: make(chan []schema.Event, 1)}
	var sent []schema.Event
	publish := func() {
		e := events(prefix, len(sent), len(sent)+1)
		r := &kgo.Record{Topic: s.topic, Partition: int32(len(sent)) % s.partitions, Value: values(s.tb, e)[0]}
		s.client.Produce(s.tb.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil && s.tb.Context().Err() == nil {
				s.tb.Error("an event of the flow was not published: ", err)
			}
		})
		sent = append(sent, e...)
	}
	go func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				publish()
			case <-f.stop:
				f.done <- sent
				return
			case <-s.tb.Context().Done():
				return
			}
		}
	}()
	return f
}

// end stops the traffic and returns the published events.
func (s *stage) end(f *traffic) []schema.Event {
	s.tb.Helper()
	close(f.stop)
	sent := <-f.done
	if err := s.client.Flush(s.tb.Context()); err != nil {
		s.tb.Fatal(err)
	}
	return sent
}

// wantDeleted checks that exactly the accounts of the events have had deletes, and returns how many deletes were
// repetitions.
func (s *stage) wantDeleted(all ...[]schema.Event) (again int) {
	s.tb.Helper()
	deletes := s.deletes()
	var missing []string
	for _, e := range slices.Concat(all...) {
		n := deletes[e.From]
		if n == 0 {
			missing = append(missing, e.From)
			continue
		}
		again += n - 1
		delete(deletes, e.From)
	}
	if len(missing) > 0 {
		s.tb.Errorf("%d events lost: %v", len(missing), missing[:min(len(missing), 50)])
	}
	if len(deletes) > 0 {
		s.tb.Errorf("deletes that nobody asked for: %v", sortedKeys(deletes))
	}
	return again
}

// deleted returns the accounts with a prefix that have had deletes.
func (s *stage) deleted(prefix string) []string {
	deletes := s.deletes()
	maps.DeleteFunc(deletes, func(account string, _ int) bool { return !strings.HasPrefix(account, prefix+"-") })
	return sortedKeys(deletes)
}

// wantQuota checks the greatest number of calls in any second. A machine that is short of processors delays arrivals
// unevenly, so tests in virtual time check the exact bound (TestPromise3_…, TestPromise6_…, test/sim). This bound tells
// replicas that share the quota from replicas that each use all of it.
func (s *stage) wantQuota() {
	s.tb.Helper()
	stats := s.sim.Stats()
	s.tb.Logf("at most %d calls in a second, %d of %d throttled", stats.PeakPerSecond, stats.Throttled, stats.Calls)
	if stats.PeakPerSecond > apiQuota*3/2 {
		s.tb.Errorf("%d calls in a second, the quota is %d", stats.PeakPerSecond, apiQuota)
	}
}

// awaitMembers waits for a generation with so many working members.
func (s *stage) awaitMembers(n int) {
	s.tb.Helper()
	s.await(time.Minute, "a stable group", func() bool {
		groups, err := s.admin.DescribeGroups(s.tb.Context(), s.group)
		return err == nil && groups.Error() == nil && groups[s.group].State == "Stable" && len(groups[s.group].Members) == n
	})
}

// members returns the IDs of the group's members.
func (s *stage) members() (ids []string) {
	s.tb.Helper()
	groups, err := s.admin.DescribeGroups(s.tb.Context(), s.group)
	if err = errors.Join(err, groups.Error()); err != nil {
		s.tb.Fatal(err)
	}
	for _, m := range groups[s.group].Members {
		ids = append(ids, m.MemberID)
	}
	slices.Sort(ids)
	return ids
}

// awaitGeneration waits until the process works in the group.
func (p *process) awaitGeneration() {
	p.tb.Helper()
	await(p.tb, time.Minute, "a generation of the new replica", func() bool {
		return strings.Contains(p.stderr.String(), "generation begins")
	})
}

// awaitCalls waits for n more calls.
func (s *stage) awaitCalls(n int) {
	s.tb.Helper()
	from := s.sim.Stats().Calls
	s.await(time.Minute, "more calls", func() bool { return s.sim.Stats().Calls >= from+n })
}

// longestPause returns the longest time without a call since from.
func (s *stage) longestPause(from time.Time) time.Duration {
	longest, last := time.Duration(0), from
	for _, a := range s.sim.Arrivals() {
		if a.At.Before(from) {
			continue
		}
		longest, last = max(longest, a.At.Sub(last)), a.At
	}
	return longest
}

// letterKinds counts dead letters by class and code.
func letterKinds(letters map[string]*kgo.Record) map[string]int {
	kinds := map[string]int{}
	for _, l := range letters {
		kinds[testkit.Header(l, "dlt-class")+" "+testkit.Header(l, "dlt-code")]++
	}
	return kinds
}

// wantKinds compares counts of dead letters.
func wantKinds(tb testing.TB, got, want map[string]int) {
	tb.Helper()
	for _, k := range sortedKeys(want) {
		if got[k] != want[k] {
			tb.Errorf("%d dead letters of %s, want %d; all: %v", got[k], k, want[k], got)
		}
	}
}

// apiQuota is the vendor's quota, and the replicas' default.
const apiQuota = 200

// vendor configures an API with the vendor's quota and latency.
func vendor() imtest.Config {
	return imtest.Config{Quota: apiQuota, Latency: imtest.Uniform(20*time.Millisecond, 120*time.Millisecond)}
}
