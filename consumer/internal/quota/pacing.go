package quota

import "time"

const (
	// A throttled answer multiplies the pace by slowDown, at most once a window, but the pace never falls below
	// leastFraction of the quota. Each window without such an answer adds speedUp of the quota.
	slowDown      = 0.7
	leastFraction = 0.02
	speedUp       = 0.05
	// After a pause the pace begins at rampFrom of the quota, and each window adds rampUp. The fifth window makes it whole.
	rampFrom = 0.1
	rampUp   = 0.18
	// rounding is the largest error of a sum of such parts.
	rounding = 1e-9
)

// pacing is the part of the quota that may be used, above 0 and at most 1.
type pacing struct {
	// fraction is that part at the time since. Each window from then on adds step, until the part is 1.
	fraction, step float64
	since          time.Time
	// cut is when a throttled answer last lowered it.
	cut time.Time
}

func (p *pacing) at(now time.Time) float64 {
	if p.fraction >= 1 {
		return 1
	}
	fraction := p.fraction + p.step*float64(p.windows(now))
	if fraction > 1-rounding {
		return 1
	}
	return fraction
}

// rises returns when the part next becomes larger, or the zero time if it is whole.
func (p *pacing) rises(now time.Time) time.Time {
	if p.at(now) >= 1 {
		return time.Time{}
	}
	return p.since.Add(time.Duration(p.windows(now)+1) * Window)
}

// windows returns how many whole windows have passed since the part changed.
func (p *pacing) windows(now time.Time) int64 { return max(0, int64(now.Sub(p.since)/Window)) }

// throttled cuts the part that may be used. It rises again from a time on, now or later.
func (p *pacing) throttled(now, from time.Time) {
	fraction := p.at(now)
	if now.Sub(p.cut) >= Window {
		p.cut = now
		fraction = max(leastFraction, fraction*slowDown)
	}
	p.fraction, p.step, p.since = fraction, speedUp, from
}

func (p *pacing) ramp(now time.Time) {
	p.fraction, p.step, p.since = rampFrom, rampUp, now
}
