package membership

import "time"

func (c *coordinator) prepare(now time.Time) {
	if c.state != "preparing" {
		c.rebalance++
		for _, m := range c.sorted() {
			if m.sync != nil {
				m.sync(Answer{Code: rebalanceInProgress})
				m.sync = nil
			}
		}
		c.state, c.deadline = "preparing", now
		for _, m := range c.members {
			c.deadline = later(c.deadline, now.Add(m.rebalance))
		}
	}
	c.maybeComplete(now)
}

func (c *coordinator) maybeComplete(now time.Time) {
	if c.state != "preparing" || now.Before(c.notBefore) {
		return
	}
	waiting := len(c.pending) > 0
	for _, m := range c.members {
		waiting = waiting || m.join == nil
	}
	if waiting && now.Before(c.deadline) {
		return
	}
	c.complete(now)
}

func (c *coordinator) complete(now time.Time) {
	joined := ""
	for _, m := range c.sorted() {
		switch {
		case m.join != nil && joined == "":
			joined = m.id
		case m.join == nil && m.instance == "":
			delete(c.members, m.id)
		}
	}
	if l := c.members[c.leader]; l == nil || l.join == nil {
		c.leader = joined
	}
	if joined == "" && len(c.members) > 0 {
		c.deadline = now.Add(10 * time.Second)
		return
	}
	c.generation++
	if len(c.members) == 0 {
		c.state, c.protocol, c.leader = "empty", "", ""
		c.persist()
		return
	}
	c.protocol, c.state, c.deadline = c.selected(), "completing", now.Add(30*time.Second)
	for _, m := range c.sorted() {
		m.assignment, m.expires = nil, now.Add(m.session)
		if m.join != nil {
			reply := m.join
			m.join = nil
			reply(c.joined(m))
		}
	}
}

func (c *coordinator) syncs(now time.Time, s Sync, reply func(Answer)) {
	code := c.known(s.MemberID, s.InstanceID)
	switch {
	case code != 0:
		reply(Answer{Code: code})
	case s.Generation != c.generation:
		reply(Answer{Code: illegalGeneration})
	case c.state == "preparing":
		reply(Answer{Code: rebalanceInProgress})
	case c.state == "stable":
		c.members[s.MemberID].expires = now.Add(c.members[s.MemberID].session)
		reply(Answer{Assignment: c.members[s.MemberID].assignment})
	default:
		c.members[s.MemberID].sync = reply
		if s.MemberID == c.leader {
			c.settle(now, s)
		}
	}
}

func (c *coordinator) settle(now time.Time, s Sync) {
	c.state = "stable"
	for _, a := range s.Assignments {
		if m := c.members[a.MemberID]; m != nil {
			m.assignment = a.Bytes
		}
	}
	c.persist()
	for _, m := range c.sorted() {
		if m.sync != nil {
			reply := m.sync
			m.sync, m.expires = nil, now.Add(m.session)
			reply(Answer{Assignment: m.assignment})
		}
	}
}

func (c *coordinator) heartbeat(now time.Time, h Heartbeat) int16 {
	if code := c.known(h.MemberID, h.InstanceID); code != 0 {
		return code
	}
	if h.Generation != c.generation {
		return illegalGeneration
	}
	c.members[h.MemberID].expires = now.Add(c.members[h.MemberID].session)
	if c.state == "preparing" {
		return rebalanceInProgress
	}
	return 0
}

// commit is what the coordinator says to a commit.
func (c *coordinator) commit(now time.Time, id Identity) int16 {
	code := c.heartbeat(now, Heartbeat(id))
	if code == rebalanceInProgress {
		return 0
	}
	if code == 0 && c.state == "completing" {
		return rebalanceInProgress
	}
	return code
}

func (c *coordinator) remove(now time.Time, id string) {
	m := c.members[id]
	if m.join != nil {
		m.join(Answer{Code: unknownMember})
	}
	if m.sync != nil {
		m.sync(Answer{Code: unknownMember})
	}
	delete(c.members, id)
	if c.leader == id {
		c.leader = ""
		if all := c.sorted(); len(all) > 0 {
			c.leader = all[0].id
		}
	}
	c.prepare(now)
}

// tick lets sessions and rebalances run out.
func (c *coordinator) tick(now time.Time) {
	if now.Before(c.away) {
		return
	}
	for id, until := range c.pending {
		if !now.Before(until) {
			delete(c.pending, id)
		}
	}
	for _, m := range c.sorted() {
		if m.join == nil && m.sync == nil && !now.Before(m.expires) && c.members[m.id] == m {
			c.remove(now, m.id)
		}
	}
	c.maybeComplete(now)
	if c.state == "completing" && !now.Before(c.deadline) {
		for _, m := range c.sorted() {
			if m.sync == nil {
				delete(c.members, m.id)
			}
		}
		if c.members[c.leader] == nil && len(c.members) > 0 {
			c.leader = c.sorted()[0].id
		}
		c.prepare(now)
	}
}
