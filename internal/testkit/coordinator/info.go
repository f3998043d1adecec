package coordinator

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Info is a group at a moment.
type Info struct {
	// State is Kafka's word.
	State              string
	Generation         int32
	Protocol, LeaderID string
	Members            []MemberInfo
}

// MemberInfo is a member of a group.
type MemberInfo struct {
	ID, Instance string
	Assignment   []byte
	// Joining says that a join of it is held, Syncing that a sync is.
	Joining, Syncing bool
}

// Info returns what a group is now. A group that nobody has joined is Empty.
func (c *Coordinator) Info(name string) Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[name]
	if g == nil {
		return Info{State: empty.String()}
	}
	info := Info{State: g.state.String(), Generation: g.generation, Protocol: g.protocol, LeaderID: g.leader}
	for _, m := range g.members {
		one := MemberInfo{ID: m.id, Assignment: m.assignment, Joining: m.join != nil, Syncing: m.sync != nil}
		if m.instance != nil {
			one.Instance = *m.instance
		}
		info.Members = append(info.Members, one)
	}
	return info
}

// Assigned is what the members of a group have from a moment on: a leader has assigned it, or a static member has come back.
type Assigned struct {
	At         time.Time
	Generation int32
	Protocol   string
	// To are the assignments by member ID.
	To map[string][]byte
}

// History returns the assignments of a group so far. Callers leave it as it is.
func (c *Coordinator) History(name string) []Assigned {
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.groups[name]; g != nil {
		return slices.Clone(g.history)
	}
	return nil
}

// describe answers for groups that have members; nil leaves the answer to the cluster.
func (c *Coordinator) describe(req *kmsg.DescribeGroupsRequest) kmsg.Response {
	res, _ := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range req.Groups {
		g := c.groups[name]
		if g == nil || len(g.members) == 0 {
			return nil
		}
		one := kmsg.NewDescribeGroupsResponseGroup()
		one.Group, one.State, one.ProtocolType = name, g.state.String(), g.protocolType
		for _, m := range g.members {
			told := kmsg.NewDescribeGroupsResponseGroupMember()
			told.MemberID, told.InstanceID, told.MemberAssignment = m.id, m.instance, m.assignment
			one.Members = append(one.Members, told)
		}
		res.Groups = append(res.Groups, one)
	}
	return res
}
