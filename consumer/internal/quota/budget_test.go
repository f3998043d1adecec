package quota_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"convdel/consumer/internal/quota"
)

// budget keeps a real budget's promise: departures at even distances, at most a second ahead.
type budget struct {
	apart time.Duration
	next  time.Time
	dead  bool
}

func (b *budget) reserve(now time.Time, n int) (departures []time.Duration, again time.Duration) {
	if b.next.Before(now) {
		b.next = now
	}
	for len(departures) < n && b.next.Sub(now) <= time.Second {
		departures = append(departures, b.next.Sub(now))
		b.next = b.next.Add(b.apart)
	}
	return departures, b.apart
}

// replica has a limiter, a backlog, and at most one question under way.
type replica struct {
	*quota.Limiter
	backlog int
	// asked is when the question under way was asked, answers is when its answer comes. Both are zero if there is no
	// question.
	asked, answers time.Time
	n              int
	waiting        bool
	under          []call
}

// call has a permit, and leaves at a time.
type call struct {
	permit quota.Permit
	leaves time.Time
}

// group is replicas that share a budget, in small steps.
type group struct {
	budget   budget
	replicas []*replica
	now      time.Time
	left     []time.Time
	trip     time.Duration
	// delay is how long after its permit a call leaves.
	delay func() time.Duration
}

func newGroup(calls, replicas int) *group {
	g := &group{now: began, budget: budget{apart: quota.Window / time.Duration(calls), next: began}, trip: 2 * ms, delay: atOnce}
	for r := range replicas {
		l := quota.NewLeasing(calls)
		var owned []int
		for p := r; p < 6; p += replicas {
			owned = append(owned, p)
		}
		l.SetShare(quota.Share(calls, owned, 6), began)
		g.replicas = append(g.replicas, &replica{Limiter: l})
	}
	return g
}

// step lets a replica do what it can do now.
func (g *group) step(r *replica) {
	r.under = slices.DeleteFunc(r.under, func(c call) bool {
		if c.leaves.After(g.now) {
			return false
		}
		r.Sent(c.permit, g.now)
		g.left = append(g.left, g.now)
		return true
	})
	g.converse(r)
	for r.backlog > 0 {
		ruling := r.Ask(g.now)
		if r.waiting = !ruling.Granted; r.waiting {
			break
		}
		r.backlog--
		r.under = append(r.under, call{ruling.Permit, g.now.Add(g.delay())})
	}
}

// converse delivers the budget's answer, and asks what the limiter demands.
func (g *group) converse(r *replica) {
	switch {
	case r.asked.IsZero():
		waiting := 0
		if r.waiting {
			waiting = 1
		}
		d := r.Demand(g.now, r.backlog, waiting)
		if !d.Ask {
			return
		}
		r.asked, r.n, r.answers = g.now, d.N, g.now.Add(g.trip)
		if g.budget.dead {
			r.answers = g.now.Add(250 * ms)
		}
	case g.now.Before(r.answers):
	case g.budget.dead:
		r.asked = time.Time{}
		r.BudgetFailed(g.now)
	default:
		departures, again := g.budget.reserve(g.now, r.n)
		r.BudgetAnswered(r.asked, g.now, r.n, departures, again)
		r.asked = time.Time{}
	}
}

func (g *group) run(d time.Duration) {
	for until := g.now.Add(d); g.now.Before(until); g.now = g.now.Add(ms / 4) {
		for _, r := range g.replicas {
			g.step(r)
		}
	}
}

// notice lets every replica find out that the budget fails. A replica without calls would not find out. It would use the
// whole quota as soon as the budget answers again, while the others' calls of the last second, made by their shares, still
// count.
func (g *group) notice() {
	for _, r := range g.replicas {
		backlog := r.backlog
		for r.backlog = 1_000_000; r.Mode() != quota.ByShare; {
			g.run(ms)
		}
		r.backlog = backlog
	}
}

// TestReplicasKeepToTheQuota: replicas with changing backlogs never make more calls in a second than the quota, while their
// budget fails for all of them and comes back.
func TestReplicasKeepToTheQuota(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calls := rapid.SampledFrom([]int{6, 20, 60, 200}).Draw(t, "calls a second")
		g := newGroup(calls, rapid.IntRange(1, 4).Draw(t, "replicas"))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		g.delay = func() time.Duration { return time.Duration(random.IntN(4)) * ms }
		for range rapid.IntRange(1, 12).Draw(t, "scenes") {
			for _, r := range g.replicas {
				if rapid.Bool().Draw(t, "other backlog") {
					r.backlog = rapid.SampledFrom([]int{0, 1, 3, 10_000}).Draw(t, "backlog")
				}
			}
			g.trip = time.Duration(rapid.IntRange(1, 20).Draw(t, "trip")) * ms
			if g.budget.dead = rapid.IntRange(0, 3).Draw(t, "dead") == 0; g.budget.dead {
				g.notice()
			}
			if rapid.IntRange(0, 5).Draw(t, "throttled") == 0 {
				g.replicas[0].Throttled(g.now)
			}
			g.run(time.Duration(rapid.SampledFrom([]int{20, 300, 1500, 4000}).Draw(t, "scene")) * ms)
		}
		if most := mostInASecond(g.left); most > calls {
			t.Fatalf("%d calls in a second, with a quota of %d", most, calls)
		}
	})
}

// TestTheQuotaFollowsTheWork: a replica that has all of the backlog uses all of the quota, and only its share while the
// budget fails.
func TestTheQuotaFollowsTheWork(t *testing.T) {
	t.Parallel()
	g := newGroup(200, 3)
	g.replicas[1].backlog = math.MaxInt32
	wantUsed := func(least, most float64) {
		t.Helper()
		before := len(g.left)
		g.run(10 * time.Second)
		if part := float64(len(g.left)-before) / 2000; part < least || part > most {
			t.Errorf("%.4f of the quota used, want %.4f", part, least)
		}
	}
	g.run(2 * time.Second)
	wantUsed(0.985, 1)
	g.budget.dead = true
	g.run(3 * time.Second)
	wantUsed(0.325, 0.335)
	g.budget.dead = false
	g.run(5 * time.Second)
	wantUsed(0.985, 1)
}
