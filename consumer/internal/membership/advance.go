package membership

import "time"

// review is when a member asks for another rebalance, since the assignment does not fit.
type review struct {
	// topic is the number of partitions, as last seen, changed when that changed; 0 if nothing has been seen yet.
	topic   int
	changed time.Time
	// basis is the present assignment's, begun when that came; zero while there is none.
	basis basis
	begun time.Time
	// came says that the assignment may be that of a former process with the instance ID. What is withheld may be what that one was to
	// give up: only another rebalance tells the leader that nobody holds it.
	came bool
}

// count takes a number of partitions.
func (r *review) count(now time.Time, n int) {
	if n > 0 && n <= mostPartition && n != r.topic {
		r.topic, r.changed = n, now
	}
}

func (r *review) off() { r.basis, r.begun = basis{}, time.Time{} }

// reviewAt is when the member joins again; zero if the assignment fits. The leader does. The others do it a session later: a
// leader that has come back with its instance ID does not know that it leads.
func (m *Member) reviewAt() time.Time {
	r := &m.review
	wait := m.cfg.Session
	if m.leader {
		wait = 0
	}
	switch {
	case m.phase != Working || !r.basis.known || !m.stopping.IsZero():
		return time.Time{}
	case r.topic > 0 && r.topic != r.basis.number:
		return later(r.changed, r.begun.Add(m.brief())).Add(wait)
	case r.basis.withheld && r.came:
		return r.begun.Add(m.brief())
	case r.basis.withheld:
		return r.begun.Add(m.cfg.Rebalance + wait)
	}
	return time.Time{}
}

// advance takes the next step, if its time has come.
func (m *Member) advance(now time.Time) {
	empty := len(m.holding.held) == 0
	switch {
	case !m.stopping.IsZero() && empty && m.phase < Leaving:
		m.part(now)
	case m.phase == Working && m.stopping.IsZero() && m.holding.released && m.holding.settled():
		m.rejoin(now)
	case m.phase == Working:
		if at := m.reviewAt(); !at.IsZero() && !now.Before(at) {
			m.rejoin(now)
		}
	case m.phase == Yielding && empty:
		m.phase = Joining
	}
	if now.Before(m.again) {
		return
	}
	switch {
	case m.phase == Joining && m.join.number == 0:
		m.sendJoin(now)
	case m.phase == Leaving && m.leave.number == 0:
		m.sendLeave(now)
	}
}

// part ends the membership of a member that has nothing left.
func (m *Member) part(now time.Time) {
	switch {
	case m.cfg.InstanceID != "":
		m.end(nil)
	case m.memberID != "":
		m.phase = Leaving
		m.join, m.sync, m.heartbeat, m.again = request{}, request{}, request{}, now
	case m.join.number == 0 || !now.Before(m.stopping.Add(parting)):
		m.end(nil)
	}
}

// sendLeave leaves the group. A member that nobody answers ends all the same: the group notices within the session.
func (m *Member) sendLeave(now time.Time) {
	if m.partings++; m.partings > soonMost {
		m.end(nil)
		return
	}
	m.leave = m.send(now, Leave{m.memberID, m.cfg.InstanceID}, m.brief())
}

func (m *Member) end(err error) {
	m.phase = Ended
	m.join, m.sync, m.heartbeat, m.leave = request{}, request{}, request{}, request{}
	m.memberID, m.generation, m.leader, m.contact = "", -1, false, contact{}
	m.order(End{err})
}

// advanceTimes returns when advance may have something to do.
func (m *Member) advanceTimes() []time.Time {
	switch {
	case m.phase == Joining && m.join.number == 0, m.phase == Leaving && m.leave.number == 0:
		return []time.Time{m.again}
	case m.phase == Joining && m.memberID == "" && !m.stopping.IsZero():
		return []time.Time{m.stopping.Add(parting)}
	}
	return []time.Time{m.reviewAt()}
}
