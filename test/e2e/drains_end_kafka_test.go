//go:build kafka

package e2e

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/imclient/imtest"
)

// TestDrains_AfterTheEnd: when another member's join ends a generation, a member notices within a heartbeat interval. It
// sends no more heartbeats, and its commits are accepted until it joins again.
func TestDrains_AfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	s.produce(values(t, events("user", 0, inTopic))...)
	began, ended := make(chan struct{}), make(chan error, 3)
	var joins atomic.Int64
	var m *groupMember
	ready := make(chan struct{})
	var first sync.Once
	m = s.member(12*time.Second, 30*time.Second, func(ctx context.Context, gen *kafka.Generation) {
		first.Do(func() {
			<-ready
			close(began)
			<-ctx.Done()
			t.Logf("the end was noticed %s after the other's join", time.Since(time.Unix(0, joins.Load())).Round(time.Millisecond))
			commit := func(offset int64) error { return gen.CommitOffsets(map[string]map[int]int64{s.topic: {0: offset}}) }
			ended <- commit(41)
			written := m.written.Load()
			pause(context.WithoutCancel(ctx), 4*time.Second)
			if n := m.written.Load() - written; n != 0 {
				t.Errorf("%d bytes went to the broker in four seconds after the end: heartbeats?", n)
			}
			ended <- commit(42)
		})
		<-ctx.Done()
	})
	close(ready)
	receive(t, began, "a first generation")
	joins.Store(time.Now().UnixNano())
	s.member(12*time.Second, 30*time.Second, func(ctx context.Context, _ *kafka.Generation) { <-ctx.Done() })
	for range 2 {
		if err := receive(t, ended, "a commit"); err != nil {
			t.Error(err)
		}
	}
	if at := s.committed()[0]; at != 42 {
		t.Errorf("committed: %d, want 42", at)
	}
}

// TestDrains_SecondWayToCommit: the connection of heartbeats and commits is dead. Commits over it fail. Commits over
// another connection, with the same generation and member, are accepted.
func TestDrains_SecondWayToCommit(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1, imtest.Config{})
	s.produce(values(t, events("user", 0, inTopic))...)
	client := &kafka.Client{Addr: kafka.TCP(s.brokers...), Transport: &kafka.Transport{}}
	t.Cleanup(client.Transport.(*kafka.Transport).CloseIdleConnections)
	began, over := make(chan struct{}), make(chan struct{})
	var first sync.Once
	m := s.member(12*time.Second, 30*time.Second, func(ctx context.Context, gen *kafka.Generation) {
		first.Do(func() {
			defer close(over)
			close(began)
			<-ctx.Done()
			if err := gen.CommitOffsets(map[string]map[int]int64{s.topic: {0: 41}}); err == nil {
				t.Error("a commit over a connection that was closed has succeeded")
			} else {
				t.Logf("over the group's connection: %v", err)
			}
			res, err := client.OffsetCommit(context.WithoutCancel(ctx), &kafka.OffsetCommitRequest{
				GroupID: gen.GroupID, GenerationID: int(gen.ID), MemberID: gen.MemberID,
				Topics: map[string][]kafka.OffsetCommit{s.topic: {{Partition: 0, Offset: 42}}},
			})
			if err != nil || res.Topics[s.topic][0].Error != nil {
				t.Errorf("over another connection: %v, %+v", err, res)
			}
		})
		<-ctx.Done()
	})
	receive(t, began, "a first generation")
	m.network.Cut()
	receive(t, over, "the end of the generation")
	if at := s.committed()[0]; at != 42 {
		t.Errorf("committed: %d, want 42", at)
	}
}

// TestDrains_CloseWaitsForTheJoin: a member can't be closed while the broker holds its join because another member drains.
func TestDrains_CloseWaitsForTheJoin(t *testing.T) {
	t.Parallel()
	const drains = 6 * time.Second
	s := newStage(t, 1, imtest.Config{})
	began, ended := make(chan struct{}), make(chan time.Time, 1)
	var first sync.Once
	s.member(12*time.Second, 30*time.Second, func(ctx context.Context, _ *kafka.Generation) {
		first.Do(func() {
			close(began)
			<-ctx.Done()
			ended <- time.Now()
			pause(context.WithoutCancel(ctx), drains)
		})
		<-ctx.Done()
	})
	receive(t, began, "a first generation")
	joining := s.member(12*time.Second, 30*time.Second, func(ctx context.Context, _ *kafka.Generation) { <-ctx.Done() })
	since := receive(t, ended, "the end of the generation")
	joining.leave()
	took := time.Since(since)
	t.Logf("closed %s after the other's drain began", took.Round(time.Millisecond))
	if took < drains {
		t.Errorf("closed after %s, and the drain takes %s: kafka-go can be closed while it joins, after all", took, drains)
	}
}
