// Package coordinator gives an embedded cluster the group coordinator of Apache Kafka. The embedded one differs where a membership
// depends on it: it compares the metadata of a static member that comes back, forgets members that wait for a join's answer,
// restarts the timeout of a rebalance, and keeps everything when the coordinator moves.
//
// The rules are those of Kafka's GroupMetadataManager for classic groups. Offsets stay with the embedded cluster, as those of a group
// without members. All waiting works both in a testing/synctest bubble and outside of one.
package coordinator

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Coordinator is the coordinator of all groups of a cluster, on whichever broker the cluster says.
type Coordinator struct {
	cluster *kfake.Cluster

	mu     sync.Mutex
	groups map[string]*group
	faults []*Fault
	named  int // how many member IDs were given
	// loading is how long a group takes to load after it has moved.
	loading time.Duration
	closed  bool
}

// Fault is an answer in place of the coordinator's own to requests with a key.
type Fault struct {
	Key kmsg.Key
	Err *kerr.Error
	// Count is how many requests it answers; below 0: all until it is removed.
	Count int
	// When, if not nil, selects requests.
	When func(kmsg.Request) bool
}

// Take puts a coordinator before a cluster's own. Close it before the cluster.
func Take(c *kfake.Cluster) *Coordinator {
	co := &Coordinator{cluster: c, groups: map[string]*group{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.LeaveGroup, kmsg.OffsetCommit, kmsg.DescribeGroups} {
		c.ControlKey(int16(key), co.control)
	}
	return co
}

// Close answers all requests that are held, and stops all timers.
func (c *Coordinator) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, g := range c.groups {
		g.unload(kerr.CoordinatorNotAvailable)
	}
}

// Add adds a fault. The returned function removes it.
func (c *Coordinator) Add(f Fault) (remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, &f)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		f.Count = 0
	}
}

// SetLoading sets how long a group takes to load after its coordinator has moved.
func (c *Coordinator) SetLoading(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loading = d
}

// Look notices coordinators that have moved. Requests that are held get their answer only then.
func (c *Coordinator) Look() {
	c.mu.Lock()
	var names []string
	for name := range c.groups {
		names = append(names, name)
	}
	c.mu.Unlock()
	for _, name := range names {
		c.find(name)
	}
}

// find returns the node of a group's coordinator, and moves the group there.
func (c *Coordinator) find(name string) (node int32) {
	node = c.cluster.CoordinatorFor(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[name]
	if g != nil && g.node != node {
		g.node = node
		g.move(c.loading)
	}
	return node
}

// held is a join or a sync that waits for its answer.
type held struct {
	res  kmsg.Response
	done chan struct{}
	// abandoned says that it gets no answer: its connection ends.
	abandoned bool
}

var errAbandoned = errors.New("another request has taken the place of this one")

func (h *held) abandon() {
	h.abandoned = true
	close(h.done)
}

func newHeld(req kmsg.Request) *held {
	return &held{res: req.ResponseKind(), done: make(chan struct{})}
}

// control is what the cluster asks first about each request of a group.
func (c *Coordinator) control(req kmsg.Request) (kmsg.Response, error, bool) {
	c.cluster.KeepControl()
	at := c.cluster.CurrentNode()
	if req, ok := req.(*kmsg.DescribeGroupsRequest); ok {
		res := c.describe(req)
		return res, nil, res != nil
	}
	node := c.find(nameOf(req))
	res, wait := c.decide(req, at, node)
	switch {
	case wait != nil:
		c.cluster.SleepControl(func() { <-wait.done })
		if wait.abandoned {
			return nil, errAbandoned, true
		}
		return wait.res, nil, true
	case res != nil:
		return res, nil, true
	}
	return nil, nil, false
}

func nameOf(req kmsg.Request) string {
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		return req.Group
	case *kmsg.SyncGroupRequest:
		return req.Group
	case *kmsg.HeartbeatRequest:
		return req.Group
	case *kmsg.LeaveGroupRequest:
		return req.Group
	case *kmsg.OffsetCommitRequest:
		return req.Group
	}
	return ""
}

// decide returns the answer, or a request that is held, or neither: then the cluster is to answer.
func (c *Coordinator) decide(req kmsg.Request, at, node int32) (kmsg.Response, *held) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := nameOf(req)
	g := c.groups[name]
	if refused := c.refusedLocked(req, g, at == node); refused != nil {
		return failed(req, refused), nil
	}
	if join, ok := req.(*kmsg.JoinGroupRequest); ok && g == nil {
		g = &group{c: c, name: name, node: node, protocolType: join.ProtocolType}
		c.groups[name] = g
	}
	switch req := req.(type) {
	case *kmsg.JoinGroupRequest:
		return g.onJoin(req)
	case *kmsg.SyncGroupRequest:
		return g.onSync(req)
	case *kmsg.HeartbeatRequest:
		return failed(req, g.onHeartbeat(req)), nil
	case *kmsg.LeaveGroupRequest:
		return g.onLeave(req), nil
	case *kmsg.OffsetCommitRequest:
		if err := g.onCommit(req); err != nil {
			return failed(req, err), nil
		}
		req.Generation, req.MemberID, req.InstanceID = -1, "", nil // the cluster knows no members
	}
	return nil, nil
}

func (c *Coordinator) refusedLocked(req kmsg.Request, g *group, here bool) *kerr.Error {
	for _, f := range c.faults {
		if f.Count != 0 && f.Key == kmsg.Key(req.Key()) && (f.When == nil || f.When(req)) {
			f.Count--
			return f.Err
		}
	}
	switch _, commits := req.(*kmsg.OffsetCommitRequest); {
	case c.closed || !here && !commits:
		return kerr.NotCoordinator
	case !here:
		return nil // the cluster says so itself
	case g != nil && time.Now().Before(g.loaded):
		return kerr.CoordinatorLoadInProgress
	}
	return nil
}

// failed is an answer with an error; nil is none.
func failed(req kmsg.Request, err *kerr.Error) kmsg.Response {
	code := int16(0)
	if err != nil {
		code = err.Code
	}
	res := req.ResponseKind()
	switch res := res.(type) {
	case *kmsg.JoinGroupResponse:
		res.ErrorCode, res.Generation = code, -1
	case *kmsg.SyncGroupResponse:
		res.ErrorCode = code
	case *kmsg.HeartbeatResponse:
		res.ErrorCode = code
	case *kmsg.LeaveGroupResponse:
		res.ErrorCode = code
	case *kmsg.OffsetCommitResponse:
		commit, _ := req.(*kmsg.OffsetCommitRequest)
		for _, t := range commit.Topics {
			topic := kmsg.NewOffsetCommitResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				part := kmsg.NewOffsetCommitResponseTopicPartition()
				part.Partition, part.ErrorCode = p.Partition, code
				topic.Partitions = append(topic.Partitions, part)
			}
			res.Topics = append(res.Topics, topic)
		}
	}
	return res
}

// nameLocked makes a member ID.
func (c *Coordinator) nameLocked(prefix string) string {
	c.named++
	return fmt.Sprintf("%s-%06d", prefix, c.named)
}
