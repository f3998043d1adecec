package imtest

import "time"

// window holds the times of the last second's arrivals, oldest first, in a ring that grows as needed.
// Times are nanoseconds since the server's start, never decreasing.
type window struct {
	ring  []int64
	first int
	count int
}

// forget drops arrivals that are more than one second older than now. Both ends of a second are included.
func (w *window) forget(now int64) {
	for w.count > 0 && now-w.ring[w.first] > int64(time.Second) {
		w.first = (w.first + 1) % len(w.ring)
		w.count--
	}
}

// add appends now and returns how many arrivals the second that ends with it holds.
func (w *window) add(now int64) int {
	w.forget(now)
	if w.count == len(w.ring) {
		grown := make([]int64, max(64, 2*len(w.ring)))
		n := copy(grown, w.ring[w.first:])
		copy(grown[n:], w.ring[:w.first])
		w.ring, w.first = grown, 0
	}
	w.ring[(w.first+w.count)%len(w.ring)] = now
	w.count++
	return w.count
}

// addUpTo does the same as add, unless the second that ends with now already holds limit arrivals.
func (w *window) addUpTo(now int64, limit int) bool {
	w.forget(now)
	if w.count >= limit {
		return false
	}
	w.add(now)
	return true
}
