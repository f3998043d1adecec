package sim

import (
	"fmt"
	"strconv"
	"time"

	"convdel/imclient/imtest"
)

// scripted is an act in which the API has a fault.
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
				span: d.between(time.Second, 2*time.Minute), outage: true, doubt: true,
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
			code := pick(d.Rand, []int{60004, 60006, 60010, 60017, 60020, 60021, 70009, 70013, 70050, 70050, 70050, 70051})
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
				detail: by.Round(100 * time.Millisecond).String(), span: d.between(5*time.Second, time.Minute), slow: true,
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
			// The API gets the new key a little before or after the service's file does.
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
