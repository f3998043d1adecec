package sim

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// drawLongActs draws what makes the rules of the membership matter. It returns true if nothing else may change the group on that day.
func drawLongActs(d *drawer) (alone bool) {
	sc := d.sc
	more := sc.replicas > 1
	switch {
	case sc.changes && more && d.chance(0.35):
		drawMixes(d)
		return true
	case sc.gentle && more && d.chance(0.3):
		sc.acts = append(sc.acts, d.longJoins())
	case !sc.gentle && !sc.changes && more && sc.partitions > 1 && d.chance(0.3):
		sc.acts = append(sc.acts, d.longAbsence()...)
	}
	return false
}

// longJoins is an act in which replicas come and go, and each of their joins takes longer than several heartbeats.
func (d *drawer) longJoins() *act {
	r := &rule{up: d.chance(0.5), key: int16(kmsg.JoinGroup), delay: d.between(longestSilence+500*time.Millisecond, 3*time.Second)}
	return &act{
		name: "replicas come and go while joins take long", detail: r.delay.Round(10 * time.Millisecond).String(),
		at: d.between(5*time.Second, d.sc.length), span: 40 * time.Second, stirs: true,
		begin: func(w *world) {
			w.net.set(func() { w.net.rules[r] = true })
			w.rollingRestart(3 * time.Second)
		},
		end: func(w *world) { w.net.set(func() { delete(w.net.rules, r) }) },
	}
}

// longAbsence are two acts: a replica is cut off from the brokers for longer than its session, so that others get its partitions, and the
// API throttles all calls until then, so that the replica has events in memory.
func (d *drawer) longAbsence() []*act {
	host, mute := d.IntN(d.sc.replicas), d.chance(0.5)
	a := &act{
		name: "replica cut off beyond its session", detail: fmt.Sprintf("%d, into the void %t", host, mute), stirs: true,
		span:  d.sc.members.session + d.between(5*time.Second, 20*time.Second),
		begin: func(w *world) { w.setAway(host, !mute, mute) }, end: func(w *world) { w.setAway(host, false, false) },
	}
	a.redo = a.span + 30*time.Second
	a.at = d.between(8*time.Second, d.sc.length)
	b := scripted(d, imtest.Fault{Code: 60007}, "60007", time.Minute)
	b.name, b.at, b.span = "throttled", a.at-6*time.Second, 6*time.Second+d.sc.members.session+d.between(0, 4*time.Second)
	return []*act{b, a}
}

// drawMixes makes a day on which replicas of both versions begin the group together, and nothing else changes it.
func drawMixes(d *drawer) {
	d.sc.acts = slices.DeleteFunc(d.sc.acts, func(a *act) bool { return a.stirs })
	for at := 15 * time.Second; at < d.sc.length; at += d.between(time.Minute, 90*time.Second) {
		first := d.IntN(d.sc.replicas)
		second := (first + 1 + d.IntN(d.sc.replicas-1)) % d.sc.replicas
		pause := d.between(0, 2*time.Second)
		by := d.slowly()
		d.sc.acts = append(d.sc.acts, &act{
			name: "both versions after a standstill", detail: strconv.Itoa(first) + ", then " + strconv.Itoa(second) + ", answers take " + by.Round(10*time.Millisecond).String(),
			at: at, span: 50 * time.Second, stirs: true, slow: true,
			begin: func(w *world) {
				w.api.slow.Store(int64(by))
				w.mix(first, second, pause)
			},
			end: func(w *world) { w.api.slow.Store(0) },
		})
	}
}

// slowly draws how long answers take that come just in time.
func (d *drawer) slowly() time.Duration {
	return d.sc.callTimeout - d.sc.latency - d.between(300*time.Millisecond, 700*time.Millisecond)
}

// mixFor is how long the group has both versions. The former one waits for a second before it calls.
const mixFor = 10 * time.Second

// mixLimit is what a group of both versions takes at most beyond the time of a call.
const mixLimit = 5 * time.Second

// mix stops all replicas, starts one of the present version alone, and then one of the former version. In the end all are of the present
// version.
func (w *world) mix(first, second int, pause time.Duration) {
	w.acting.Go(func() {
		for _, s := range w.hosts {
			s.setFormer(false)
			s.stop()
		}
		if w.awaitMembers(0, 2*w.sc.members.session) {
			w.hosts[first].start()
			if w.awaitMembers(1, mixLimit) {
				time.Sleep(pause)
				w.joinFormer(first, second)
			}
		}
		for _, s := range w.hosts {
			s.start()
		}
	})
}

// joinFormer starts a replica of the former version beside one of the present version, for a while. The present one's last join offered both
// protocols, so the coordinator lets the former one in. The present one must give way at once.
func (w *world) joinFormer(present, former int) {
	s := w.hosts[former]
	s.setFormer(true)
	s.start()
	if limit := w.sc.callTimeout + mixLimit; w.awaitMembers(2, limit) {
		w.count("groups of both versions, judged")
		time.Sleep(mixFor)
	} else {
		w.fail("calm", "%s after replica %d of the former version has started beside %d the group is %s", limit, former, present, w.groups.Info(group).State)
	}
	s.setFormer(false)
	s.stop()
}

// awaitMembers waits until the group is stable with so many members, or has none. It returns false if that takes too long.
func (w *world) awaitMembers(n int, limit time.Duration) bool {
	for began := time.Now(); time.Since(began) < limit; time.Sleep(50 * time.Millisecond) {
		if info := w.groups.Info(group); len(info.Members) == n && (n == 0 || info.State == "Stable") {
			return true
		}
	}
	w.note("the group is not one of %d members within %s: %s", n, limit, w.groups.Info(group).State)
	return false
}
