package membership

import "time"

// patience is how long the answer to a join or a sync is waited for. The coordinator may hold them for longer than that. But the
// request may also be lost, with a coordinator that is no more: then another one waits for this member. A join that is made
// again while the first one is held costs nothing.
func (m *Member) patience() time.Duration { return m.cfg.Session }

// brief is how long the answer to another request is waited for.
func (m *Member) brief() time.Duration { return m.cfg.Session / 4 }

// send orders a request.
func (m *Member) send(now time.Time, r Request, timeout time.Duration) request {
	m.last++
	m.order(Send{m.last, r, timeout})
	return request{m.last, now, m.memberID, m.generation}
}

// rejoin joins at once, unless this has happened too often in a row. Then it tells, since none of the answers is a refusal. It also tells of
// a join that had no answer, unless the coordinator answers heartbeats: then it holds the join.
func (m *Member) rejoin(now time.Time) {
	m.soon++
	wait := time.Duration(0)
	if m.soon > soonMost {
		wait = doubled(retryFirst, retryMost, m.soon-soonMost-1)
	}
	silent := now.Sub(m.answered) >= m.cfg.Session
	if m.soon > soonMost || silent && m.join.lapsed(now, m.patience()) {
		m.order(Refused{&RefusedError{Request: "join", Err: &RestlessError{m.soon, silent}}, now.Add(wait)})
	}
	m.joinAt(now, now.Add(wait))
}

// joinAt ends all requests of the present generation, and joins at a time. A member that offers Range gives up everything before.
func (m *Member) joinAt(now, at time.Time) {
	m.abandonJoin(now)
	m.sync, m.contact.announced = request{}, time.Time{}
	m.review.off()
	m.again = at
	if m.both && len(m.holding.held) > 0 {
		m.phase = Yielding
		m.giveUp(m.holding.kept())
		return
	}
	m.phase = Joining
}

// abandonJoin waits no longer for a join's answer.
func (m *Member) abandonJoin(now time.Time) {
	if m.join.number != 0 && m.join.memberID == "" && m.cfg.InstanceID != "" {
		m.orphan = now
	}
	m.join = request{}
}

func (m *Member) sendJoin(now time.Time) {
	m.join = m.send(now, Join{
		MemberID: m.memberID, InstanceID: m.cfg.InstanceID, Session: m.cfg.Session, Rebalance: m.cfg.Rebalance,
		Protocols: protocols(m.cfg.Topic, m.holding.claim(), m.both),
	}, m.patience())
}

func (m *Member) sendSync(now time.Time, members []JoinedMember) {
	s := Sync{MemberID: m.memberID, InstanceID: m.cfg.InstanceID, Generation: m.generation, Protocol: m.protocol}
	if m.leader {
		s.Assignments = assignments(m.cfg.Topic, m.protocol, members, m.review.topic)
	}
	m.sync = m.send(now, s, m.patience())
}

// beats says whether the coordinator can know the member, so that heartbeats make sense.
func (m *Member) beats() bool { return m.memberID != "" && m.generation >= 0 && m.phase < Leaving }

func (m *Member) sendHeartbeat(now time.Time) {
	if m.beats() && m.heartbeat.number == 0 && !now.Before(m.beat) {
		m.heartbeat = m.send(now, Heartbeat{m.memberID, m.cfg.InstanceID, m.generation}, m.brief())
		m.beat = now.Add(m.cfg.Heartbeat)
	}
}

// lapseRequests gives up on requests without an answer.
func (m *Member) lapseRequests(now time.Time) {
	if m.heartbeat.lapsed(now, m.brief()) {
		m.heartbeat = request{}
	}
	if m.join.lapsed(now, m.patience()) || m.sync.lapsed(now, m.patience()) {
		m.rejoin(now)
	}
	if m.leave.lapsed(now, m.brief()) {
		m.leave, m.again = request{}, now
	}
}

func (r request) lapsed(now time.Time, after time.Duration) bool {
	return r.number != 0 && !now.Before(r.sent.Add(after))
}

// requestTimes returns when lapseRequests or sendHeartbeat may have something to do.
func (m *Member) requestTimes() []time.Time {
	var times []time.Time
	for _, r := range []request{m.join, m.sync} {
		if r.number != 0 {
			times = append(times, r.sent.Add(m.patience()))
		}
	}
	for _, r := range []request{m.heartbeat, m.leave} {
		if r.number != 0 {
			times = append(times, r.sent.Add(m.brief()))
		}
	}
	if m.beats() && m.heartbeat.number == 0 {
		times = append(times, m.beat)
	}
	return times
}
