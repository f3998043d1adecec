package sim

import (
	"time"
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
	// kills says that what may be done again is what had ended in the last moments before it, and nothing older.
	kills bool
	// outage says that all calls fail while it lasts; denied that they lack the permission; doubt that calls
	// may be executed without their caller learning of it.
	outage, denied, doubt bool
	// late says that a dead letter may be written without its writer learning of it, or after it has given up.
	late bool
	// slow says that answers take longer than usual.
	slow bool
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
	return append(acts, drawLaterActs(d.sc)...)
}

func drawLaterActs(sc *scenario) (acts []*act) {
	d := &drawer{Rand: rngOf(sc, 4), sc: sc}
	for _, m := range laterMakers() {
		if m.rough && sc.gentle || !d.chance(0.3) {
			continue
		}
		a := m.draw(d)
		a.name = m.name
		a.at = d.between(5*time.Second, sc.length)
		acts = append(acts, a)
	}
	return acts
}
