package sim

import (
	"slices"
	"strconv"
	"time"
)

// peopleMakers are acts of operators, and of machines that run replicas.
func peopleMakers() []maker {
	return []maker{
		{name: "replica stopped and started", weight: 10, draw: func(d *drawer) *act {
			host := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(host), span: d.between(0, 20*time.Second),
				begin: func(w *world) { w.stopHost(host) }, end: func(w *world) { w.startHost(host) },
			}
		}},
		{name: "rolling restart", weight: 5, draw: func(d *drawer) *act {
			each := d.between(500*time.Millisecond, 10*time.Second)
			return &act{detail: each.Round(100*time.Millisecond).String() + " each", begin: func(w *world) { w.rollingRestart(each) }}
		}},
		{name: "replica killed", rough: true, weight: 14, draw: func(d *drawer) *act {
			host := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(host), span: d.between(100*time.Millisecond, 30*time.Second), redo: time.Second, kills: true,
				begin: func(w *world) { w.killHost(host) }, end: func(w *world) { w.startHost(host) },
			}
		}},
		{name: "replica killed while it stops", rough: true, weight: 3, draw: func(d *drawer) *act {
			host := d.IntN(d.sc.replicas)
			return &act{
				detail: strconv.Itoa(host), span: d.between(time.Millisecond, 500*time.Millisecond), redo: time.Second, kills: true,
				begin: func(w *world) { w.stopHost(host) },
				end:   func(w *world) { w.killHost(host); w.startHost(host) },
			}
		}},
		{name: "operator replays", weight: 8, draw: func(d *drawer) *act {
			o := order{all: d.chance(0.5), rate: pick(d.Rand, []float64{0, 5, 50}), limit: pick(d.Rand, []int{0, 0, 10})}
			if d.chance(0.4) {
				o.stopAfter, o.cut = d.between(100*time.Millisecond, 5*time.Second), d.chance(0.5)
			}
			return &act{detail: o.String(), begin: func(w *world) { w.replay(o) }}
		}},
		{name: "operator discards", weight: 3, draw: func(d *drawer) *act {
			o := order{limit: 1 + d.IntN(5)}
			return &act{detail: o.String(), begin: func(w *world) { w.discard(o) }}
		}},
	}
}

// laterMakers are drawn from a random source of their own, each at most once, so that adding them leaves the days of all
// seeds otherwise unchanged.
func laterMakers() []maker {
	return append([]maker{
		{name: "replica of another app", draw: func(*drawer) *act {
			return &act{begin: func(w *world) { w.intrude() }}
		}},
		{name: "group moved back", rough: true, draw: func(d *drawer) *act {
			by := int64(1 + d.IntN(3))
			return &act{detail: strconv.FormatInt(by, 10), redo: time.Minute, begin: func(w *world) { w.moveBack(by) }}
		}},
	}, slices.Concat(outcomeMakers(), listMakers(), leaverMakers())...)
}
