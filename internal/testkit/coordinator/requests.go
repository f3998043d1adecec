package coordinator

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The broker's bounds of the session timeout are Kafka's defaults.
const (
	leastSession = 6 * time.Second
	mostSession  = 30 * time.Minute
)

func (g *group) onJoin(req *kmsg.JoinGroupRequest) (kmsg.Response, *held) {
	if session := millis(req.SessionTimeoutMillis); session < leastSession || session > mostSession {
		return failed(req, kerr.InvalidSessionTimeout), nil
	}
	if !g.supports(req) {
		return failed(req, kerr.InconsistentGroupProtocol), nil
	}
	if req.MemberID == "" {
		return g.onFirstJoin(req)
	}
	if t := g.pending[req.MemberID]; t != nil {
		halt(t)
		delete(g.pending, req.MemberID)
		return nil, g.add(req, req.MemberID)
	}
	if err := g.validate(req.MemberID, req.InstanceID); err != nil {
		return failed(req, err), nil
	}
	m := g.member(req.MemberID)
	same := m.matches(req.Protocols)
	if same && (g.state == completing || g.state == stable && g.leader != m.id) {
		res, _ := req.ResponseKind().(*kmsg.JoinGroupResponse)
		g.fill(res, m.id)
		return res, nil
	}
	return nil, g.update(m, req)
}

// supports says whether a joiner has a protocol that all members have.
func (g *group) supports(req *kmsg.JoinGroupRequest) bool {
	if len(g.members) == 0 {
		g.protocolType = req.ProtocolType
		return req.ProtocolType != "" && len(req.Protocols) > 0
	}
	return req.ProtocolType == g.protocolType && slices.ContainsFunc(req.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
		return g.supported(p.Name) == len(g.members)
	})
}

func (g *group) onFirstJoin(req *kmsg.JoinGroupRequest) (kmsg.Response, *held) {
	if req.InstanceID != nil {
		if m := g.instance(req.InstanceID); m != nil {
			return g.replace(m, req)
		}
		return nil, g.add(req, g.c.nameLocked(*req.InstanceID))
	}
	id := g.c.nameLocked("member")
	if req.Version < 4 {
		return nil, g.add(req, id)
	}
	if g.pending == nil {
		g.pending = map[string]*time.Timer{}
	}
	g.pending[id] = g.after(millis(req.SessionTimeoutMillis), func() {
		if g.pending[id] == nil {
			return
		}
		delete(g.pending, id)
		if g.state == preparing {
			g.completeIfJoined()
		}
	})
	res, _ := req.ResponseKind().(*kmsg.JoinGroupResponse)
	res.ErrorCode, res.MemberID, res.Generation = kerr.MemberIDRequired.Code, id, -1
	return res, nil
}

func (g *group) add(req *kmsg.JoinGroupRequest, id string) *held {
	m := &member{id: id, instance: req.InstanceID, isNew: true}
	m.take(req)
	m.join = newHeld(req)
	h := m.join
	if g.members = append(g.members, m); len(g.members) == 1 {
		g.leader = id
	}
	g.alive(m, newMemberTimeout)
	g.changed()
	return h
}

func (m *member) take(req *kmsg.JoinGroupRequest) {
	m.protocols = slices.Clone(req.Protocols)
	m.session, m.rebalance = millis(req.SessionTimeoutMillis), millis(req.RebalanceTimeoutMillis)
	if req.Version == 0 {
		m.rebalance = m.session
	}
}

// update takes a member's new join. Of two that are held, nobody waits for the former's answer.
func (g *group) update(m *member, req *kmsg.JoinGroupRequest) *held {
	m.take(req)
	if m.join != nil {
		m.join.abandon()
	}
	m.join = newHeld(req)
	h := m.join
	g.changed()
	return h
}

// replace takes a static member's join without a member ID. Its former self is fenced. In a stable group it goes on with the same
// assignment if the group would choose the same protocol again, whatever its metadata are.
func (g *group) replace(m *member, req *kmsg.JoinGroupRequest) (kmsg.Response, *held) {
	m.fail(kerr.FencedInstanceID)
	former, leads := m.id, g.leader
	if m.id = g.c.nameLocked(*req.InstanceID); g.leader == former {
		g.leader = m.id
	}
	if g.unsynced[former] {
		delete(g.unsynced, former)
		g.unsynced[m.id] = true
	}
	m.take(req)
	m.isNew = false
	g.alive(m, m.session)
	if g.state != stable || g.choose() != g.protocol {
		m.join = newHeld(req)
		h := m.join
		g.changed()
		return nil, h
	}
	g.store()
	res, _ := req.ResponseKind().(*kmsg.JoinGroupResponse)
	if g.fill(res, m.id); req.Version >= 9 {
		res.SkipAssignment = g.leader == m.id
	} else { // such a member must not assign, so it is not told that it leads
		res.LeaderID, res.Members = leads, nil
	}
	return res, nil
}

func (g *group) onSync(req *kmsg.SyncGroupRequest) (kmsg.Response, *held) {
	if g == nil {
		return failed(req, kerr.UnknownMemberID), nil
	}
	if err := g.checkSync(req); err != nil {
		return failed(req, err), nil
	}
	m := g.member(req.MemberID)
	delete(g.unsynced, m.id)
	res := newHeld(req)
	if g.state == stable {
		g.answerSync(res, m)
		return res.res, nil
	}
	if m.sync != nil {
		m.sync.abandon()
	}
	m.sync = res
	if m.id == g.leader {
		g.assign(req)
	}
	return nil, res
}

func (g *group) checkSync(req *kmsg.SyncGroupRequest) *kerr.Error {
	if err := g.validate(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	switch {
	case req.Generation != g.generation:
		return kerr.IllegalGeneration
	case req.Protocol != nil && *req.Protocol != g.protocol, req.ProtocolType != nil && *req.ProtocolType != g.protocolType:
		return kerr.InconsistentGroupProtocol
	case g.state == preparing:
		return kerr.RebalanceInProgress
	case g.state == empty:
		return kerr.UnknownMemberID
	}
	return nil
}

func (g *group) answerSync(h *held, m *member) {
	res, _ := h.res.(*kmsg.SyncGroupResponse)
	protocolType, protocol := g.protocolType, g.protocol
	res.ProtocolType, res.Protocol, res.MemberAssignment = &protocolType, &protocol, m.assignment
}

// assign takes the leader's assignment.
func (g *group) assign(req *kmsg.SyncGroupRequest) {
	g.state = stable
	for _, m := range g.members {
		m.assignment = nil
		for _, a := range req.GroupAssignment {
			if a.MemberID == m.id {
				m.assignment = slices.Clone(a.MemberAssignment)
			}
		}
	}
	g.store()
	for _, m := range g.members {
		if m.sync != nil {
			g.answerSync(m.sync, m)
			close(m.sync.done)
			m.sync = nil
			g.alive(m, m.session)
		}
	}
}

func (g *group) onHeartbeat(req *kmsg.HeartbeatRequest) *kerr.Error {
	if g == nil {
		return kerr.UnknownMemberID
	}
	if err := g.validate(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	m := g.member(req.MemberID)
	if !m.isNew {
		g.alive(m, m.session)
	}
	if g.state == preparing {
		return kerr.RebalanceInProgress
	}
	return nil
}

func (g *group) onLeave(req *kmsg.LeaveGroupRequest) kmsg.Response {
	res, _ := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	if req.Version < 3 {
		if err := g.leave(req.MemberID, nil); err != nil {
			res.ErrorCode = err.Code
		}
		return res
	}
	for _, one := range req.Members {
		answer := kmsg.NewLeaveGroupResponseMember()
		answer.MemberID, answer.InstanceID = one.MemberID, one.InstanceID
		if err := g.leave(one.MemberID, one.InstanceID); err != nil {
			answer.ErrorCode = err.Code
		}
		res.Members = append(res.Members, answer)
	}
	return res
}

func (g *group) leave(id string, instance *string) *kerr.Error {
	if g == nil {
		return kerr.UnknownMemberID
	}
	if t := g.pending[id]; t != nil {
		halt(t)
		delete(g.pending, id)
		if g.state == preparing {
			g.completeIfJoined()
		}
		return nil
	}
	if m := g.instance(instance); id == "" && m != nil {
		id = m.id
	}
	if err := g.validate(id, instance); err != nil {
		return err
	}
	g.expel(g.member(id), kerr.UnknownMemberID)
	return nil
}

func (g *group) onCommit(req *kmsg.OffsetCommitRequest) *kerr.Error {
	switch {
	case req.Generation < 0 && (g == nil || g.state == empty):
		return nil
	case g == nil:
		return kerr.IllegalGeneration
	case req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return kerr.UnknownMemberID
	}
	if err := g.validate(req.MemberID, req.InstanceID); err != nil {
		return err
	}
	switch {
	case req.Generation != g.generation:
		return kerr.IllegalGeneration
	case g.state == completing:
		return kerr.RebalanceInProgress
	}
	if m := g.member(req.MemberID); !m.isNew {
		g.alive(m, m.session)
	}
	return nil
}

func millis(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
