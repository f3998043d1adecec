package quota

import "time"

const (
	// After failuresToFall failures in a row, at least askAgain apart, a replica works without the budget. A single failure
	// is forgiven, since an idle connection may have died.
	failuresToFall = 2
	askAgain       = 50 * time.Millisecond
	// The same happens after failuresInAll failures within failuresWithin, whatever succeeds between them. A budget whose
	// answers contradict one another bounds nothing.
	failuresInAll  = 3
	failuresWithin = 10 * time.Second
	// A budget that is asked for departures and gives none is barren after dryTime and the time of dryDepartures at the full
	// quota. A Redis whose clock was set back gives none for 2.02 s. With a small quota a departure is rare, and another
	// replica may take several of them in a row.
	dryTime       = 3 * time.Second
	dryDepartures = 20
	// probeEvery is how often a budget that was given up is tried. If it is given up again within probation of its return,
	// the interval doubles each time, up to longestProbe. When the budget works again, other replicas may still use their shares.
	// So the replica keeps to both the budget and its share for the time Cautious.
	probeEvery   = time.Second
	probation    = 10 * time.Second
	longestProbe = 32 * time.Second
	// Cautious is how long [ByBoth] lasts.
	Cautious = 3 * time.Second
)

// trust judges by its answers whether a budget works.
type trust struct {
	// failures counts the failures in a row. recent are the times of the last failures, the oldest first.
	failures int
	recent   [failuresInAll]time.Time
	// dry is since when the budget gives no departures although it is asked for some; zero if it does. barren says that it
	// was given up for that.
	dry    time.Time
	barren bool
	// back is when the budget last came back, every how often it is tried while it is given up.
	back  time.Time
	every time.Duration
}

// fell says that the budget is given up.
func (t *trust) fell(now time.Time) {
	if t.back.IsZero() || now.Sub(t.back) > probation {
		t.every = probeEvery
		return
	}
	t.every = min(2*t.every, longestProbe)
}

// forgiven returns true after a failure that was not the last straw.
func (t *trust) forgiven() bool { return t.failures > 0 && t.failures < failuresToFall }

// probe returns how many departures to ask for, to find out whether the budget works. A barren one shows it by a departure
// alone.
func (t *trust) probe() int {
	if t.barren {
		return 1
	}
	return 0
}

// failed takes a failure, and returns true if the budget is to be given up.
func (t *trust) failed(now time.Time) bool {
	t.failures++
	copy(t.recent[:], t.recent[1:])
	t.recent[failuresInAll-1] = now
	oldest := t.recent[0]
	if t.failures < failuresToFall && (oldest.IsZero() || now.Sub(oldest) > failuresWithin) {
		return false
	}
	t.recent = [failuresInAll]time.Time{}
	return true
}

// answered takes an answer with a number of departures to a question for n, and returns true if the budget is to be given
// up, or stays so. last is when it was asked before: the time in which nobody asks does not count.
func (t *trust) answered(asked, now, last time.Time, n, departures int, quota float64) bool {
	t.failures = 0
	switch {
	case departures > 0:
		t.dry, t.barren = time.Time{}, false
	case n == 0:
	case t.dry.IsZero() || asked.Sub(last) > 2*probeEvery:
		t.dry = asked
	default:
		t.barren = t.barren || now.Sub(t.dry) >= dryTime+time.Duration(dryDepartures/quota*float64(Window))
	}
	return t.barren
}
