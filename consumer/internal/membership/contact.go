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
	// doubted says that the coordinator has not answered for a session, and has not taken a join since.
	doubted bool
	// paused is why no new calls may be made, as last ordered; nil if they may.
	paused *LostError
}

func (c *contact) heard(sent time.Time, calm bool) {
	c.alive = later(c.alive, sent)
	if calm || c.calm.IsZero() {
		c.calm = later(c.calm, sent)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// known says that the coordinator has answered this membership: its silence counts from then on, whether or not the member holds anything.
func (m *Member) known() bool { return !m.contact.alive.IsZero() }

// silent is when a member that hears nothing pauses, removed is when the coordinator may have removed it. The calls under way have the last
// quarter of the session to end.
func (m *Member) silent() time.Time  { return m.contact.alive.Add(m.cfg.Session - m.cfg.Session/4) }
func (m *Member) removed() time.Time { return m.contact.alive.Add(m.cfg.Session) }

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

// MayWrite is until when dead letters and outcomes may be written if no other answer comes; zero if none may now.
func (m *Member) MayWrite() time.Time {
	if len(m.holding.held) == 0 || m.contact.doubted {
		return time.Time{}
	}
	if removed, late := m.removed(), m.contact.calm.Add(m.cfg.Rebalance); late.After(removed) {
		return removed
	}
	return m.contact.calm.Add(m.cfg.Rebalance)
}

// lapseContact doubts the membership of a member that has heard nothing for a session: it may have been removed, or there is no coordinator.
// In the second case nobody else can have its partitions, and their offsets can be committed later. Only the answer to a join tells, since
// a coordinator that is loading answers each heartbeat with 0.
func (m *Member) lapseContact(now time.Time) {
	if !m.known() || m.contact.doubted || now.Before(m.removed()) {
		return
	}
	m.contact.doubted = true
	if m.phase < Yielding && m.stopping.IsZero() {
		m.rejoin(now)
	}
}

// weighPause says whether new calls may be made. It says so again when the reason is another.
func (m *Member) weighPause(now time.Time) {
	why, was := m.pauseFor(now), m.contact.paused
	switch {
	case why != nil && (was == nil || *was != *why):
		m.contact.paused = why
		m.order(Pause{why})
	case why == nil && was != nil:
		m.contact.paused = nil
		m.order(Resume{})
	}
}

func (m *Member) pauseFor(now time.Time) *LostError {
	switch {
	case !m.known():
		return nil
	case m.contact.doubted:
		return &LostError{Reason: "has had no answer from the group's coordinator for a whole session"}
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
	if !m.known() || m.contact.doubted {
		return nil
	}
	if m.contact.paused != nil {
		return []time.Time{m.removed()}
	}
	return []time.Time{m.removed(), m.silent(), m.overdue()}
}
