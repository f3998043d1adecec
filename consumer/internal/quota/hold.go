package quota

import "time"

// hold is a time in which nothing may leave, since the API has asked for that.
type hold struct{ from, until time.Time }

// begin holds all calls for quiet, unless the last hold has been followed by a success, and not yet by as much time without a hold.
func (h *hold) begin(now time.Time, quiet time.Duration, lastSuccess time.Time) {
	rested := !now.Before(h.until.Add(h.until.Sub(h.from)))
	switch until := now.Add(quiet); {
	case quiet <= 0:
	case now.Before(h.until): // the answer to a call that was under way
		h.until = later(h.until, until)
	case rested || !lastSuccess.After(h.until):
		h.from, h.until = now, until
	}
}

// later returns the later one of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
