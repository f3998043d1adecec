package membership

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// seeds are the worlds that a test plays. TEST_MEMBERSHIP_SEEDS=N plays N of them, TEST_MEMBERSHIP_SEED=N the one.
func seeds(t *testing.T, n int) (from, to int) {
	t.Helper()
	if one, err := strconv.Atoi(os.Getenv("TEST_MEMBERSHIP_SEED")); err == nil {
		return one, one + 1
	}
	if more, err := strconv.Atoi(os.Getenv("TEST_MEMBERSHIP_SEEDS")); err == nil {
		n = more
	}
	return 0, n
}

// playWorlds plays a story in several worlds. Then all faults cease, and the members must share all partitions and stay calm.
func playWorlds(t *testing.T, n int, story func(*world)) {
	t.Helper()
	from, to := seeds(t, n)
	for seed := from; seed < to; seed++ {
		w := newWorld(uint64(seed))
		story(w)
		w.trouble = false
		for _, p := range w.procs {
			p.frozen, p.cutOff = time.Time{}, time.Time{}
		}
		w.note("calm")
		w.run(3 * (session + rebalance))
		joins, rebalances := w.joins, w.group.rebalance
		w.run(2 * rebalance)
		if w.joins != joins || w.group.rebalance != rebalances {
			w.fault("%d joins, %d rebalances though nothing happens", w.joins-joins, w.group.rebalance-rebalances)
		}
		w.settled()
		if len(w.faults) > 0 {
			t.Fatalf("TEST_MEMBERSHIP_SEED=%d\n%s", seed, w.story())
		}
	}
}

// settled demands that the living share all partitions.
func (w *world) settled() {
	owners := map[int]string{}
	least, most, living := w.topic, 0, 0
	for _, p := range w.procs {
		if p.dead || p.ended {
			continue
		}
		living++
		least, most = min(least, len(p.held)), max(most, len(p.held))
		for q, giving := range p.held {
			if owners[q] != "" || giving || !p.paused.IsZero() {
				w.fault("%d of %s (giving it up: %t), and of %q", q, p.name, giving, owners[q])
			}
			owners[q] = p.name
		}
		if p.m != nil && p.m.State().Phase != Working {
			w.fault("%s is %v", p.name, p.m.State().Phase)
		}
	}
	if living > 0 && (len(owners) != w.topic || most-least > 1) {
		w.fault("%d of %d partitions are owned, by %d to %d each of %d", len(owners), w.topic, least, most, living)
	}
}

func (w *world) living() (ps []*process) {
	for _, p := range w.procs {
		if !p.dead && !p.ended {
			ps = append(ps, p)
		}
	}
	return ps
}

func (p *process) stop() {
	p.w.note("%s is stopped", p.name)
	if p.old != nil {
		p.old.stopping = true
		return
	}
	p.input(func() { p.m.Stop(p.w.now) })
}

func (p *process) kill() {
	p.w.note("%s is killed", p.name)
	p.dead = true
}

// disturb does something to one of the processes, or to the coordinator.
func (w *world) disturb() {
	living := w.living()
	if len(living) == 0 {
		w.start(fmt.Sprint("p", len(w.procs)), "")
		return
	}
	p := living[w.rng.IntN(len(living))]
	switch w.rng.IntN(12) {
	case 0, 1:
		if len(living) < 5 {
			w.start(fmt.Sprint("p", len(w.procs)), "")
		}
	case 2:
		if name := fmt.Sprint("pod-", w.rng.IntN(3)); !slices.ContainsFunc(living, func(p *process) bool { return p.instance == name }) {
			w.start(fmt.Sprint("p", len(w.procs), "/", name), name)
		}
	case 3:
		p.stop()
	case 4, 5:
		p.kill()
		if p.instance != "" && p.old == nil {
			w.after(w.upTo(20*time.Second), func() {
				if !slices.ContainsFunc(w.living(), func(q *process) bool { return q.instance == p.instance }) {
					w.start(fmt.Sprint("p", len(w.procs), "/", p.instance), p.instance)
				}
			})
		}
	case 6, 7:
		w.note("the coordinator moves")
		w.group.move(w.now, w.upTo(5*time.Second))
	case 8:
		w.note("%s is cut off", p.name)
		p.cutOff = w.now.Add(w.upTo(20 * time.Second))
	case 9:
		if p.m != nil {
			w.note("%s is frozen", p.name)
			p.frozen = w.now.Add(w.upTo(20 * time.Second))
		}
	case 10:
		w.trouble = !w.trouble
	case 11:
		if w.topic < 20 {
			w.topic += w.rng.IntN(3)
			w.note("%d partitions", w.topic)
		}
	}
}

// TestAnyTrouble: whatever happens to members, the network and the coordinator, no partition is two members' at once, and in the
// end all share all.
func TestAnyTrouble(t *testing.T) {
	t.Parallel()
	playWorlds(t, 60, func(w *world) {
		for range 1 + w.rng.IntN(3) {
			w.disturb()
		}
		for w.now.Before(start.Add(2 * time.Minute)) {
			w.run(w.upTo(10 * time.Second))
			w.disturb()
		}
	})
}

// TestRollingUpgrade: replicas of the earlier version are replaced one by one, in trouble or not.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	playWorlds(t, 60, func(w *world) {
		w.trouble = w.rng.IntN(3) == 0
		var old []*process
		for i := range 3 {
			old = append(old, w.startEarlier(fmt.Sprint("old", i)))
		}
		w.run(w.upTo(20 * time.Second))
		for i, p := range old {
			p.stop()
			w.run(w.upTo(15 * time.Second))
			if w.rng.IntN(4) == 0 {
				w.startEarlier(fmt.Sprint("again", i))
				w.run(w.upTo(15 * time.Second))
			}
			instance := []string{"", fmt.Sprint("pod-", i)}[w.rng.IntN(2)]
			w.start(fmt.Sprint("new", i), instance)
			w.run(w.upTo(15 * time.Second))
		}
		for _, p := range w.living() {
			if p.old != nil {
				p.stop()
			}
		}
	})
}

// TestStaticRestart: a process that comes back with its instance ID within the session causes no rebalance.
func TestStaticRestart(t *testing.T) {
	t.Parallel()
	playWorlds(t, 20, func(w *world) {
		for i := range 3 {
			w.start(fmt.Sprint("p", i), fmt.Sprint("pod-", i))
		}
		w.run(20 * time.Second)
		rebalances := w.group.rebalance
		for i, p := range slices.Clone(w.procs) {
			if w.rng.IntN(2) == 0 {
				p.kill()
			} else {
				p.stop()
			}
			w.run(w.upTo(6 * time.Second))
			if !p.ended && !p.dead {
				w.run(6 * time.Second)
			}
			w.start(fmt.Sprint("again", i), p.instance)
			w.run(8 * time.Second)
			for _, other := range w.living() {
				if len(other.held) == 0 {
					w.fault("%s works on nothing", other.name)
				}
			}
		}
		if w.group.rebalance != rebalances {
			w.fault("%d rebalances", w.group.rebalance-rebalances)
		}
	})
}
