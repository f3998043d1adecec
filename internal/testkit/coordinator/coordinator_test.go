package coordinator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"convdel/internal/testkit/coordinator"
)

// script is a coordinator and what is asked of it. Each member has a client of its own, since a held join holds up its connection.
type script struct {
	t       *testing.T
	network *kfake.VirtualNetwork
	kafka   *kfake.Cluster
	co      *coordinator.Coordinator
	clients []*kgo.Client
}

func play(t *testing.T, brokers int, act func(s *script)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &script{t: t, network: new(kfake.VirtualNetwork)}
		ports := []int{9092, 9093, 9094}[:brokers]
		s.kafka = kfake.MustCluster(kfake.ListenFn(s.network.Listen), kfake.NumBrokers(brokers), kfake.Ports(ports...), kfake.SeedTopics(4, "events"))
		s.co = coordinator.Take(s.kafka)
		act(s)
		s.co.Close()
		for _, c := range s.clients {
			c.Close()
		}
		s.kafka.Close()
	})
}

// ask sends a request over a connection of its own, to the group's coordinator. The answer is nil if the connection has ended.
func (s *script) ask(req kmsg.Request) <-chan kmsg.Response {
	c, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.ListenAddrs()...), kgo.Dialer(s.network.DialContext), kgo.MaxVersions(kversion.V2_5_0()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.clients = append(s.clients, c)
	answers := make(chan kmsg.Response, 1)
	broker := c.Broker(int(s.kafka.CoordinatorFor("g")))
	go func() {
		res, err := broker.Request(context.Background(), req)
		if err != nil {
			res = nil
		}
		answers <- res
	}()
	return answers
}

func joinOf(id, instance string, protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = "g", id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 12_000, 30_000
	if instance != "" {
		req.InstanceID = &instance
	}
	for i := 0; i+1 < len(protocols); i += 2 {
		req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: protocols[i], Metadata: []byte(protocols[i+1])})
	}
	return req
}

func (s *script) join(id, instance string, protocols ...string) <-chan kmsg.Response {
	return s.ask(joinOf(id, instance, protocols...))
}

// joined waits for a join's answer.
func (s *script) joined(answers <-chan kmsg.Response) *kmsg.JoinGroupResponse {
	s.t.Helper()
	res, ok := (<-answers).(*kmsg.JoinGroupResponse)
	if !ok {
		s.t.Fatal("no answer to a join")
	}
	return res
}

// enter joins as a static member, which takes one join only.
func (s *script) enter(instance string, protocols ...string) <-chan kmsg.Response {
	return s.join("", instance, protocols...)
}

func (s *script) sync(of *kmsg.JoinGroupResponse, assignments ...string) <-chan kmsg.Response {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = "g", of.MemberID, of.Generation
	for i := 0; i+1 < len(assignments); i += 2 {
		req.GroupAssignment = append(req.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{MemberID: assignments[i], MemberAssignment: []byte(assignments[i+1])})
	}
	return s.ask(req)
}

func (s *script) synced(answers <-chan kmsg.Response) *kmsg.SyncGroupResponse {
	s.t.Helper()
	res, ok := (<-answers).(*kmsg.SyncGroupResponse)
	if !ok {
		s.t.Fatal("no answer to a sync")
	}
	return res
}

func (s *script) beat(id string, generation int32) int16 {
	s.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = "g", id, generation
	res, ok := (<-s.ask(req)).(*kmsg.HeartbeatResponse)
	if !ok {
		s.t.Fatal("no answer to a heartbeat")
	}
	return res.ErrorCode
}

func (s *script) want(what string, got int16, want *kerr.Error) {
	s.t.Helper()
	code := int16(0)
	if want != nil {
		code = want.Code
	}
	if got != code {
		s.t.Fatalf("%s: code %d, want %d", what, got, code)
	}
}

// pair makes a stable group of the static members a, which leads, and b.
func (s *script) pair() (a, b *kmsg.JoinGroupResponse) {
	s.t.Helper()
	a = s.joined(s.enter("a", "convdel", "1", "range", ""))
	s.synced(s.sync(a, a.MemberID, "all"))
	second := s.enter("b", "convdel", "2", "range", "")
	time.Sleep(time.Second)
	s.want("heartbeat while another joins", s.beat(a.MemberID, a.Generation), kerr.RebalanceInProgress)
	a = s.joined(s.join(a.MemberID, "a", "convdel", "3", "range", ""))
	b = s.joined(second)
	waiting := s.sync(b)
	time.Sleep(time.Second)
	s.synced(s.sync(a, a.MemberID, "one", b.MemberID, "two"))
	if got := string(s.synced(waiting).MemberAssignment); got != "two" {
		s.t.Fatalf("assignment %q", got)
	}
	return a, b
}

func TestStaticMemberComesBack(t *testing.T) {
	t.Parallel()
	play(t, 1, func(s *script) {
		a, b := s.pair()
		res := s.joined(s.enter("a", "convdel", "other metadata", "range", ""))
		if res.ErrorCode != 0 || res.Generation != b.Generation || res.MemberID == a.MemberID {
			t.Fatalf("%+v", res)
		}
		if res.LeaderID != a.MemberID || len(res.Members) > 0 {
			t.Fatalf("below version 9 the former leader is named, got %+v", res)
		}
		if got := string(s.synced(s.sync(res)).MemberAssignment); got != "one" {
			t.Fatalf("assignment %q", got)
		}
		s.want("the former self", s.beat(a.MemberID, a.Generation), kerr.UnknownMemberID)
		if info := s.co.Info("g"); info.State != "Stable" || info.Generation != b.Generation || info.LeaderID != res.MemberID {
			t.Fatalf("%+v", info)
		}
	})
}

func TestStaticMemberFencesItsFormerSelf(t *testing.T) {
	t.Parallel()
	play(t, 1, func(s *script) {
		a, b := s.pair()
		held := s.join(a.MemberID, "a", "convdel", "4", "range", "") // waits for b
		time.Sleep(time.Second)
		again := s.enter("a", "convdel", "5", "range", "")
		s.want("the former self's join", s.joined(held).ErrorCode, kerr.FencedInstanceID)
		b = s.joined(s.join(b.MemberID, "b", "convdel", "6"))
		if a = s.joined(again); a.ErrorCode != 0 || a.Generation != b.Generation {
			t.Fatalf("%+v", a)
		}
	})
}

// TestHeldJoinKeepsItsMember: a member whose join waits for another's is not expired, though it sends no heartbeat.
func TestHeldJoinKeepsItsMember(t *testing.T) {
	t.Parallel()
	play(t, 1, func(s *script) {
		a, b := s.pair()
		held := s.join(a.MemberID, "a", "convdel", "4", "range", "")
		for range 5 {
			time.Sleep(5 * time.Second)
			s.want("the other's heartbeat", s.beat(b.MemberID, b.Generation), kerr.RebalanceInProgress)
		}
		s.joined(s.join(b.MemberID, "b", "convdel", "5", "range", ""))
		if res := s.joined(held); res.ErrorCode != 0 || res.MemberID != a.MemberID {
			t.Fatalf("%+v", res)
		}
	})
}

// TestStaticMemberOutlivesRebalance: at its timeout a rebalance ends without a static member, which stays with what it said last.
func TestStaticMemberOutlivesRebalance(t *testing.T) {
	t.Parallel()
	play(t, 1, func(s *script) {
		a, b := s.pair()
		held := s.join(a.MemberID, "a", "convdel", "4", "range", "")
		began := time.Now()
		for time.Since(began) < 29*time.Second {
			time.Sleep(time.Second)
			s.want("the other's heartbeat", s.beat(b.MemberID, b.Generation), kerr.RebalanceInProgress)
		}
		res := s.joined(held)
		if took := time.Since(began); took != 30*time.Second || len(res.Members) != 2 || string(res.Members[1].ProtocolMetadata) != "2" {
			t.Fatalf("after %s: %+v", took, res)
		}
		s.want("a heartbeat of the generation before", s.beat(b.MemberID, b.Generation), kerr.IllegalGeneration)
	})
}

// TestFormerProtocolAfterFirstGeneration: a member that speaks the former protocol alone may join for as long as all stored joins have it. Then
// the others are refused.
func TestFormerProtocolAfterFirstGeneration(t *testing.T) {
	t.Parallel()
	play(t, 1, func(s *script) {
		a, b := s.pair()
		s.enter("old", "range", "")
		time.Sleep(time.Second)
		s.want("a member's join", s.joined(s.join(a.MemberID, "a", "convdel", "4")).ErrorCode, kerr.InconsistentGroupProtocol)
		s.want("the other's heartbeat", s.beat(b.MemberID, b.Generation), kerr.RebalanceInProgress)
	})
}

// TestMoveForgetsUnsyncedGeneration: a coordinator that loads a group knows the last assignment that a leader has made.
func TestMoveForgetsUnsyncedGeneration(t *testing.T) {
	t.Parallel()
	play(t, 3, func(s *script) {
		a, b := s.pair()
		held := s.join(a.MemberID, "a", "convdel", "4", "range", "")
		time.Sleep(time.Second)
		newer := s.joined(s.join(b.MemberID, "b", "convdel", "5", "range", ""))
		s.joined(held)
		waiting := s.sync(newer)
		time.Sleep(time.Second)
		for was := s.kafka.CoordinatorFor("g"); s.kafka.CoordinatorFor("g") == was; {
			s.kafka.RehashCoordinators()
		}
		s.co.Look()
		s.want("a held sync", s.synced(waiting).ErrorCode, kerr.NotCoordinator)
		s.want("the newer generation", s.beat(a.MemberID, newer.Generation), kerr.IllegalGeneration)
		s.want("the older one", s.beat(a.MemberID, a.Generation), nil)
	})
}
