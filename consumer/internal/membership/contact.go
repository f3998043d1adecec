package membership

import "time"

// contact is what is known of the coordinator's view of the member.
type contact struct {
	// alive is when the last request was sent that the coordinator has answered as a member's. calm is when the last one was sent
	// whose answer says that no rebalance is in progress.
	alive, calm time.Time
	// crossed is when a heartbeat was first refused since it named a former generation, while the next one's join was under way.
	crossed time.Time
	// announced is when a heartbeat told of a rebalance while a sync was under way.
	announced time.Time
	paused    error
}

func (c *contact) heard(sent time.Time, calm bool) {
	c.alive = later(c.alive, sent)
	if calm {
		c.calm = later(c.calm, sent)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// silent is when a member that hears nothing pauses, lost is when it has lost its partitions. The calls under way have the last
// quarter of the session to end.
func (m *Member) silent() time.Time { return m.contact.alive.Add(m.cfg.Session - m.cfg.Session/4) }
func (m *Member) lost() time.Time   { return m.contact.alive.Add(m.cfg.Session) }

// overdue is when the member pauses since a rebalance may end without it: the coordinator has waited for its join long enough.
func (m *Member) overdue() time.Time {
	return m.contact.calm.Add(m.cfg.Rebalance - m.cfg.Session/4)
}

// MayCall is until when calls may leave if no other answer comes; zero if none may now. The caller holds to it by itself: a process that was
// suspended makes calls before it does anything else.
func (m *Member) MayCall() time.Time {
	if len(m.holding.held) == 0 || m.contact.paused != nil {
		return time.Time{}
	}
	if silent, overdue := m.silent(), m.overdue(); overdue.After(silent) {
		return silent
	}
	return m.overdue()
}

// lapseContact takes away the partitions of a member that has heard nothing for a session.
func (m *Member) lapseContact(now time.Time) {
	if len(m.holding.held) > 0 && !now.Before(m.lost()) {
		m.lose(&LostError{Reason: "has had no answer from the group's coordinator for a whole session"})
		m.rejoin(now)
	}
}

// weighPause says whether new calls may be made.
func (m *Member) weighPause(now time.Time) {
	why := m.pauseFor(now)
	switch {
	case why != nil && m.contact.paused == nil:
		m.contact.paused = why
		m.order(Pause{why})
	case why == nil && m.contact.paused != nil:
		m.contact.paused = nil
		m.order(Resume{})
	}
}

func (m *Member) pauseFor(now time.Time) error {
	switch {
	case len(m.holding.held) == 0:
		return nil
	case !m.contact.crossed.IsZero():
		return &LostError{Code: illegalGeneration, Reason: "may not be in the group's present generation"}
	case !now.Before(m.silent()):
		return &LostError{Reason: "has had no answer from the group's coordinator for most of a session"}
	case !now.Before(m.overdue()):
		return &LostError{Code: rebalanceInProgress, Reason: "has not been let into the next generation for too long"}
	}
	return nil
}

// contactTimes returns when lapseContact and weighPause may have something to say.
func (m *Member) contactTimes() []time.Time {
	if len(m.holding.held) == 0 {
		return nil
	}
	if m.contact.paused != nil {
		return []time.Time{m.lost()}
	}
	return []time.Time{m.lost(), m.silent(), m.overdue()}
}
