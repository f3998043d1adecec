package quota

import "time"

// departures are the times at which the calls of the last window left, ascending. The slice is reused, so that a steady
// pace allocates nothing.
type departures struct {
	times []time.Time
	// first is the index of the oldest departure in times. Those before it are forgotten.
	first int
}

func (d *departures) count() int { return len(d.times) - d.first }

// at returns the departure that has so many older ones before it.
func (d *departures) at(older int) time.Time { return d.times[d.first+older] }

func (d *departures) add(at time.Time) {
	if len(d.times) == cap(d.times) && d.first >= d.count() {
		kept := copy(d.times, d.times[d.first:])
		d.times, d.first = d.times[:kept], 0
	}
	d.times = append(d.times, at)
}

// forget drops the departures that are at least a window old.
func (d *departures) forget(now time.Time) {
	for d.first < len(d.times) && now.Sub(d.times[d.first]) >= Window {
		d.first++
	}
}
