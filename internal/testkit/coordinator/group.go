package coordinator

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// state is a group's state. The zero value is that of a group without members.
type state int

const (
	empty state = iota
	preparing
	completing
	stable
)

// String is Kafka's word.
func (s state) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// newMemberTimeout is how long a new member may wait for its first join's answer.
const newMemberTimeout = 5 * time.Minute

// group is a classic group. Its coordinator's lock guards it.
type group struct {
	c    *Coordinator
	name string
	node int32
	// loaded is when the group has been loaded by its present coordinator.
	loaded time.Time

	state                  state
	generation             int32
	protocolType, protocol string
	leader                 string
	members                []*member // in order of their joining
	pending                map[string]*time.Timer
	// unsynced are the members whose sync the generation waits for.
	unsynced map[string]bool
	// joins ends the rebalance, syncs the wait for syncs.
	joins, syncs *time.Timer

	stored  stored
	history []Assigned
}

// stored is what a coordinator finds that loads the group.
type stored struct {
	generation       int32
	protocol, leader string
	members          []member
}

// member is a member of a group.
type member struct {
	id         string
	instance   *string
	protocols  []kmsg.JoinGroupRequestProtocol
	session    time.Duration
	rebalance  time.Duration
	assignment []byte
	isNew      bool
	join, sync *held // nil if none is held
	timer      *time.Timer
	beat       int // how often the session has begun anew
}

func (g *group) member(id string) *member {
	if i := slices.IndexFunc(g.members, func(m *member) bool { return m.id == id }); i >= 0 {
		return g.members[i]
	}
	return nil
}

func (g *group) instance(id *string) *member {
	if i := slices.IndexFunc(g.members, func(m *member) bool { return id != nil && m.instance != nil && *m.instance == *id }); i >= 0 {
		return g.members[i]
	}
	return nil
}

// validate returns the error for a request in the name of a member; nil if there is none.
func (g *group) validate(id string, instance *string) *kerr.Error {
	if instance != nil {
		m := g.instance(instance)
		switch {
		case m == nil:
			return kerr.UnknownMemberID
		case m.id != id:
			return kerr.FencedInstanceID
		}
	}
	if g.member(id) == nil {
		return kerr.UnknownMemberID
	}
	return nil
}

// after calls do after a time, with the lock held.
func (g *group) after(d time.Duration, do func()) *time.Timer {
	return time.AfterFunc(d, func() {
		g.c.mu.Lock()
		defer g.c.mu.Unlock()
		if !g.c.closed {
			do()
		}
	})
}

func halt(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

// alive begins a member's session anew.
func (g *group) alive(m *member, session time.Duration) {
	halt(m.timer)
	m.beat++
	beat := m.beat
	m.timer = g.after(session, func() {
		// A member whose join or sync is held is not expired, unless it is new.
		if m.beat != beat || g.member(m.id) != m || !m.isNew && (m.join != nil || m.sync != nil) {
			return
		}
		g.expel(m, kerr.UnknownMemberID)
	})
}

// expel removes a member, and rebalances.
func (g *group) expel(m *member, why *kerr.Error) {
	g.drop(m, why)
	g.changed()
}

// drop removes a member, and answers what is held of it.
func (g *group) drop(m *member, why *kerr.Error) {
	m.fail(why)
	halt(m.timer)
	g.members = slices.DeleteFunc(g.members, func(other *member) bool { return other == m })
	delete(g.unsynced, m.id)
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// fail answers what is held of a member.
func (m *member) fail(why *kerr.Error) {
	if m.join != nil {
		res, _ := m.join.res.(*kmsg.JoinGroupResponse)
		res.ErrorCode, res.Generation = why.Code, -1
		close(m.join.done)
	}
	if m.sync != nil {
		res, _ := m.sync.res.(*kmsg.SyncGroupResponse)
		res.ErrorCode = why.Code
		close(m.sync.done)
	}
	m.join, m.sync = nil, nil
}

// changed begins a rebalance, or ends one that waits for nobody any more.
func (g *group) changed() {
	if g.state != preparing {
		g.prepare()
		return
	}
	g.completeIfJoined()
}

func (g *group) prepare() {
	if g.state == completing {
		for _, m := range g.members {
			if m.assignment = nil; m.sync != nil {
				res, _ := m.sync.res.(*kmsg.SyncGroupResponse)
				res.ErrorCode = kerr.RebalanceInProgress.Code
				close(m.sync.done)
				m.sync = nil
				g.alive(m, m.session)
			}
		}
	}
	halt(g.syncs)
	g.unsynced = nil
	g.state = preparing
	g.awaitJoins()
	g.completeIfJoined()
}

// awaitJoins ends the rebalance when its time is up.
func (g *group) awaitJoins() {
	halt(g.joins)
	longest, generation := time.Duration(0), g.generation
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	g.joins = g.after(longest, func() {
		if g.state == preparing && g.generation == generation {
			g.complete()
		}
	})
}

func (g *group) completeIfJoined() {
	if len(g.pending) == 0 && !slices.ContainsFunc(g.members, func(m *member) bool { return m.join == nil }) {
		g.complete()
	}
}

// complete ends the joining. Dynamic members that have not joined are removed, static ones stay for their session.
func (g *group) complete() {
	halt(g.joins)
	for _, m := range slices.Clone(g.members) {
		if m.join == nil && m.instance == nil {
			g.drop(m, kerr.UnknownMemberID)
		}
	}
	if len(g.members) > 0 && !g.elect() {
		g.awaitJoins()
		return
	}
	g.generation++
	if len(g.members) == 0 {
		g.state, g.protocol, g.leader = empty, "", ""
		g.store()
		return
	}
	g.state, g.protocol = completing, g.choose()
	g.unsynced = map[string]bool{}
	for _, m := range g.members {
		if m.join != nil {
			res, _ := m.join.res.(*kmsg.JoinGroupResponse)
			g.fill(res, m.id)
			close(m.join.done)
			m.join = nil
		}
		m.isNew = false
		g.alive(m, m.session)
		g.unsynced[m.id] = true
	}
	g.awaitSyncs()
}

func (g *group) awaitSyncs() {
	halt(g.syncs)
	longest, generation := time.Duration(0), g.generation
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	g.syncs = g.after(longest, func() {
		if g.generation != generation || len(g.unsynced) == 0 || g.state == preparing {
			return
		}
		for _, m := range slices.Clone(g.members) {
			if g.unsynced[m.id] {
				g.drop(m, kerr.UnknownMemberID)
			}
		}
		g.changed()
	})
}

// elect finds a leader among the members that have joined, if the present one has not.
func (g *group) elect() bool {
	if m := g.member(g.leader); m != nil && m.join != nil {
		return true
	}
	for _, m := range g.members {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// supported counts the members that a protocol is stored of.
func (g *group) supported(name string) (n int) {
	for _, m := range g.members {
		if slices.ContainsFunc(m.protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == name }) {
			n++
		}
	}
	return n
}

// choose returns the protocol of the next generation: the members vote among those that all support.
func (g *group) choose() string {
	votes, best := map[string]int{}, ""
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.supported(p.Name) == len(g.members) {
				if votes[p.Name]++; votes[p.Name] > votes[best] {
					best = p.Name
				}
				break
			}
		}
	}
	return best
}

// fill is the answer to a join in the present generation.
func (g *group) fill(res *kmsg.JoinGroupResponse, id string) {
	res.ErrorCode, res.Generation, res.MemberID, res.LeaderID = 0, g.generation, id, g.leader
	protocolType, protocol := g.protocolType, g.protocol
	res.ProtocolType, res.Protocol = &protocolType, &protocol
	if g.leader != id {
		return
	}
	for _, m := range g.members {
		one := kmsg.NewJoinGroupResponseMember()
		one.MemberID, one.InstanceID, one.ProtocolMetadata = m.id, m.instance, m.metadata(g.protocol)
		res.Members = append(res.Members, one)
	}
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// matches says whether a join says what the member's last one did.
func (m *member) matches(protocols []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// store keeps what a coordinator finds that loads the group.
func (g *group) store() {
	g.stored = stored{generation: g.generation, protocol: g.protocol, leader: g.leader}
	now := Assigned{At: time.Now(), Generation: g.generation, Protocol: g.protocol, To: map[string][]byte{}}
	g.history = append(g.history, now)
	for _, m := range g.members {
		now.To[m.id] = m.assignment
		g.stored.members = append(g.stored.members, member{
			id: m.id, instance: m.instance, protocols: m.protocols, session: m.session, rebalance: m.rebalance, assignment: m.assignment,
		})
	}
}

// unload answers everything that is held, and stops all timers.
func (g *group) unload(why *kerr.Error) {
	for _, m := range g.members {
		m.fail(why)
		halt(m.timer)
	}
	for _, t := range g.pending {
		halt(t)
	}
	halt(g.joins)
	halt(g.syncs)
	g.members, g.pending, g.unsynced = nil, nil, nil
}

// move loads the group on another broker.
func (g *group) move(loading time.Duration) {
	g.unload(kerr.NotCoordinator)
	g.loaded = time.Now().Add(loading)
	g.generation, g.protocol, g.leader, g.state = g.stored.generation, g.stored.protocol, g.stored.leader, empty
	for _, m := range g.stored.members {
		g.members = append(g.members, &m)
		g.alive(&m, loading+m.session)
		g.state = stable
	}
}
