package quota

import "time"

// departures are the times at which the calls of the last window left, ascending. What they hold is reused, so that a
// steady pace allocates nothing.
type departures struct {
	times []time.Time
	// first is the index of the oldest one in times. Those before it are forgotten.
	first int
}

func (d *departures) count() int { return len(d.times) - d.first }

// at is the departure that so many are older than.
func (d *departures) at(older int) time.Time { return d.times[d.first+older] }

func (d *departures) add(at time.Time) {
	if len(d.times) == cap(d.times) && d.first >= d.count() {
		kept := copy(d.times, d.times[d.first:])
		d.times, d.first = d.times[:kept], 0
	}
	d.times = append(d.times, at)
}

// forget drops those that are a window old.
func (d *departures) forget(now time.Time) {
	for d.first < len(d.times) && now.Sub(d.times[d.first]) >= Window {
		d.first++
	}
}
