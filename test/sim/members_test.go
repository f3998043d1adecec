package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/internal/service"
	"convdel/internal/testkit/coordinator"
)

// membership is how replicas are members of the group.
type membership struct {
	session time.Duration
	// static says which hosts' replicas have an instance ID, former which begin with the former version.
	static, former []bool
}

func (m *membership) String() string {
	kinds := make([]string, len(m.static))
	for i := range kinds {
		kinds[i] = "dynamic"
		if m.static[i] {
			kinds[i] = "static"
		}
		if m.former[i] {
			kinds[i] += " after an upgrade"
		}
	}
	return fmt.Sprintf("sessions of %s, replicas %v", m.session, kinds)
}

// drawMembers draws how the replicas are members, and what befalls members. It has random sources of its own.
func drawMembers(sc *scenario) {
	d := &drawer{Rand: rngOf(sc, 14), sc: sc}
	m := &sc.members
	m.session = pick(d.Rand, []time.Duration{12 * time.Second, 12 * time.Second, 12 * time.Second, 6 * time.Second, 20 * time.Second, 45 * time.Second})
	m.static, m.former = make([]bool, sc.replicas), make([]bool, sc.replicas)
	share := pick(d.Rand, []float64{0, 0, 0.5, 1})
	for i := range m.static {
		m.static[i] = d.chance(share)
	}
	if sc.changes {
		share := pick(d.Rand, []float64{0.5, 1, 0})
		for i := range m.former {
			m.former[i] = d.chance(share)
		}
		sc.acts = append(sc.acts, drawChanges(d, slices.Contains(m.former, true))...)
	}
	if !sc.changes && d.chance(0.15) {
		drawReturns(d)
		return
	}
	if drawLongActs(&drawer{Rand: rngOf(sc, 38), sc: sc}) {
		return
	}
	for _, kind := range memberMakers() {
		if kind.rough && sc.gentle || kind.fits != nil && !kind.fits(sc) || !d.chance(0.35) {
			continue
		}
		a := kind.draw(d)
		a.name, a.stirs = kind.name, true
		a.at = d.between(5*time.Second, sc.length)
		sc.acts = append(sc.acts, a)
	}
}

// drawChanges draws an upgrade, if any replica begins with the former version, and then perhaps a rollback.
func drawChanges(d *drawer, upgraded bool) (acts []*act) {
	at := d.between(10*time.Second, d.sc.length/2)
	change := func(name string, former, once bool) {
		each := d.between(100*time.Millisecond, 10*time.Second)
		acts = append(acts, &act{
			name: name, at: at, stirs: true, detail: each.Round(100*time.Millisecond).String() + " each",
			begin: func(w *world) { w.change(former, once, each) },
		})
		at += d.between(20*time.Second, d.sc.length/2)
	}
	if upgraded {
		change("upgrade", false, false)
	}
	if !upgraded || d.chance(0.4) {
		if d.chance(0.5) {
			change("rollback of all at once", true, true)
		} else {
			change("rollback one by one", true, false)
		}
		if d.chance(0.5) {
			change("upgrade", false, false)
		}
	}
	return acts
}

// drawReturns makes a day on which static replicas come back, and nothing else changes the group.
func drawReturns(d *drawer) {
	m := &d.sc.members
	m.static[d.IntN(d.sc.replicas)] = true
	d.sc.acts = slices.DeleteFunc(d.sc.acts, func(a *act) bool { return a.stirs })
	for at := 15 * time.Second; at < d.sc.length; at += m.session + d.between(30*time.Second, time.Minute) {
		a := d.comesBack(d.ofStatic(), true)
		a.name, a.at = "static replica comes back", at
		d.sc.acts = append(d.sc.acts, a)
	}
}

// comesBack is an act in which a static replica ends and comes back, within its session or later.
func (d *drawer) comesBack(host int, within bool) *act {
	killed := !d.sc.gentle && d.chance(0.5)
	away := d.sc.members.session + d.between(2*time.Second, 15*time.Second)
	if within {
		away = d.between(100*time.Millisecond, d.sc.members.session-4*time.Second)
	}
	a := &act{detail: fmt.Sprintf("%d after %s, killed %t", host, away.Round(100*time.Millisecond), killed)}
	if killed {
		a.redo, a.kills = time.Second, true
	}
	a.begin = func(w *world) { w.comeBack(a, host, away, killed) }
	return a
}

func hasStatic(sc *scenario) bool { return slices.Contains(sc.members.static, true) }

// ofStatic draws a host whose replicas are static members.
func (d *drawer) ofStatic() int {
	for {
		if n := d.IntN(d.sc.replicas); d.sc.members.static[n] {
			return n
		}
	}
}

func memberMakers() []maker {
	return append([]maker{
		{name: "static replica comes back", fits: hasStatic, draw: func(d *drawer) *act {
			return d.comesBack(d.ofStatic(), d.chance(0.7))
		}},
		{name: "replicas come and go while answers are slow", draw: func(d *drawer) *act {
			by := d.slowly()
			return &act{
				detail: by.Round(10 * time.Millisecond).String(), span: 40 * time.Second, slow: true,
				begin: func(w *world) {
					w.api.slow.Store(int64(by))
					w.rollingRestart(3 * time.Second)
				},
				end: func(w *world) { w.api.slow.Store(0) },
			}
		}},
		{name: "two replicas with one instance ID", fits: hasStatic, rough: true, draw: func(d *drawer) *act {
			host := d.ofStatic()
			return &act{
				detail: strconv.Itoa(host), span: 10 * time.Second, redo: 2 * time.Second, kills: true,
				begin: func(w *world) { w.twin(host) },
			}
		}},
		{name: "membership refused", rough: true, draw: func(d *drawer) *act {
			f := pick(d.Rand, []coordinator.Fault{
				{Key: kmsg.JoinGroup, Err: kerr.UnknownMemberID},
				{Key: kmsg.JoinGroup, Err: kerr.NotCoordinator},
				{Key: kmsg.JoinGroup, Err: kerr.RebalanceInProgress},
				{Key: kmsg.SyncGroup, Err: kerr.UnknownMemberID},
				{Key: kmsg.SyncGroup, Err: kerr.IllegalGeneration},
				{Key: kmsg.SyncGroup, Err: kerr.NotCoordinator},
				{Key: kmsg.Heartbeat, Err: kerr.IllegalGeneration},
				{Key: kmsg.Heartbeat, Err: kerr.NotCoordinator},
				{Key: kmsg.Heartbeat, Err: kerr.CoordinatorLoadInProgress},
				{Key: kmsg.OffsetCommit, Err: kerr.IllegalGeneration},
				{Key: kmsg.OffsetCommit, Err: kerr.UnknownMemberID},
			})
			f.Count = pick(d.Rand, []int{-1, 1, 1, 3})
			a := &act{detail: fmt.Sprintf("%s: %s, %d times", f.Key.Name(), f.Err.Message, f.Count), span: d.between(time.Second, 20*time.Second)}
			a.redo = a.span + 30*time.Second
			var remove func()
			a.begin, a.end = func(w *world) { remove = w.groups.Add(f) }, func(*world) { remove() }
			return a
		}},
	}, stepMakers()...)
}

// steps are the requests that make a membership.
var steps = []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit}

// stepMakers are acts in the middle of each step of a membership.
func stepMakers() (all []maker) {
	for _, key := range steps {
		all = append(all, maker{name: "coordinator moves at a " + key.Name(), rough: true, fits: several, draw: func(d *drawer) *act {
			up, loading := d.chance(0.5), pick(d.Rand, []time.Duration{0, 300 * time.Millisecond, 3 * time.Second})
			left := 1 + d.IntN(3)
			a := &act{detail: fmt.Sprintf("request %t, %d times, loading %s", up, left, loading), span: time.Minute, redo: 90 * time.Second}
			a.begin = func(w *world) {
				w.groups.SetLoading(loading)
				w.net.add(&trigger{up: up, key: int16(key), left: left, do: w.moveCoordinator})
			}
			return a
		}}, maker{name: key.Name() + " late or lost", rough: true, draw: func(d *drawer) *act {
			a, r := held(d, key, d.chance(0.5))
			a.redo = a.span + r.delay + 30*time.Second
			if d.chance(0.5) {
				host := fmt.Sprintf("%d.", d.IntN(d.sc.replicas))
				r.matches = func(p *party) bool { return len(p.name) > len(host) && p.name[:len(host)] == host }
			}
			return a
		}})
	}
	return all
}

// change replaces the replicas by those of another version, one after the other or all at once.
func (w *world) change(former, once bool, each time.Duration) {
	w.acting.Go(func() {
		for _, s := range w.hosts {
			s.setFormer(former)
		}
		for _, s := range w.hosts {
			if once {
				s.stop()
			}
		}
		for _, s := range w.hosts {
			if r := s.replica(); r != nil && r.former == former {
				continue
			}
			s.stop()
			time.Sleep(each)
			s.start()
		}
	})
}

// upgradeAll ends with a replica of the present version on each host.
func (w *world) upgradeAll() {
	for _, s := range w.hosts {
		s.setFormer(false)
		if r := s.replica(); r != nil && r.former {
			s.stop()
		}
		s.start()
	}
}

func (s *host) setFormer(former bool) {
	s.running.Lock()
	defer s.running.Unlock()
	s.former = former
}

// member gives a replica its instance ID.
func (s *host) member(c *service.Config) { c.Consumer.InstanceID = s.instance }

// comeBack ends a static replica and starts it again. If that is within its session and nothing else happens, there is no rebalance.
func (w *world) comeBack(a *act, n int, away time.Duration, killed bool) {
	w.acting.Go(func() {
		s := w.hosts[n]
		if r := s.replica(); r == nil || r.former {
			return
		}
		before := w.groups.Info(group)
		if killed {
			s.kill()
		} else {
			s.stop()
		}
		time.Sleep(away)
		s.start()
		id := memberOf(before, s.instance)
		if away >= w.sc.members.session || id == "" || before.State != "Stable" {
			return
		}
		deadline := time.Now().Add(w.sc.members.session)
		for time.Now().Before(deadline) {
			if now := memberOf(w.groups.Info(group), s.instance); now != id && now != "" {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if after := w.groups.Info(group); !w.stirred(a) {
			w.count("returns of static replicas, judged")
			if after.Generation != before.Generation || after.State != "Stable" {
				w.fail("restart", "static replica %d was away for %s and came back: generation %d, %s, before %d", n, away, after.Generation, after.State, before.Generation)
			}
		}
	})
}

func memberOf(info coordinator.Info, instance string) string {
	for _, m := range info.Members {
		if m.Instance != "" && m.Instance == instance {
			return m.ID
		}
	}
	return ""
}

// stirred says whether another act than a may have changed the group in the last minute before a or since.
func (w *world) stirred(a *act) bool {
	from := w.began.Add(a.at - time.Minute)
	return w.during(func(other *act) bool { return other != a && other.stirs }, from, time.Now())
}
