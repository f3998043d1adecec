package consumer

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer/internal/membership"
	"convdel/consumer/internal/recordlog"
)

// send makes a request of the group's coordinator. It takes the place of a former one of its kind.
func (g *groupMember) send(ctx context.Context, s membership.Send) {
	kind := reflect.TypeOf(s.Request)
	if stop := g.requests[kind]; stop != nil {
		stop()
	}
	asking, stop := context.WithTimeout(ctx, s.Timeout)
	g.requests[kind] = stop
	g.making.Go(func() {
		defer stop()
		a := g.ask(asking, s.Request)
		a.Number = s.Number
		if _, joins := s.Request.(membership.Join); joins && ctx.Err() == nil {
			a.Pause = g.brokersRefuse(ctx, refusalOf(a))
		}
		select {
		case g.answered <- a:
		case <-ctx.Done():
		}
	})
}

// refusalOf is why an answer is none, or what its code says; nil if neither is so.
func refusalOf(a membership.Answer) error {
	if a.Err == nil && a.Code != 0 {
		return kafka.Error(a.Code)
	}
	return a.Err
}

// ask makes a request and reads the answer.
func (g *groupMember) ask(ctx context.Context, r membership.Request) membership.Answer {
	req := g.requestOf(r)
	answer, err := recordlog.AskGroup(ctx, g.kafkas.transport, g.kafkas.client.Addr, g.c.cfg.Group, req)
	if err != nil {
		return membership.Answer{Err: fmt.Errorf("%s: %w", kmsg.NameForKey(req.Key()), err)}
	}
	switch res := answer.(type) {
	case *kmsg.JoinGroupResponse:
		return g.joined(ctx, res)
	case *kmsg.SyncGroupResponse:
		return membership.Answer{Code: res.ErrorCode, Assignment: res.MemberAssignment}
	case *kmsg.HeartbeatResponse:
		return membership.Answer{Code: res.ErrorCode}
	case *kmsg.LeaveGroupResponse:
		a := membership.Answer{Code: res.ErrorCode}
		for _, m := range res.Members {
			if a.Code == 0 {
				a.Code = m.ErrorCode
			}
		}
		return a
	}
	return membership.Answer{Err: fmt.Errorf("%s: answer of another kind", kmsg.NameForKey(req.Key()))}
}

// countTimeout bounds the leader's question for the number of partitions: all members wait for its assignment. What was known before counts if
// there is no answer.
const countTimeout = time.Second

// joined is the answer to a join. If this replica is the leader, it has to know how many partitions there are.
func (g *groupMember) joined(ctx context.Context, res *kmsg.JoinGroupResponse) membership.Answer {
	a := membership.Answer{Code: res.ErrorCode, MemberID: res.MemberID, LeaderID: res.LeaderID, Generation: res.Generation}
	if res.Protocol != nil {
		a.Protocol = *res.Protocol
	}
	for _, m := range res.Members {
		a.Members = append(a.Members, membership.JoinedMember{MemberID: m.MemberID, InstanceID: orEmpty(m.InstanceID), Metadata: m.ProtocolMetadata})
	}
	if a.Code == 0 && len(a.Members) > 0 {
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		defer cancel()
		if topic, err := g.kafkas.log(g.c.cfg.Topic).Describe(ctx); err == nil {
			a.Partitions = topic.Partitions
		}
	}
	return a
}

// requestOf is a request as the coordinator gets it.
func (g *groupMember) requestOf(r membership.Request) kmsg.Request {
	group := g.c.cfg.Group
	switch r := r.(type) {
	case membership.Join:
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.InstanceID, req.ProtocolType = group, r.MemberID, orNil(r.InstanceID), "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(r.Session.Milliseconds()), int32(r.Rebalance.Milliseconds()) //nolint:gosec // some seconds
		for _, p := range r.Protocols {
			protocol := kmsg.NewJoinGroupRequestProtocol()
			protocol.Name, protocol.Metadata = p.Name, p.Metadata
			req.Protocols = append(req.Protocols, protocol)
		}
		return req
	case membership.Sync:
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.InstanceID, req.Generation = group, r.MemberID, orNil(r.InstanceID), r.Generation
		req.ProtocolType, req.Protocol = new("consumer"), new(r.Protocol)
		for _, of := range r.Assignments {
			assignment := kmsg.NewSyncGroupRequestGroupAssignment()
			assignment.MemberID, assignment.MemberAssignment = of.MemberID, of.Bytes
			req.GroupAssignment = append(req.GroupAssignment, assignment)
		}
		return req
	case membership.Leave:
		req := kmsg.NewPtrLeaveGroupRequest()
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID, member.InstanceID = r.MemberID, orNil(r.InstanceID)
		req.Group, req.MemberID, req.Members = group, r.MemberID, append(req.Members, member)
		return req
	case membership.Heartbeat:
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.InstanceID, req.Generation = group, r.MemberID, orNil(r.InstanceID), r.Generation
		return req
	}
	return nil
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
