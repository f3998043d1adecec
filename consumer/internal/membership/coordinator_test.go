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
