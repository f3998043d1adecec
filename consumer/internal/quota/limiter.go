package quota

import "time"

const (
	// Window is the time over which a quota is counted. The API counts arrivals, a limiter counts departures, and the
	// departures of one second can arrive in less than a second if the first ones are slow. So the window is 10 ms longer
	// than a second, which allows the network to vary by 10 ms. That costs 1 % of the quota.
	Window = 1010 * time.Millisecond
	// catchUp is how much lost time is made up for. Calls that lag further behind their even spread lose the rest. A late
	// timer or a garbage collection is made up for, an idle minute is not.
	catchUp = 50 * time.Millisecond
)

// Limiter rules when the calls of a replica may leave: at most its share of the quota in any [Window], evenly spread. With a
// budget, the limit is the whole quota, and the budget spreads the calls of all replicas together.
//
// Every call needs a permit, first attempts and retries alike. A permit counts from when it is granted until a window after
// the call has left. A call can leave later than it was granted, since a connection may have to be made first, and only the
// departure matters to the API.
type Limiter struct {
	// share is this replica's number of calls a second, gains are what it rises to, ascending. With 0 nothing leaves.
	share  float64
	gains  []gain
	mode   Mode
	pacing pacing
	// recent are the departures of the last window. out is the number of granted permits whose calls have not left.
	recent departures
	out    int
	// next is when the even spread allows the next call. Until quiet nothing may leave.
	next, quiet time.Time
	hold        hold
	leases      leases
}

// gain is a share that counts from a time on.
type gain struct {
	share float64
	from  time.Time
}

// New returns a limiter that keeps to a share, which is 0 until [Limiter.SetShare] sets it.
func New() *Limiter { return &Limiter{mode: ByShare, pacing: pacing{fraction: 1}} }

// NewLeasing returns a limiter that leases departures from a budget of callsPerSecond, and keeps to its share while the
// budget fails.
func NewLeasing(callsPerSecond int) *Limiter {
	return &Limiter{mode: ByBudget, pacing: pacing{fraction: 1}, leases: leases{quota: float64(callsPerSecond)}}
}

// Permit is the right to make one call. Either [Limiter.Sent] or [Limiter.Unused] ends it, exactly once.
type Permit struct {
	// interval is the permit's part of the even spread, 0 where a budget spreads the calls.
	interval time.Duration
	// due is the leased departure that the permit stands for, zero without a budget.
	due time.Time
}

// Ruling is the answer to a request for a permit.
type Ruling struct {
	// Granted says that a call may leave now, and Permit is its permit.
	Granted bool
	Permit  Permit
	// Again is when to ask anew after a refusal. The zero time means until told: only Sent, Unused, SetShare,
	// BudgetAnswered or BudgetFailed can change the ruling.
	Again time.Time
}

// Ask asks for a permit for a call that leaves now.
func (l *Limiter) Ask(now time.Time) Ruling {
	if l.granted() == 0 {
		return Ruling{}
	}
	l.settle(now)
	if l.share == 0 && l.spreads() {
		return Ruling{Again: later(l.gains[0].from, l.opens())}
	}
	if opens := later(l.opens(), l.hold.until); now.Before(opens) {
		return Ruling{Again: opens}
	}
	l.recent.forget(now)
	pace := l.paceOf(l.share, now)
	limit := max(1, int(pace))
	if l.out >= limit {
		return Ruling{Again: l.orGain(l.pacing.rises(now))}
	}
	if used := l.out + l.recent.count(); used >= limit {
		return Ruling{Again: l.orGain(l.recent.at(used - limit).Add(Window))}
	}
	var p Permit
	if l.mode != ByShare {
		var again time.Time
		if p.due, again = l.leases.take(now); p.due.IsZero() {
			return Ruling{Again: again}
		}
	}
	if l.spreads() {
		p.interval = l.spread(now, pace)
	}
	l.out++
	return Ruling{Granted: true, Permit: p}
}

// Held returns the end of the last time for which the API wanted no call.
func (l *Limiter) Held() time.Time { return l.hold.until }

// spreads returns true if this limiter spreads its calls over its own share.
func (l *Limiter) spreads() bool { return l.mode != ByBudget }

// opens returns the time before which nothing may leave, even if little has left.
func (l *Limiter) opens() time.Time {
	switch {
	case !l.spreads():
		return time.Time{}
	case l.next.After(l.quiet):
		return l.next
	default:
		return l.quiet
	}
}

// spread takes the next interval of the even spread.
func (l *Limiter) spread(now time.Time, pace float64) time.Duration {
	interval := time.Duration(float64(Window) / pace)
	if behind := now.Add(-catchUp); l.next.Before(behind) {
		l.next = behind
	}
	l.next = l.next.Add(interval)
	return interval
}

// Sent says that the call of a permit has left or may have left. The permit counts for a window from then on.
func (l *Limiter) Sent(p Permit, at time.Time) {
	l.out--
	l.recent.add(at)
	if !p.due.IsZero() {
		l.leases.left(p.due, at)
	}
}

// Unused says that no call was made with a permit. Its interval of the spread is free again; a leased departure is lost.
func (l *Limiter) Unused(p Permit) {
	l.out--
	l.next = l.next.Add(-p.interval)
}

// SetShare sets this replica's number of calls a second. What it loses counts no longer at once. What it gains counts after one window,
// and the rest goes on: the departures of the replica that had this part of the quota before still count until then.
func (l *Limiter) SetShare(callsPerSecond float64, now time.Time) {
	l.settle(now)
	l.share = min(l.share, callsPerSecond)
	for i, g := range l.gains {
		if g.share >= callsPerSecond {
			l.gains = l.gains[:i]
			if callsPerSecond > l.granted() {
				l.gains = append(l.gains, gain{share: callsPerSecond, from: g.from})
			}
			return
		}
	}
	if callsPerSecond > l.granted() {
		l.gains = append(l.gains, gain{share: callsPerSecond, from: now.Add(Window)})
	}
}

// granted returns the share that this replica has once all gains count.
func (l *Limiter) granted() float64 {
	if n := len(l.gains); n > 0 {
		return l.gains[n-1].share
	}
	return l.share
}

// orGain returns when the next gain counts, if that is before a time, zero being never.
func (l *Limiter) orGain(t time.Time) time.Time {
	if len(l.gains) > 0 && l.spreads() && (t.IsZero() || l.gains[0].from.Before(t)) {
		return l.gains[0].from
	}
	return t
}

// settle takes in the gains that count by now.
func (l *Limiter) settle(now time.Time) {
	for len(l.gains) > 0 && !now.Before(l.gains[0].from) {
		l.share, l.gains = l.gains[0].share, l.gains[1:]
	}
}

// Throttled says that the API has answered that this app calls too fast. The pace is cut by 30 %, at most once a window. A
// twentieth of the quota comes back in each window without such an answer, once no hold is left.
func (l *Limiter) Throttled(now time.Time) { l.pacing.throttled(now, later(now, l.hold.until)) }

// Hold says that a throttled answer asks for no call for the time quiet, 0 if it does not say so. Nothing leaves for that long.
// lastSuccess is when the youngest call left that has succeeded. Since a single conversation whose calls are always throttled must
// not hold up the others, calls go on for as long as the last hold was, if one has left after that hold and succeeded.
func (l *Limiter) Hold(now time.Time, quiet time.Duration, lastSuccess time.Time) {
	l.hold.begin(now, quiet, lastSuccess)
}

// Ramp lets the pace begin at a tenth and rise to the whole within five windows. An API that has just recovered needs that.
func (l *Limiter) Ramp(now time.Time) { l.pacing.ramp(now) }

// Pace returns how many calls a second this replica may make: its share, gains that do not count yet among it, or, by a budget, the quota;
// reduced after throttled answers. It is 0 without a share.
func (l *Limiter) Pace(now time.Time) float64 { return l.paceOf(l.granted(), now) }

// paceOf returns the pace by a share.
func (l *Limiter) paceOf(share float64, now time.Time) float64 {
	switch {
	case l.granted() == 0:
		return 0
	case l.mode == ByBudget:
		return l.leases.quota * l.pacing.at(now)
	default:
		return share * l.pacing.at(now)
	}
}
