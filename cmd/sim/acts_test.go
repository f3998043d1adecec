package sim

import (
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/imclient/imtest"
)

// act is one thing that happens to the system, from a time on for a span.
type act struct {
	name     string
	detail   string
	at, span time.Duration
	begin    func(w *world)
	end      func(w *world) // nil: nothing to undo
	// redo bounds, as time at the full quota, how much work may be done again because of it.
	redo time.Duration
	// outage says that all calls fail while it lasts; denied that they lack the permission; doubt that calls
	// may be executed without their caller learning of it.
	outage, denied, doubt bool
	// late says that a dead letter may be written without its writer learning of it, or after it has given up.
	late bool
	// waves, if not nil, are when in its span it really happens: begin and length of each.
	waves [][2]time.Duration
}

// times are when an act happens, from its beginning on.
func (a *act) times() [][2]time.Duration {
	if a.waves != nil {
		return a.waves
	}
	return [][2]time.Duration{{0, a.span}}
}

func (a *act) String() string {
	text := a.name
	if a.detail != "" {
		text += " (" + a.detail + ")"
	}
	if a.span > 0 {
		text += " for " + a.span.Round(100*time.Millisecond).String()
	}
	return text
}

// maker draws one kind of act. A rough one may make the service do work again.
type maker struct {
	name   string
	rough  bool
	weight int
	fits   func(sc *scenario) bool
	draw   func(d *drawer) *act
}

// makers are all kinds there are, by whom they happen to.
func makers() []maker {
	all := append(apiMakers(), kafkaMakers()...)
	return append(all, peopleMakers()...)
}

func several(sc *scenario) bool   { return sc.brokers > 1 }
func withRedis(sc *scenario) bool { return sc.quotaMode == byRedis }

// drawActs draws what goes wrong.
func (d *drawer) drawActs() []*act {
	var kinds []maker
	total := 0
	for _, m := range makers() {
		if (m.rough && d.sc.gentle) || m.fits != nil && !m.fits(d.sc) {
			continue
		}
		kinds = append(kinds, m)
		total += m.weight
	}
	var acts []*act
	for range 2 + d.IntN(4+int(d.sc.length/(20*time.Second))) {
		n := d.IntN(total)
		for _, m := range kinds {
			if n -= m.weight; n < 0 {
				a := m.draw(d)
				a.name = m.name
				a.at = d.between(5*time.Second, d.sc.length)
				acts = append(acts, a)
				break
			}
		}
	}
	return acts
}

// scripted is an act that is a fault of the API's.
func scripted(d *drawer, f imtest.Fault, detail string, most time.Duration) *act {
	var on *imtest.Scripted
	return &act{
		detail: detail, span: d.between(time.Second, most),
		begin: func(w *world) { on = w.api.sim.Script(f) },
		end:   func(*world) { on.Remove() },
	}
}

var outages = []struct {
	name  string
	fault imtest.Fault
}{
	{"502", imtest.Fault{HTTPStatus: 502}},
	{"503", imtest.Fault{HTTPStatus: 503}},
	{"hangs", imtest.Fault{Hang: true}},
	{"resets", imtest.Fault{Reset: true}},
	{"garbage", imtest.Fault{Body: "<html>maintenance</html>"}},
	{"50004", imtest.Fault{Code: 50004}},
	{"50005", imtest.Fault{Code: 50005}},
}

func apiMakers() []maker {
	return []maker{
		{name: "api outage", weight: 10, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			a := scripted(d, o.fault, o.name, 2*time.Minute)
			a.outage = true
			return a
		}},
		{name: "api refuses connections", weight: 4, draw: func(d *drawer) *act {
			return &act{
				span: d.between(time.Second, 2*time.Minute), outage: true,
				begin: func(w *world) {
					w.net.set(func() { w.net.apiDown = true })
					w.net.cutAll(true, func(_ *party, port int) bool { return !toKafka(port) })
				},
				end: func(w *world) { w.net.set(func() { w.net.apiDown = false }) },
			}
		}},
		{name: "api comes and goes", weight: 3, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			on, off := d.between(4*time.Second, 15*time.Second), d.between(4*time.Second, 15*time.Second)
			a := &act{detail: fmt.Sprintf("%s, %s on, %s off", o.name, on.Round(time.Second), off.Round(time.Second)), outage: true}
			for ; len(a.waves) < 6; a.span += on + off {
				a.waves = append(a.waves, [2]time.Duration{a.span, on})
			}
			var all []*imtest.Scripted
			a.begin = func(w *world) {
				for _, wave := range a.waves {
					f := o.fault
					f.NotBefore = time.Now().Add(wave[0])
					f.NotAfter = f.NotBefore.Add(wave[1])
					all = append(all, w.api.sim.Script(f))
				}
			}
			a.end = func(*world) {
				for _, f := range all {
					f.Remove()
				}
			}
			return a
		}},
		{name: "some calls fail", weight: 8, draw: func(d *drawer) *act {
			o := pick(d.Rand, outages)
			o.fault.Share = 0.1 + 0.4*d.Float64()
			return scripted(d, o.fault, fmt.Sprintf("%s, %.0f %%", o.name, 100*o.fault.Share), time.Minute)
		}},
		{name: "some answers are lost", weight: 4, draw: func(d *drawer) *act {
			a := scripted(d, imtest.Fault{Reset: true, Deletes: true, Share: 0.05 + 0.2*d.Float64()}, "", time.Minute)
			a.doubt = true
			return a
		}},
		{name: "throttled", weight: 6, draw: func(d *drawer) *act {
			code := pick(d.Rand, []int{60007, 60011, 60018, 60019})
			return scripted(d, imtest.Fault{Code: code, Share: pick(d.Rand, []float64{0.1, 0.5, 1})}, strconv.Itoa(code), time.Minute)
		}},
		{name: "halted", weight: 6, draw: func(d *drawer) *act {
			code := pick(d.Rand, []int{60004, 60006, 60010, 60017, 60020, 60021, 70009, 70013, 70050, 70051})
			return scripted(d, imtest.Fault{Code: code}, strconv.Itoa(code), 2*time.Minute)
		}},
		{name: "permission denied", weight: 2, draw: func(d *drawer) *act {
			a := scripted(d, imtest.Fault{Code: 50003}, "50003", time.Minute)
			a.denied = true
			return a
		}},
		{name: "slow answers", weight: 5, draw: func(d *drawer) *act {
			by := d.between(500*time.Millisecond, d.sc.callTimeout*3/4)
			return &act{
				detail: by.Round(100 * time.Millisecond).String(), span: d.between(5*time.Second, time.Minute),
				begin: func(w *world) { w.api.slow.Store(int64(by)) }, end: func(w *world) { w.api.slow.Store(0) },
			}
		}},
		{name: "api connections cut", rough: true, weight: 4, draw: func(*drawer) *act {
			return &act{doubt: true, begin: func(w *world) {
				w.net.cutAll(false, func(_ *party, port int) bool { return !toKafka(port) })
			}}
		}},
		{name: "clock of the credential jumps", weight: 4, draw: func(d *drawer) *act {
			by := pick(d.Rand, []time.Duration{-26 * time.Hour, -time.Hour, 5 * time.Hour, 20 * time.Hour, 25 * time.Hour, 40 * time.Hour})
			return &act{
				detail: by.String(), span: d.between(5*time.Second, time.Minute),
				begin: func(w *world) { w.api.sim.SetClockSkew(by) },
				end:   func(w *world) { w.api.sim.SetClockSkew(0) },
			}
		}},
		{name: "secret key replaced", weight: 3, draw: func(d *drawer) *act {
			// The API has the new key a little before or after the service's file does.
			next := pick(d.Rand, []string{firstKey, secondKey})
			first := d.chance(0.5)
			return &act{
				span:  d.between(0, 20*time.Second),
				begin: func(w *world) { w.replaceKey(next, first) },
				end:   func(w *world) { w.replaceKey(next, !first) },
			}
		}},
	}
}

func kafkaMakers() []maker {
	return []maker{
		{name: "leaders move", weight: 5, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.kafka.ShufflePartitionLeaders() }}
		}, fits: several},
		{name: "coordinator moves", rough: true, weight: 4, draw: func(*drawer) *act {
			return &act{redo: 30 * time.Second, begin: func(w *world) { w.kafka.RehashCoordinators() }}
		}, fits: several},
		{name: "broker lost", rough: true, weight: 8, draw: func(d *drawer) *act {
			node := int32(d.IntN(3))
			a := &act{detail: strconv.Itoa(int(node)), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.loseBroker(node) }
			a.end = func(w *world) { w.returnBroker(node) }
			return a
		}, fits: several},
		{name: "brokers refuse connections", rough: true, weight: 5, draw: func(d *drawer) *act {
			a := &act{span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) {
				w.net.set(func() {
					for i := range 3 {
						w.net.refused[kafkaPort+i] = true
					}
				})
				w.net.cutAll(true, func(_ *party, port int) bool { return toKafka(port) })
			}
			a.end = func(w *world) { w.net.set(func() { clear(w.net.refused) }); w.refuseLost() }
			return a
		}},
		{name: "broker connections cut", rough: true, weight: 6, draw: func(d *drawer) *act {
			arrives := d.chance(0.5)
			return &act{redo: 20 * time.Second, begin: func(w *world) {
				w.net.cutAll(arrives, func(_ *party, port int) bool { return toKafka(port) })
			}}
		}},
		{name: "replica cut off from brokers", rough: true, weight: 6, draw: func(d *drawer) *act {
			slot := d.IntN(d.sc.replicas)
			a := &act{detail: strconv.Itoa(slot), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setAway(slot, true, false) }
			a.end = func(w *world) { w.setAway(slot, false, false) }
			return a
		}},
		{name: "replica sends into the void", rough: true, weight: 5, draw: func(d *drawer) *act {
			slot := d.IntN(d.sc.replicas)
			a := &act{detail: strconv.Itoa(slot), span: d.between(time.Second, time.Minute)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setAway(slot, false, true) }
			a.end = func(w *world) { w.setAway(slot, false, false) }
			return a
		}},
		{name: "slow brokers", rough: true, weight: 4, draw: func(d *drawer) *act {
			by := d.between(50*time.Millisecond, 3*time.Second)
			a := &act{detail: by.Round(10 * time.Millisecond).String(), span: d.between(5*time.Second, 40*time.Second)}
			a.redo = a.span + 30*time.Second
			a.begin = func(w *world) { w.setLag(by) }
			a.end = func(w *world) { w.setLag(w.sc.lag) }
			return a
		}},
		{name: "brokers answer with errors", weight: 6, draw: func(d *drawer) *act {
			return answered(d, pick(d.Rand, []kfake.Fault{
				{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition},
				{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.KafkaStorageError},
				{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable},
				{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: kerr.LeaderNotAvailable},
				{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress},
			}), 20*time.Second)
		}},
		{name: "coordinator loads while replicas restart", weight: 4, draw: func(d *drawer) *act {
			a := answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorLoadInProgress}, 10*time.Second)
			loads := a.begin
			a.begin = func(w *world) {
				loads(w)
				w.rollingRestart(500 * time.Millisecond)
			}
			return a
		}},
		{name: "group requests fail", rough: true, weight: 6, draw: func(d *drawer) *act {
			a := answered(d, pick(d.Rand, []kfake.Fault{
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator},
				{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID},
				{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable},
				{Keys: []kmsg.Key{kmsg.SyncGroup}, Err: kerr.RebalanceInProgress},
				{Keys: []kmsg.Key{kmsg.FindCoordinator}, Err: kerr.CoordinatorNotAvailable},
			}), 20*time.Second)
			a.redo = a.span + 30*time.Second
			return a
		}},
		{name: "commits arrive late", rough: true, weight: 4, draw: func(d *drawer) *act { return held(d, kmsg.OffsetCommit, true) }},
		{name: "commits answered late", rough: true, weight: 4, draw: func(d *drawer) *act { return held(d, kmsg.OffsetCommit, false) }},
		{name: "dead letters refused", weight: 7, draw: func(d *drawer) *act {
			return answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: deadLetters, Err: pick(d.Rand, []*kerr.Error{
				kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.UnknownServerError, kerr.KafkaStorageError, kerr.TopicAuthorizationFailed,
			})}, time.Minute)
		}},
		{name: "dead letters refused though appended", weight: 4, draw: func(d *drawer) *act {
			a := answered(d, kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: deadLetters, Err: pick(d.Rand, []*kerr.Error{
				kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut,
			})}, time.Minute)
			a.late = true
			return a
		}},
		{name: "dead letters acknowledged late", weight: 4, draw: func(d *drawer) *act { return held(d, kmsg.Produce, false) }},
		{name: "dead letters arrive late", weight: 3, draw: func(d *drawer) *act { return held(d, kmsg.Produce, true) }},
		{name: "partitions added", weight: 3, draw: func(d *drawer) *act {
			n := 1 + d.IntN(3)
			return &act{detail: strconv.Itoa(n), begin: func(w *world) { w.addPartitions(n) }}
		}},
		{name: "dead letters compacted", weight: 3, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.kafka.Compact() }}
		}},
		{name: "redis lost", weight: 6, fits: withRedis, draw: func(d *drawer) *act {
			return &act{
				span:  d.between(time.Second, 40*time.Second),
				begin: func(w *world) { w.redis.die() }, end: func(w *world) { w.redis.rise() },
			}
		}},
		{name: "redis loses its data", weight: 3, fits: withRedis, draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.redis.FlushAll() }}
		}},
		{name: "redis is slow", weight: 3, fits: withRedis, draw: func(d *drawer) *act {
			by := d.between(5*time.Millisecond, 50*time.Millisecond) // more, and some fall back to their share while others do not
			return &act{
				detail: by.Round(time.Millisecond).String(), span: d.between(time.Second, 20*time.Second),
				begin: func(w *world) { w.redis.setSlow(by) }, end: func(w *world) { w.redis.setSlow(0) },
			}
		}},
	}
}

// answered is an act by which brokers answer some requests, or all, with an error.
func answered(d *drawer, f kfake.Fault, most time.Duration) *act {
	f.Count = -1
	if d.chance(0.3) {
		f.Count = 1 + d.IntN(5)
	}
	f.TopLevel = len(f.Topic) == 0 && (f.Keys[0] == kmsg.Heartbeat || f.Keys[0] == kmsg.JoinGroup || f.Keys[0] == kmsg.SyncGroup)
	var on *kfake.FaultHandle
	return &act{
		detail: f.Keys[0].Name() + ": " + f.Err.Message, span: d.between(time.Second, most),
		begin: func(w *world) { on = w.kafka.Fault(f) },
		end:   func(*world) { on.Remove() },
	}
}

// longestHold is how long a request or an answer is held up at most.
const longestHold = 12 * time.Second

// held is an act by which requests of replicas, or their answers, take long or never come.
func held(d *drawer, key kmsg.Key, up bool) *act {
	r := &rule{up: up, key: int16(key), delay: d.between(time.Second, longestHold), cut: d.chance(0.3)}
	detail := r.delay.Round(100 * time.Millisecond).String()
	if r.cut {
		detail += ", then cut"
	}
	a := &act{detail: detail, span: d.between(time.Second, 30*time.Second)}
	a.late = key == kmsg.Produce
	if key == kmsg.OffsetCommit {
		a.redo = a.span + r.delay + 30*time.Second
	}
	a.begin = func(w *world) { w.net.set(func() { w.net.rules[r] = true }) }
	a.end = func(w *world) { w.net.set(func() { delete(w.net.rules, r) }) }
	return a
}

// peopleMakers are what operators do, and machines that run replicas.
func peopleMakers() []maker {
	return []maker{
		{name: "replica stopped and started", weight: 10, draw: func(d *drawer) *act {
			slot := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(slot), span: d.between(0, 20*time.Second),
				begin: func(w *world) { w.stopSlot(slot) }, end: func(w *world) { w.startSlot(slot) },
			}
		}},
		{name: "rolling restart", weight: 5, draw: func(d *drawer) *act {
			each := d.between(500*time.Millisecond, 10*time.Second)
			return &act{detail: each.Round(100*time.Millisecond).String() + " each", begin: func(w *world) { w.rollingRestart(each) }}
		}},
		{name: "replica killed", rough: true, weight: 14, draw: func(d *drawer) *act {
			slot := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(slot), span: d.between(100*time.Millisecond, 30*time.Second), redo: 2 * time.Second,
				begin: func(w *world) { w.killSlot(slot) }, end: func(w *world) { w.startSlot(slot) },
			}
		}},
		{name: "replica killed while it stops", rough: true, weight: 3, draw: func(d *drawer) *act {
			slot := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(slot), span: d.between(time.Millisecond, 500*time.Millisecond), redo: 2 * time.Second,
				begin: func(w *world) { w.stopSlot(slot) },
				end:   func(w *world) { w.killSlot(slot); w.startSlot(slot) },
			}
		}},
		{name: "operator replays", weight: 8, draw: func(d *drawer) *act {
			o := order{all: d.chance(0.5), rate: pick(d.Rand, []float64{0, 5, 50}), limit: pick(d.Rand, []int{0, 0, 10})}
			if d.chance(0.3) {
				o.patience = d.between(100*time.Millisecond, 5*time.Second)
			}
			return &act{detail: o.String(), begin: func(w *world) { w.replay(o) }}
		}},
		{name: "operator discards", weight: 3, draw: func(d *drawer) *act {
			o := order{limit: 1 + d.IntN(5)}
			return &act{detail: o.String(), begin: func(w *world) { w.discard(o) }}
		}},
	}
}
