package membership

import "time"

// Config says as what to join. Each duration must be set.
type Config struct {
	Topic string
	// InstanceID makes the member a static one: a process that comes back with it within the session keeps its partitions.
	InstanceID string
	// Session is after how long without a heartbeat the coordinator takes the member for dead; Rebalance is for how long it
	// waits for members to join again, at least a session; Heartbeat is the time between heartbeats.
	Session, Rebalance, Heartbeat time.Duration
}

// Member is the state. Make it with [New].
type Member struct {
	cfg    Config
	orders []Order
	// last is the number of the last request.
	last int

	// memberID is empty, and generation is -1, while the coordinator knows none. generation, protocol and leader are the last
	// answered join's; joined is the same generation, but is kept until the next answer.
	memberID           string
	generation, joined int32
	protocol           string
	leader             bool
	// noted is the last member ID for which an assignment has come, so that it is in the coordinator's log; empty before the first.
	noted string
	// both says that the member offers Range as well. Then it joins with nothing held.
	both bool
	// stopping is when Stop was called.
	stopping time.Time

	phase Phase
	// again is when the next join is made, while none is under way. soon counts joins with no pause, failed and refused count
	// requests without an answer and refusals; all since the last assignment.
	again                 time.Time
	soon, failed, refused int
	// join, sync, heartbeat and leave are under way, unless their number is 0.
	join, sync, heartbeat, leave request
	// beat is when the next heartbeat is due.
	beat time.Time
	// answered is when a request was last answered.
	answered time.Time
	// orphan is when a static member last gave up on a join without a member ID. It may be carried out late, and fences the member
	// then.
	orphan time.Time

	holding  holding
	contact  contact
	review   review
	partings int
}

// request is a request under way, and as whom it was sent.
type request struct {
	number     int
	sent       time.Time
	memberID   string
	generation int32
}

// New returns a member that joins with its first orders.
func New(cfg Config, now time.Time) *Member {
	cfg.Rebalance = max(cfg.Rebalance, cfg.Session)
	m := &Member{cfg: cfg, generation: -1, joined: -1, both: true, phase: Joining, again: now, beat: now}
	m.holding.generation = -1
	m.settle(now)
	return m
}

// Answered takes the answer to a [Send].
func (m *Member) Answered(now time.Time, a Answer) {
	m.lapse(now)
	var r request
	if a.Err == nil {
		m.answered = now
	}
	switch a.Number {
	case 0:
	case m.join.number:
		r, m.join = m.join, request{}
		m.joinAnswered(now, r, a)
	case m.sync.number:
		r, m.sync = m.sync, request{}
		m.syncAnswered(now, r, a)
	case m.heartbeat.number:
		r, m.heartbeat = m.heartbeat, request{}
		m.heartbeatAnswered(now, r, a)
	case m.leave.number:
		m.leaveAnswered(now, a)
	}
	m.settle(now)
}

// GivenUp says that partitions of a [GiveUp] are drained and committed, or cut off. Those that have been lost since are ignored.
func (m *Member) GivenUp(now time.Time, partitions []int) {
	m.lapse(now)
	var back []int
	for _, p := range partitions {
		if !m.holding.giving(p) {
			continue
		}
		delete(m.holding.held, p)
		if m.phase == Working && !m.both && m.stopping.IsZero() && m.holding.isAssigned(p) {
			// A rebalance has given it back to the member, while it was drained.
			back = append(back, p)
		}
	}
	m.gain(back, time.Time{})
	m.settle(now)
}

// Partitions says how many partitions the topic has; 0, as when it is not there, changes nothing.
func (m *Member) Partitions(now time.Time, n int) {
	m.lapse(now)
	m.review.count(now, n)
	m.settle(now)
}

// CommitRefused says that a commit was refused with an error code that is about the membership. It says nothing if the member was another one
// when it sent the commit: a static member that comes back has another ID in the same generation.
func (m *Member) CommitRefused(now time.Time, code int16, of Identity) {
	m.lapse(now)
	if of == m.Identity() && m.beats() {
		switch code {
		case unknownMember:
			m.unknown(now, code)
		case fencedInstance:
			m.fenced(now)
		default:
			m.beat = now
		}
	}
	m.settle(now)
}

// Stop begins the end: everything is given up, then a member without an instance ID leaves the group, then comes [End].
func (m *Member) Stop(now time.Time) {
	m.lapse(now)
	if m.stopping.IsZero() && m.phase != Ended {
		m.stopping = now
		m.giveUp(m.holding.kept())
	}
	m.settle(now)
}

// Tick does what is due.
func (m *Member) Tick(now time.Time) {
	m.lapse(now)
	m.settle(now)
}

// Orders returns what is to be done, in order, and forgets it.
func (m *Member) Orders() []Order {
	orders := m.orders
	m.orders = nil
	return orders
}

func (m *Member) order(o Order) { m.orders = append(m.orders, o) }

// lapse does what the time alone has done, before anything else is heard: a process that was frozen for a session doubts its
// membership, whatever answers wait for it.
func (m *Member) lapse(now time.Time) {
	if m.phase == Ended {
		return
	}
	m.lapseContact(now)
	m.lapseRequests(now)
}

// settle gives the orders that are due.
func (m *Member) settle(now time.Time) {
	if m.phase == Ended {
		return
	}
	m.lapse(now)
	m.advance(now)
	m.weighPause(now)
	m.sendHeartbeat(now)
}

// Wake is when Tick is wanted next; zero after [End].
func (m *Member) Wake() time.Time {
	if m.phase == Ended {
		return time.Time{}
	}
	times := append(m.contactTimes(), m.requestTimes()...)
	times = append(times, m.advanceTimes()...)
	var soonest time.Time
	for _, t := range times {
		if !t.IsZero() && (soonest.IsZero() || t.Before(soonest)) {
			soonest = t
		}
	}
	return soonest
}

// Identity is what a commit carries.
type Identity struct {
	MemberID, InstanceID string
	// Generation is -1 while the member is in none.
	Generation int32
}

// Identity returns what a commit carries at present.
func (m *Member) Identity() Identity { return Identity{m.memberID, m.cfg.InstanceID, m.generation} }

// State returns the membership at present.
func (m *Member) State() State {
	var giving []int
	all := m.holding.all()
	for _, p := range all {
		if m.holding.giving(p) {
			giving = append(giving, p)
		}
	}
	return State{
		Phase: m.phase, Protocol: m.protocol, Partitions: m.review.basis.number, Held: all, GivingUp: giving,
	}
}
