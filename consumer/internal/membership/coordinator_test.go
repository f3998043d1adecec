package membership

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// coordinator is a model of a broker's classic groups, with one group: GroupMetadata's states, static members, sessions, the
// rebalance timeout, and what a coordinator that takes over has read from the log.
type coordinator struct {
	rng   *rand.Rand
	ids   int
	state string // empty, preparing, completing or stable
	// deadline is when a rebalance, or the wait for syncs, ends; notBefore is when the first rebalance may.
	deadline, notBefore time.Time
	generation          int32
	protocol, leader    string
	members             map[string]*groupMember
	// pending are IDs that were handed out.
	pending map[string]time.Time
	// log is what another broker reads.
	log *coordinator
	// moves counts the brokers that have been coordinator; away is until when there is none.
	moves     int
	away      time.Time
	rebalance int
}

type groupMember struct {
	id, instance       string
	protocols          []Protocol
	session, rebalance time.Duration
	expires            time.Time
	join, sync         func(Answer)
	assignment         []byte
}

func newCoordinator(rng *rand.Rand) *coordinator {
	c := &coordinator{rng: rng, state: "empty", members: map[string]*groupMember{}, pending: map[string]time.Time{}}
	c.persist()
	return c
}

func (c *coordinator) persist() {
	log := &coordinator{state: c.state, generation: c.generation, protocol: c.protocol, leader: c.leader, members: map[string]*groupMember{}}
	for id, m := range c.members {
		kept := *m
		kept.join, kept.sync = nil, nil
		log.members[id] = &kept
	}
	c.log = log
}

// move makes another broker the coordinator. Answers that are held are lost.
func (c *coordinator) move(now time.Time, away time.Duration) {
	log := c.log
	c.moves++
	c.away = now.Add(away)
	c.state, c.generation, c.protocol, c.leader = log.state, log.generation, log.protocol, log.leader
	c.members, c.pending = map[string]*groupMember{}, map[string]time.Time{}
	for id, m := range log.members {
		loaded := *m
		loaded.expires = c.away.Add(m.session)
		c.members[id] = &loaded
	}
}

// ask answers a request, now or later.
func (c *coordinator) ask(now time.Time, r Request, reply func(Answer)) {
	if now.Before(c.away) {
		reply(Answer{Code: []int16{14, 15, 16}[c.rng.IntN(3)]})
		return
	}
	switch r := r.(type) {
	case Join:
		c.join(now, r, reply)
	case Sync:
		c.syncs(now, r, reply)
	case Heartbeat:
		reply(Answer{Code: c.heartbeat(now, r)})
	case Leave:
		code := c.known(r.MemberID, r.InstanceID)
		if _, ok := c.pending[r.MemberID]; ok {
			delete(c.pending, r.MemberID)
			code = 0
			c.maybeComplete(now)
		} else if code == 0 {
			c.remove(now, r.MemberID)
		}
		reply(Answer{Code: code})
	}
}

// known checks who asks.
func (c *coordinator) known(id, instance string) int16 {
	if instance != "" {
		if m := c.static(instance); m == nil {
			return unknownMember
		} else if m.id != id {
			return fencedInstance
		}
	}
	if c.members[id] == nil {
		return unknownMember
	}
	return 0
}

func (c *coordinator) static(instance string) *groupMember {
	for _, m := range c.members {
		if m.instance == instance {
			return m
		}
	}
	return nil
}

func (c *coordinator) sorted() []*groupMember {
	var all []*groupMember
	for _, id := range slices.Sorted(maps.Keys(c.members)) {
		all = append(all, c.members[id])
	}
	return all
}

// supports says whether all members offer one of the protocols.
func (c *coordinator) supports(offered []Protocol) bool {
	return len(c.members) == 0 || slices.ContainsFunc(offered, func(p Protocol) bool { return c.offeredByAll(p.Name) })
}

func (c *coordinator) offeredByAll(name string) bool {
	for _, m := range c.members {
		if !slices.ContainsFunc(m.protocols, func(p Protocol) bool { return p.Name == name }) {
			return false
		}
	}
	return true
}

// selected is the protocol of the next generation: each member votes for the first of its own that all offer.
func (c *coordinator) selected() string {
	votes := map[string]int{}
	for _, m := range c.members {
		for _, p := range m.protocols {
			if c.offeredByAll(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	best := ""
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

func (c *coordinator) join(now time.Time, j Join, reply func(Answer)) {
	_, pending := c.pending[j.MemberID]
	switch {
	case !c.supports(j.Protocols):
		reply(Answer{Code: inconsistentProtocols})
	case j.MemberID == "" && j.InstanceID == "":
		c.ids++
		id := fmt.Sprintf("m%d-%d", c.ids, c.rng.IntN(1000))
		c.pending[id] = now.Add(j.Session)
		reply(Answer{Code: memberIDRequired, MemberID: id})
	case j.MemberID == "":
		c.joinStatic(now, j, reply)
	case pending:
		delete(c.pending, j.MemberID)
		c.add(now, j.MemberID, j, reply)
	case c.known(j.MemberID, j.InstanceID) != 0:
		reply(Answer{Code: c.known(j.MemberID, j.InstanceID)})
	default:
		c.rejoin(now, c.members[j.MemberID], j, reply)
	}
}

func (m *groupMember) update(j Join, reply func(Answer)) {
	m.protocols, m.session, m.rebalance, m.join = j.Protocols, j.Session, j.Rebalance, reply
}

func (m *groupMember) matches(j Join) bool {
	return slices.EqualFunc(m.protocols, j.Protocols, func(p, q Protocol) bool { return p.Name == q.Name && string(p.Metadata) == string(q.Metadata) })
}

func (c *coordinator) add(now time.Time, id string, j Join, reply func(Answer)) {
	m := &groupMember{id: id, instance: j.InstanceID, expires: now.Add(j.Session)}
	m.update(j, reply)
	if len(c.members) == 0 {
		c.leader, c.notBefore = id, now.Add(time.Second)
	}
	c.members[id] = m
	c.prepare(now)
}

func (c *coordinator) joinStatic(now time.Time, j Join, reply func(Answer)) {
	c.ids++
	id := fmt.Sprintf("%s-%d", j.InstanceID, c.ids)
	old := c.static(j.InstanceID)
	if old == nil {
		c.add(now, id, j, reply)
		return
	}
	if old.join != nil {
		old.join(Answer{Code: fencedInstance})
	}
	if old.sync != nil {
		old.sync(Answer{Code: fencedInstance})
	}
	leader := c.leader
	delete(c.members, old.id)
	m := &groupMember{id: id, instance: j.InstanceID, expires: now.Add(j.Session), assignment: old.assignment}
	c.members[id] = m
	if leader == old.id {
		c.leader = id
	}
	m.update(j, reply)
	if c.state == "stable" && c.selected() == c.protocol {
		m.join = nil
		c.persist()
		reply(Answer{MemberID: id, LeaderID: leader, Protocol: c.protocol, Generation: c.generation})
		return
	}
	c.prepare(now)
}

func (c *coordinator) rejoin(now time.Time, m *groupMember, j Join, reply func(Answer)) {
	if (c.state == "completing" || c.state == "stable" && c.leader != m.id) && m.matches(j) {
		reply(c.joined(m))
		return
	}
	m.update(j, reply)
	c.prepare(now)
}

func (c *coordinator) joined(m *groupMember) Answer {
	a := Answer{MemberID: m.id, LeaderID: c.leader, Protocol: c.protocol, Generation: c.generation}
	if c.leader == m.id {
		for _, m := range c.sorted() {
			for _, p := range m.protocols {
				if p.Name == c.protocol {
					a.Members = append(a.Members, JoinedMember{m.id, m.instance, p.Metadata})
				}
			}
		}
		c.rng.Shuffle(len(a.Members), func(i, j int) { a.Members[i], a.Members[j] = a.Members[j], a.Members[i] })
	}
	return a
}

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
	code := c.heartbeat(now, Heartbeat{id.MemberID, id.InstanceID, id.Generation})
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
