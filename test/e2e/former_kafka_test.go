//go:build kafka

package e2e

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/imclient"
	"convdel/schema"
)

// groupMember is a member of the stage's group, made with kafka-go's ConsumerGroup.
type groupMember struct {
	group *kafka.ConsumerGroup
	loop  sync.WaitGroup
}

// member joins the group. It runs work for each generation, by Generation.Start.
func (s *stage) member(session, rebalance time.Duration, work func(ctx context.Context, gen *kafka.Generation)) *groupMember {
	s.tb.Helper()
	m := &groupMember{}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.group, Brokers: s.brokers, Topics: []string{s.topic},
		GroupBalancers:    []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		HeartbeatInterval: time.Second, SessionTimeout: session, RebalanceTimeout: rebalance,
		JoinGroupBackoff: 500 * time.Millisecond, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	m.group = group
	m.loop.Go(func() {
		for {
			gen, err := group.Next(context.Background())
			switch {
			case errors.Is(err, kafka.ErrGroupClosed):
				return
			case err == nil:
				gen.Start(func(ctx context.Context) { work(ctx, gen) })
			}
		}
	})
	s.tb.Cleanup(m.leave)
	return m
}

// leave returns when the member's work is over and the member has left the group.
func (m *groupMember) leave() {
	_ = m.group.Close()
	m.loop.Wait()
}

// formerVersion works as versions without a membership of their own did: it is in the group by kafka-go's ConsumerGroup and the protocol
// range, calls nothing for a second after each rebalance, and drains and commits before it joins again.
type formerVersion struct {
	s   *stage
	api *imclient.Client
}

// former starts a replica of a former version.
func (s *stage) former() *groupMember {
	s.tb.Helper()
	api, err := imclient.New(imclient.Config{
		Endpoint: s.sim.URL, SDKAppID: sdkAppID, Identifier: admin, SecretKey: imclient.StaticKey(secretKey),
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(api.CloseIdleConnections)
	f := &formerVersion{s: s, api: api}
	return s.member(12*time.Second, 30*time.Second, f.work)
}

// work is a generation.
func (f *formerVersion) work(ctx context.Context, gen *kafka.Generation) {
	if !pause(ctx, 1010*time.Millisecond) { // the quota counts the calls of the owners before
		return
	}
	committed, err := f.s.admin.FetchOffsets(ctx, f.s.group)
	if err != nil || committed.Error() != nil {
		<-ctx.Done() // it does nothing rather than repeat the topic
		return
	}
	var partitions []*formerPartition
	var work sync.WaitGroup
	for _, a := range gen.Assignments[f.s.topic] {
		p := &formerPartition{f: f, id: a.ID, done: make(map[int64]bool)}
		if at, ok := committed.Lookup(f.s.topic, int32(a.ID)); ok {
			p.watermark = max(0, at.At)
		}
		partitions = append(partitions, p)
		work.Go(func() { p.run(ctx) })
	}
	last := make(map[int]int64)
	commit := func() {
		now := make(map[int]int64)
		for _, p := range partitions {
			now[p.id] = p.committable()
		}
		if maps.Equal(now, last) {
			return
		}
		last = now
		if err := gen.CommitOffsets(map[string]map[int]int64{f.s.topic: maps.Clone(now)}); err != nil {
			f.s.tb.Logf("a former version's commit: %v", err)
		}
	}
	for pause(ctx, 200*time.Millisecond) {
		commit()
	}
	work.Wait()
	commit()
}

// formerPartition is a partition in a generation of a former version.
type formerPartition struct {
	f  *formerVersion
	id int

	mu        sync.Mutex
	watermark int64
	done      map[int64]bool
}

// committable is the offset below which all events have ended.
func (p *formerPartition) committable() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.done[p.watermark] {
		delete(p.done, p.watermark)
		p.watermark++
	}
	return p.watermark
}

// run calls for one event after the other, at the partition's share of the quota, and returns when all calls have ended.
func (p *formerPartition) run(ctx context.Context) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: p.f.s.brokers, Topic: p.f.s.topic, Partition: p.id, MaxWait: 100 * time.Millisecond})
	defer func() { _ = r.Close() }()
	_ = r.SetOffset(p.committable()) // it fails only for a closed reader
	var calls sync.WaitGroup
	defer calls.Wait()
	tick := time.NewTicker(time.Second * time.Duration(p.f.s.partitions) / apiQuota)
	defer tick.Stop()
	for {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		calls.Go(func() { p.execute(context.WithoutCancel(ctx), m) })
	}
}

// execute calls until the event is deleted.
func (p *formerPartition) execute(ctx context.Context, m kafka.Message) {
	e, err := schema.Decode(m.Value, nil)
	if err != nil {
		p.f.s.tb.Error(err)
		return
	}
	for err = p.call(ctx, e); err != nil; err = p.call(ctx, e) {
		p.f.s.tb.Logf("a former version's call: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[m.Offset] = true
}

func (p *formerPartition) call(ctx context.Context, e schema.Event) error {
	return p.f.api.DeleteConversation(ctx, imclient.DeleteRequest{From: e.From, Type: int(e.Type), To: e.To})
}

// protocol is the protocol of the group's generation.
func (s *stage) protocol() string {
	s.tb.Helper()
	groups, err := s.admin.DescribeGroups(s.tb.Context(), s.group)
	if err != nil {
		s.tb.Fatal(err)
	}
	return groups[s.group].Protocol
}

// TestMembership_KafkaUpgrade: three replicas of a former version are replaced one by one, under load. Nothing is lost or done twice, and in the
// end the group's protocol is the service's own.
func TestMembership_KafkaUpgrade(t *testing.T) {
	t.Parallel()
	for _, joinsFirst := range []bool{false, true} {
		t.Run(map[bool]string{false: "OldLeavesFirst", true: "NewJoinsFirst"}[joinsFirst], func(t *testing.T) {
			t.Parallel()
			s := newMembershipStage(t, 6)
			all := s.publishEach(500)
			olds := []*groupMember{s.former(), s.former(), s.former()}
			s.awaitMembers(3)
			s.awaitResumed(time.Now())
			var replicas []*process
			began := time.Now()
			for n, old := range olds {
				if !joinsFirst {
					old.leave()
				}
				replicas = append(replicas, s.service())
				if joinsFirst {
					s.awaitMembers(4)
					old.leave()
				}
				s.awaitMembers(3)
				t.Logf("%d replaced; all partitions are called again after %s", n+1, s.awaitResumed(time.Now()).Round(10*time.Millisecond))
			}
			ended := time.Now()
			calls := s.callsBetween(began, ended)
			longest, _ := gap(calls, began, ended)
			t.Logf("replaced within %s; no call for up to %s", ended.Sub(began).Round(100*time.Millisecond), longest.Round(10*time.Millisecond))
			if got := s.protocol(); got != "convdel" {
				t.Errorf("the protocol is %q, want the service's own, convdel", got)
			}
			s.balance(all, 0, replicas...)
		})
	}
}

// TestMembership_KafkaRollback: a former version that joins a group of the service is refused, and disturbs nobody. Once the last replica of
// the service has stopped, it is let in. Nothing is lost or done twice.
func TestMembership_KafkaRollback(t *testing.T) {
	t.Parallel()
	const refusedFor = 4 * time.Second
	s := newMembershipStage(t, 4)
	all := s.publishEach(600)
	first, second := s.service(), s.service()
	s.awaitMembers(2)
	s.awaitResumed(time.Now())
	first.stop()
	s.awaitMembers(1)
	s.awaitResumed(time.Now())
	began := time.Now()
	s.former()
	pause(t.Context(), refusedFor)
	calls := s.callsBetween(began, began.Add(refusedFor))
	longest, _ := gap(calls, began, began.Add(refusedFor))
	t.Logf("%d calls in %s with a former version before the door, none for up to %s", len(calls), refusedFor, longest.Round(10*time.Millisecond))
	if n := len(s.members()); n != 1 || s.protocol() != "convdel" {
		t.Errorf("%d members of the protocol %q, want one of convdel", n, s.protocol())
	}
	if longest >= time.Second {
		t.Errorf("no call for %s: the former version was to disturb nobody", longest)
	}
	second.stop()
	stopped := time.Now()
	s.awaitMembers(1)
	t.Logf("all partitions are called again %s after the last stop", func() time.Duration { s.awaitResumed(stopped); return time.Since(stopped) }().Round(10*time.Millisecond))
	if got := s.protocol(); got != "range" {
		t.Errorf("the protocol is %q, want the former version's, range", got)
	}
	s.balance(all, 0)
}
