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
}

// New returns a member that joins with its first orders.
func New(cfg Config, now time.Time) *Member {
	return &Member{cfg: cfg}
}

// Answered takes the answer to a [Send].
func (m *Member) Answered(now time.Time, a Answer) {}

// GivenUp says that partitions of a [GiveUp] are drained and committed, or cut off. Those that have been lost since are ignored.
func (m *Member) GivenUp(now time.Time, partitions []int) {}

// Partitions says how many partitions the topic has; 0, as when it is not there, changes nothing.
func (m *Member) Partitions(now time.Time, n int) {}

// CommitRefused says that a commit was refused with an error code that is about the membership. generation is the commit's.
func (m *Member) CommitRefused(now time.Time, code int16, generation int32) {}

// Stop begins the end: everything is given up, then a member without an instance ID leaves the group, then comes [End].
func (m *Member) Stop(now time.Time) {}

// Tick does what is due.
func (m *Member) Tick(now time.Time) {}

// Wake is when Tick is wanted next; zero after [End].
func (m *Member) Wake() time.Time { return time.Time{} }

// Orders returns what is to be done, in order, and forgets it.
func (m *Member) Orders() []Order {
	orders := m.orders
	m.orders = nil
	return orders
}
