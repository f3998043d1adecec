package membership

import "time"

// joinAnswered takes the answer to the join under way.
func (m *Member) joinAnswered(now time.Time, r request, a Answer) {
	switch {
	case a.Code == 0 && a.Err == nil:
		m.accepted(now, r, a)
	case a.Code == memberIDRequired && a.MemberID != "":
		m.memberID = a.MemberID
		m.rejoin(now)
	case a.Code == unknownMember:
		m.unknown(now, a.Code)
	case a.Code == fencedInstance:
		m.fenced(now)
	case a.Code == invalidSession:
		err := &SessionTimeoutError{m.cfg.Session}
		m.lose(err)
		m.end(err)
	case a.Code == inconsistentProtocols && !m.both:
		// An earlier version has come in before all members offered Cooperative alone.
		m.both = true
		m.rejoin(now)
	default:
		if a.absent() && r.memberID == "" && m.cfg.InstanceID != "" {
			m.orphan = now
		}
		m.retry(now, "join", a)
	}
}

// accepted goes on to the sync of a generation.
func (m *Member) accepted(now time.Time, r request, a Answer) {
	if a.MemberID == "" || a.Generation < 0 {
		m.retry(now, "join", Answer{Err: errNoMember})
		return
	}
	if a.Protocol != Cooperative && (a.Protocol != Range || !m.both) {
		m.lose(&LostError{Code: inconsistentProtocols, Reason: "is in a group that assigns partitions in another way"})
		m.retry(now, "join", Answer{Code: inconsistentProtocols})
		return
	}
	if m.cfg.InstanceID != "" && m.joined >= 0 && a.Generation > m.joined+1 {
		// The coordinator keeps static members that have not joined in time, but it tells the leader old claims.
		m.lose(&LostError{Reason: "was not in the group's last generation"})
	}
	m.memberID, m.generation, m.joined, m.protocol = a.MemberID, a.Generation, a.Generation, a.Protocol
	m.leader = a.LeaderID == a.MemberID && len(a.Members) > 0
	m.both = m.protocol != Cooperative
	m.review.count(now, a.Partitions)
	m.review.came = m.cfg.InstanceID != "" && r.memberID == ""
	m.phase = Syncing
	m.sendSync(now, a.Members)
}

// syncAnswered takes the answer to the sync under way.
func (m *Member) syncAnswered(now time.Time, r request, a Answer) {
	switch {
	case a.Code == 0 && a.Err == nil:
		s, err := readAssignment(m.cfg.Topic, a.Assignment)
		if err != nil {
			m.retry(now, "sync", Answer{Err: err})
			return
		}
		m.assigned(now, r, s)
	case a.Code == rebalanceInProgress || a.Code == illegalGeneration:
		m.rejoin(now)
	case a.Code == unknownMember:
		m.unknown(now, a.Code)
	case a.Code == fencedInstance:
		m.fenced(now)
	default:
		m.retry(now, "sync", a)
	}
}

// assigned begins to work by an assignment.
func (m *Member) assigned(now time.Time, r request, s share) {
	m.contact.heard(r.sent, true)
	m.contact.crossed, m.contact.announced, m.contact.doubted = time.Time{}, time.Time{}, false
	m.noted = m.memberID
	m.soon, m.failed, m.refused = 0, 0, 0
	m.review.basis, m.review.begun = s.basis, now
	m.phase = Working
	gone, gained := m.holding.assign(m.generation, s.partitions)
	m.giveUp(gone)
	m.weighPause(now)
	if m.stopping.IsZero() {
		m.gain(gained, m.inherits(now))
	}
}

// inherits is when the work on an assignment may begin that may be that of a former process with the instance ID, zero otherwise. If that
// process still runs, its next heartbeat tells it that it is fenced: that leaves after the time between two at most.
func (m *Member) inherits(now time.Time) time.Time {
	if !m.review.came {
		return time.Time{}
	}
	return now.Add(m.cfg.Heartbeat + m.cfg.Heartbeat/2)
}

// heartbeatAnswered takes the answer to the heartbeat under way.
func (m *Member) heartbeatAnswered(now time.Time, r request, a Answer) {
	present := r.generation == m.generation
	switch {
	case a.Err != nil || r.memberID != m.memberID:
	case a.Code == 0:
		m.contact.heard(r.sent, true)
		if present && m.phase == Joining && m.join.number != 0 && !r.sent.Before(m.join.sent.Add(2*m.cfg.Heartbeat)) {
			// A coordinator that held the join would tell of a rebalance. The join has gone to another one.
			m.rejoin(now)
		}
	case a.Code == rebalanceInProgress:
		m.contact.heard(r.sent, false)
		if present {
			m.rebalances(now, r)
		}
	case a.Code == illegalGeneration && present:
		m.outdated(now)
	case a.Code == unknownMember:
		m.unknown(now, a.Code)
	case a.Code == fencedInstance:
		m.fenced(now)
	}
}

// rebalances joins, as the other members do.
func (m *Member) rebalances(now time.Time, r request) {
	switch {
	case m.phase == Working:
		m.rejoin(now)
	case m.phase != Syncing:
	case m.contact.announced.IsZero():
		// The sync's answer says so as well, and may be on its way.
		m.contact.announced = now
	case r.sent.After(m.contact.announced):
		m.rejoin(now)
	}
}

// outdated takes it that the group is in another generation.
func (m *Member) outdated(now time.Time) {
	c := &m.contact
	switch {
	case m.phase == Working || m.phase == Yielding:
		m.lose(&LostError{Code: illegalGeneration, Reason: "is not in the group's present generation"})
		m.generation = -1
		m.rejoin(now)
	case m.phase == Syncing:
		// The coordinator that has begun this generation is no more.
		c.crossed = now
		m.rejoin(now)
	case c.crossed.IsZero():
		// The join has been answered, and the answer is on its way.
		c.crossed = now
	case m.join.lapsed(now, m.brief()) && !now.Before(c.crossed.Add(m.brief())):
		c.crossed = now
		m.rejoin(now)
	}
}

// unknown takes it that the coordinator does not know the member.
func (m *Member) unknown(now time.Time, code int16) {
	reason := "is unknown to the group's coordinator"
	if code == fencedInstance {
		reason = "has another ID at the group's coordinator"
	}
	m.lose(&LostError{Code: code, Reason: reason})
	m.memberID, m.generation, m.joined, m.protocol = "", -1, -1, ""
	m.leader, m.both = false, true
	m.rejoin(now)
}

// fenced takes it that another process has the instance ID, unless this one's own past may explain it. A former join of it may have been
// carried out late: it joins anew. Or the coordinator has moved before the member's present ID was in the log: the log has the member's
// last noted ID then, and it joins with that, which no other process can have. If it has none yet, the log may have a former process's,
// and it joins anew.
func (m *Member) fenced(now time.Time) {
	late := !m.orphan.IsZero() && now.Before(m.orphan.Add(2*m.cfg.Session))
	if late || m.memberID != "" && m.memberID != m.noted {
		m.orphan = time.Time{}
		m.unknown(now, fencedInstance)
		if !late {
			m.memberID = m.noted
		}
		return
	}
	err := &FencedError{m.cfg.InstanceID}
	m.lose(err)
	m.end(err)
}

// retry joins again after a pause.
func (m *Member) retry(now time.Time, request string, a Answer) {
	var wait time.Duration
	if a.absent() {
		wait = doubled(retryFirst, retryMost, m.failed)
		m.failed++
	} else {
		wait = doubled(refusedFirst, refusedMost, m.refused)
		m.refused++
	}
	wait = max(wait, a.Pause)
	m.order(Refused{&RefusedError{Request: request, Code: a.Code, Strangers: a.Code == inconsistentProtocols, Err: a.Err}, now.Add(wait)})
	m.joinAt(now, now.Add(wait))
}

// leaveAnswered ends the membership, or leaves again if no coordinator has answered.
func (m *Member) leaveAnswered(now time.Time, a Answer) {
	m.leave = request{}
	if !a.absent() {
		m.end(nil)
		return
	}
	wait := doubled(retryFirst, retryMost, m.partings-1)
	m.order(Refused{&RefusedError{Request: "leave", Code: a.Code, Err: a.Err}, now.Add(wait)})
	m.again = now.Add(wait)
}
