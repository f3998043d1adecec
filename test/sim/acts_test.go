package sim

import (
	"time"
)

// act is an event of the day that affects the system for a span of time.
type act struct {
	name     string
	detail   string
	at, span time.Duration
	begin    func(w *world)
	end      func(w *world) // nil: nothing to undo
	// redo bounds how much work may be repeated because of the act, as time at the full quota.
	redo time.Duration
	// kills says that only work of the last moments before the act may be repeated.
	kills bool
	// outage says that all calls fail during the act, denied that they lack the permission. doubt says that a call may be
	// executed although its replica never gets the answer.
	outage, denied, doubt bool
	// late says that a dead letter may be written although its writer never gets the answer, or has given the write up.
	late bool
	// slow says that answers take longer than usual.
	slow bool
	// stirs says that the group may change because of the act.
	stirs bool
	// waves, if not nil, are the times within the span in which the act has its effect: begin and length of each.
	waves [][2]time.Duration
}

// times returns when an act has its effect, relative to its beginning.
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

// maker draws one kind of act. A rough act may make the service repeat work.
type maker struct {
	name   string
	rough  bool
	weight int
	fits   func(sc *scenario) bool
	draw   func(d *drawer) *act
}

// makers are all kinds of acts, in groups by the part of the system that they affect.
func makers() []maker {
	all := append(apiMakers(), stirring(kafkaMakers())...)
	return append(all, stirring(peopleMakers())...)
}

// stirring marks acts by which the group may change.
func stirring(all []maker) []maker {
	for i, m := range all {
		all[i].draw = func(d *drawer) *act {
			a := m.draw(d)
			a.stirs = true
			return a
		}
	}
	return all
}

func several(sc *scenario) bool   { return sc.brokers > 1 }
func withRedis(sc *scenario) bool { return sc.quotaMode == byRedis }
func recorded(sc *scenario) bool  { return sc.outcomes }

// drawActs draws the acts of a day.
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
	return append(acts, drawLaterActs(d.sc)...)
}

func drawLaterActs(sc *scenario) (acts []*act) {
	d := &drawer{Rand: rngOf(sc, 4), sc: sc}
	for _, m := range stirring(laterMakers()) {
		if m.rough && sc.gentle || m.fits != nil && !m.fits(sc) || !d.chance(0.3) {
			continue
		}
		a := m.draw(d)
		a.name = m.name
		a.at = d.between(5*time.Second, sc.length)
		acts = append(acts, a)
	}
	return acts
}
