//go:build kafka

package e2e

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// puppet is a member of the stage's group that does only what a test tells it to, request by request. It speaks the versions of the
// protocol that kafka-go speaks.
type puppet struct {
	s      *stage
	name   string
	client *kgo.Client
	// node is the coordinator, as the test knows it.
	node int32

	id, instance       string
	generation         int32
	session, rebalance time.Duration
	protocols          []kmsg.JoinGroupRequestProtocol
}

// newPuppet makes a member that has joined nothing yet. instance is its group.instance.id; empty for none.
func (s *stage) newPuppet(name, instance string, protocols ...kmsg.JoinGroupRequestProtocol) *puppet {
	s.tb.Helper()
	versions := kversion.Stable()
	for _, max := range []struct {
		request kmsg.Request
		version int16
	}{
		{kmsg.NewPtrJoinGroupRequest(), 7},
		{kmsg.NewPtrSyncGroupRequest(), 5},
		{kmsg.NewPtrHeartbeatRequest(), 4},
		{kmsg.NewPtrLeaveGroupRequest(), 4},
		{kmsg.NewPtrOffsetCommitRequest(), 7},
	} {
		versions.SetMaxKeyVersion(max.request.Key(), max.version)
	}
	client := s.newClient(kgo.MaxVersions(versions), kgo.RequestRetries(0), kgo.RetryTimeout(0))
	return &puppet{
		s: s, name: name, client: client, node: s.coordinator(s.group), instance: instance, generation: -1,
		session: 10 * time.Second, rebalance: 20 * time.Second, protocols: protocols,
	}
}

// offer is a protocol with its metadata.
func offer(name, metadata string) kmsg.JoinGroupRequestProtocol {
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = name, []byte(metadata)
	return p
}

func (p *puppet) instanceID() *string {
	if p.instance == "" {
		return nil
	}
	return &p.instance
}

// ask sends a request to the coordinator.
func (p *puppet) ask(req kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.s.tb.Context()), 90*time.Second)
	defer cancel()
	return p.client.Broker(int(p.node)).Request(ctx, req)
}

// joined is the answer to a join.
type joined struct {
	code     int16
	err      error
	protocol string
	leader   string
	members  []string
	took     time.Duration
}

func (j joined) String() string {
	return fmt.Sprintf("code %d, err %v, protocol %q, leader %q, %d members, after %s", j.code, j.err, j.protocol, j.leader, len(j.members), j.took.Round(time.Millisecond))
}

// join joins, as a new member if it has no ID. A member that is told its ID first joins again with it.
func (p *puppet) join() joined {
	began := time.Now()
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.InstanceID, req.ProtocolType = p.s.group, p.id, p.instanceID(), "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(p.session.Milliseconds()), int32(p.rebalance.Milliseconds())
		req.Protocols = p.protocols
		answer, err := p.ask(req)
		if err != nil {
			return joined{err: err, took: time.Since(began)}
		}
		res := answer.(*kmsg.JoinGroupResponse)
		if res.ErrorCode == 79 {
			p.id = res.MemberID
			continue
		}
		j := joined{code: res.ErrorCode, leader: res.LeaderID, took: time.Since(began)}
		if res.Protocol != nil {
			j.protocol = *res.Protocol
		}
		for _, m := range res.Members {
			j.members = append(j.members, m.MemberID)
		}
		if j.code == 0 {
			p.id, p.generation = res.MemberID, res.Generation
		}
		return j
	}
}

// joining joins in the background.
func (p *puppet) joining() <-chan joined {
	answer := make(chan joined, 1)
	go func() { answer <- p.join() }()
	return answer
}

// sync asks for the assignment, and as a leader gives each member the assignment "gN:" and its ID.
func (p *puppet) sync(protocol string, members ...string) (code int16, assignment string) {
	req := kmsg.NewPtrSyncGroupRequest()
	kind := "consumer"
	req.Group, req.Generation, req.MemberID, req.InstanceID = p.s.group, p.generation, p.id, p.instanceID()
	req.ProtocolType, req.Protocol = &kind, &protocol
	for _, m := range members {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = m, fmt.Appendf(nil, "g%d:%s", p.generation, m)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	answer, err := p.ask(req)
	if err != nil {
		p.s.tb.Logf("%s: sync: %v", p.name, err)
		return -2, ""
	}
	res := answer.(*kmsg.SyncGroupResponse)
	return res.ErrorCode, string(res.MemberAssignment)
}

// beat sends a heartbeat.
func (p *puppet) beat() int16 {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = p.s.group, p.generation, p.id, p.instanceID()
	answer, err := p.ask(req)
	if err != nil {
		p.s.tb.Logf("%s: heartbeat: %v", p.name, err)
		return -2
	}
	return answer.(*kmsg.HeartbeatResponse).ErrorCode
}

// commit commits the offset of partition 0 in a generation.
func (p *puppet) commit(generation int32, offset int64) int16 {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID, req.InstanceID = p.s.group, generation, p.id, p.instanceID()
	topic, partition := kmsg.NewOffsetCommitRequestTopic(), kmsg.NewOffsetCommitRequestTopicPartition()
	partition.Offset = offset
	topic.Topic, topic.Partitions = p.s.topic, append(topic.Partitions, partition)
	req.Topics = append(req.Topics, topic)
	answer, err := p.ask(req)
	if err != nil {
		p.s.tb.Logf("%s: commit: %v", p.name, err)
		return -2
	}
	return answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
}

// leave leaves the group, and returns the answer's code and the member's.
func (p *puppet) leave() (code, member int16) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = p.s.group
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = p.id, p.instanceID()
	req.Members = append(req.Members, m)
	answer, err := p.ask(req)
	if err != nil {
		p.s.tb.Logf("%s: leave: %v", p.name, err)
		return -2, -2
	}
	res := answer.(*kmsg.LeaveGroupResponse)
	if len(res.Members) == 0 {
		return res.ErrorCode, 0
	}
	return res.ErrorCode, res.Members[0].ErrorCode
}

// state describes the group.
func (s *stage) state() string {
	s.tb.Helper()
	groups, err := s.admin.DescribeGroups(s.tb.Context(), s.group)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s with %d members", groups[s.group].State, len(groups[s.group].Members))
}

// stable makes puppets the members of a stable group, each with an assignment, and returns the leader and the others.
func (s *stage) stable(all ...*puppet) (leader *puppet, others []*puppet) {
	s.tb.Helper()
	first := all[0].join() // alone
	if code, _ := all[0].sync(first.protocol, first.members...); code != 0 {
		s.tb.Fatalf("%s: join: %s, sync: %d", all[0].name, first, code)
	}
	answers := make([]<-chan joined, len(all))
	for i, p := range all[1:] {
		answers[i+1] = p.joining()
	}
	s.await(5*time.Second, "all joins held", func() bool {
		return len(all) == 1 || s.state() == fmt.Sprintf("PreparingRebalance with %d members", len(all))
	})
	answers[0] = all[0].joining()
	return s.synced(all, answers)
}

// synced waits for the answers to joins, and gives all members of the generation their assignments.
func (s *stage) synced(all []*puppet, answers []<-chan joined) (leader *puppet, others []*puppet) {
	s.tb.Helper()
	got := make([]joined, len(all))
	for i, p := range all {
		if got[i] = <-answers[i]; got[i].code != 0 || got[i].err != nil || p.generation != all[0].generation {
			s.tb.Fatalf("%s: join: %s, generation %d, and that of %s is %d", p.name, got[i], p.generation, all[0].name, all[0].generation)
		}
		if len(got[i].members) > 0 {
			leader = p
			if code, _ := p.sync(got[i].protocol, got[i].members...); code != 0 {
				s.tb.Fatalf("%s: sync as leader: %d", p.name, code)
			}
		}
	}
	for i, p := range all {
		if p == leader {
			continue
		}
		others = append(others, p)
		if code, a := p.sync(got[i].protocol); code != 0 || a == "" {
			s.tb.Fatalf("%s: sync: %d, %q", p.name, code, a)
		}
	}
	return leader, others
}
