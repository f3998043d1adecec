package membership

import (
	"slices"
	"time"
)

// process is a replica: a member, and what it does by its orders.
type process struct {
	w        *world
	name     string
	instance string
	m        *Member // nil for an earlier version
	old      *earlier
	dead     bool
	frozen   time.Time // until then
	cutOff   time.Time
	held     map[int]bool
	// paused is since when, or zero, why the last reason.
	paused time.Time
	why    string
	ended  bool
	wake   time.Time
	life   int
}

func (w *world) start(name, instance string) {
	p := &process{w: w, name: name, instance: instance, held: map[int]bool{}}
	p.m = New(Config{Topic: "t", InstanceID: instance, Session: session, Rebalance: rebalance, Heartbeat: beatEvery}, w.now)
	w.procs = append(w.procs, p)
	w.note("%s starts", name)
	p.m.Partitions(w.now, w.topic)
	p.obey()
	w.every(time.Second, p.commit)
	w.every(3*time.Second, func() { p.input(func() { p.m.Partitions(w.now, w.topic) }) })
}

// input gives the member something, later if the process is frozen.
func (p *process) input(do func()) {
	if p.dead || p.ended {
		return
	}
	if p.frozen.After(p.w.now) {
		p.w.after(p.frozen.Sub(p.w.now), func() { p.input(do) })
		return
	}
	do()
	p.obey()
}

func (p *process) commit() {
	if p.dead || p.ended || len(p.held) == 0 || p.cutOff.After(p.w.now) {
		return
	}
	id := p.m.Identity()
	if id.Generation < 0 || p.w.now.Before(p.w.group.away) {
		return
	}
	if code := p.w.group.commit(p.w.now, id); code != 0 {
		life := p.life
		p.w.after(p.w.upTo(300*time.Millisecond), func() {
			if life == p.life || p.w.rng.IntN(2) == 0 { // it may be told after a loss
				p.input(func() { p.m.CommitRefused(p.w.now, code, id) })
			}
		})
	}
}

func (p *process) obey() {
	for _, o := range p.m.Orders() {
		if p.ended {
			p.w.fault("%s: %T after the end", p.name, o)
		}
		if send, ok := o.(Send); ok {
			p.sends(send)
			continue
		}
		p.w.note("%s: %s", p.name, describe(o))
		p.do(o)
	}
	w := p.w
	wake := p.m.Wake()
	if wake.IsZero() || p.ended {
		return
	}
	if !wake.After(w.now) {
		w.fault("%s wants a tick at once", p.name)
	}
	if !wake.Equal(p.wake) {
		p.wake = wake
		w.after(wake.Sub(w.now), func() {
			if p.wake.Equal(w.now) {
				p.input(func() { p.m.Tick(w.now) })
			}
		})
	}
}

func (p *process) sends(s Send) {
	w := p.w
	switch r := s.Request.(type) {
	case Join:
		w.joins++
		w.note("%s: %s", p.name, describe(s))
		p.checkJoin(r)
	case Heartbeat:
	default:
		w.note("%s: %s", p.name, describe(s))
	}
	_, isJoin := s.Request.(Join)
	w.carry(p, s.Request, s.Timeout, func(a Answer) {
		a.Number = s.Number
		if isJoin && a.Code == 0 && w.rng.IntN(8) > 0 {
			a.Partitions = w.topic
		}
		p.input(func() { p.m.Answered(w.now, a) })
	})
}

func (p *process) checkJoin(j Join) {
	c, ok := readSubscription("t", j.Protocols[0].Metadata)
	if held := p.holds(); !ok || !slices.Equal(c.partitions, held) {
		p.w.fault("%s claims %v and holds %v", p.name, c.partitions, held)
	}
	if len(j.Protocols) > 1 && len(p.held) > 0 {
		p.w.fault("%s offers %s and holds %v", p.name, j.Protocols[1].Name, p.holds())
	}
}

func (p *process) holds() (ps []int) {
	for q := range p.held {
		ps = append(ps, q)
	}
	slices.Sort(ps)
	return ps
}

func (p *process) do(o Order) {
	w := p.w
	switch o := o.(type) {
	case Gain:
		for _, q := range o.Partitions {
			p.gains(q)
		}
	case GiveUp:
		for _, q := range o.Partitions {
			if giving, ok := p.held[q]; !ok || giving {
				w.fault("%s is to give up %d twice, or does not hold it", p.name, q)
			}
			p.held[q] = true
			life := p.life
			w.after(w.upTo(6*time.Second), func() {
				p.input(func() {
					if life != p.life || !p.held[q] {
						p.m.Tick(w.now)
						return
					}
					delete(p.held, q)
					p.m.GivenUp(w.now, []int{q})
				})
			})
		}
	case Lose:
		if len(p.held) == 0 && p.paused.IsZero() {
			w.fault("%s loses nothing", p.name)
		}
		p.held, p.paused = map[int]bool{}, time.Time{}
		p.life++
	case Pause:
		switch {
		case p.paused.IsZero():
			p.paused = w.now
		case p.why == o.Why.Error():
			w.fault("%s is paused twice: %s", p.name, p.why)
		}
		p.why = o.Why.Error()
	case Resume:
		if p.paused.IsZero() {
			w.fault("%s resumes without a pause", p.name)
		}
		p.paused = time.Time{}
		p.alone()
	case End:
		p.ended = true
		if len(p.held) > 0 || o.Err != nil {
			w.fault("%s ends with %v: %v", p.name, p.holds(), o.Err)
		}
	}
}

// gains checks that nobody else holds a partition, unless it has been paused for so long that its calls are over.
func (p *process) gains(q int) {
	if _, ok := p.held[q]; ok {
		p.w.fault("%s gains %d twice", p.name, q)
	}
	for _, other := range p.w.procs {
		_, holds := other.held[q]
		if other == p || other.dead || !holds {
			continue
		}
		if other.m.MayWrite().After(p.w.now) {
			p.w.fault("%s gains %d, for which %s may write", p.name, q, other.name)
		}
		if other.frozen.After(p.w.now) {
			if other.m.MayCall().After(p.w.now) {
				p.w.fault("%s gains %d, for which %s may call once it is no longer frozen", p.name, q, other.name)
			}
			continue
		}
		if other.paused.IsZero() || p.w.now.Sub(other.paused) < session/4-2*beatEvery {
			p.w.fault("%s gains %d, which %s holds", p.name, q, other.name)
		}
	}
	p.held[q] = false
}

// alone checks that nobody else may call for what the process resumes.
func (p *process) alone() {
	for q, giving := range p.held {
		for _, other := range p.w.procs {
			theirs, holds := other.held[q]
			if other != p && !other.dead && holds && !giving && !theirs && other.paused.IsZero() {
				p.w.fault("%s resumes %d, which %s holds", p.name, q, other.name)
			}
		}
	}
}
