package sim

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// stats are figures of one day.
type stats struct {
	records, deleted, letters, outcomes, settled, calls, commits, repeats int
	peak                                                                  float64
	lasted                                                                time.Duration
}

func (s *stats) take(l *ledger) {
	s.records = len(l.entries)
	for _, e := range l.entries {
		if e.deleted {
			s.deleted++
		}
	}
	s.letters, s.settled, s.calls, s.commits = len(l.letters), len(l.w.settled), len(l.w.api.took()), len(l.w.tap.commits)
	for _, of := range l.outcomes {
		s.outcomes += len(of)
	}
	s.lasted = time.Since(l.w.began)
}

func (s *stats) String() string {
	return fmt.Sprintf("%s: %d records, %d deleted (%d again), %d letters, %d of them settled, %d outcomes, %d calls, peak %.0f %% of the quota, %d commits",
		s.lasted.Round(time.Second), s.records, s.deleted, s.repeats, s.letters, s.settled, s.outcomes, s.calls, 100*s.peak, s.commits)
}

// totals are the sums of all days.
type totals struct {
	mu     sync.Mutex
	days   int
	sum    stats
	acts   map[string]int
	broken map[string]int
	failed []uint64
}

func (t *totals) add(w *world) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.acts == nil {
		t.acts, t.broken = map[string]int{}, map[string]int{}
	}
	t.days++
	s := w.stats
	t.sum.records += s.records
	t.sum.deleted += s.deleted
	t.sum.letters += s.letters
	t.sum.settled += s.settled
	t.sum.outcomes += s.outcomes
	t.sum.calls += s.calls
	t.sum.commits += s.commits
	t.sum.repeats += s.repeats
	t.sum.lasted += s.lasted
	t.sum.peak = max(t.sum.peak, s.peak)
	for _, a := range w.sc.acts {
		t.acts[a.name]++
	}
	for what, n := range w.counted {
		t.acts[what] += n
	}
	kinds := map[string]bool{}
	for _, v := range w.broken {
		kinds[v.invariant] = true
	}
	for k := range kinds {
		t.broken[k]++
	}
	if len(kinds) > 0 {
		t.failed = append(t.failed, w.sc.seed)
	}
}

func (t *totals) anyBroken() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.failed) > 0
}

func (t *totals) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d days, %s\n", t.days, &t.sum)
	for _, name := range sorted(t.acts) {
		fmt.Fprintf(&b, "  %4d × %s\n", t.acts[name], name)
	}
	for _, name := range sorted(t.broken) {
		fmt.Fprintf(&b, "  broken on %d days: %s\n", t.broken[name], name)
	}
	slices.Sort(t.failed)
	if len(t.failed) > 0 {
		fmt.Fprintf(&b, "  seeds: %v\n", t.failed)
	}
	return b.String()
}
