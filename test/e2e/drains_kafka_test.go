//go:build kafka

package e2e

import (
	"context"
	"errors"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/imclient/imtest"
	"convdel/internal/testkit"
)

// These tests check, without the service, the behaviour of kafka-go's ConsumerGroup and of the broker on which the drain of
// package consumer relies. docs/proof-kafka.md has the measurements.

// groupMember is a member of the stage's group, made with kafka-go.
type groupMember struct {
	group   *kafka.ConsumerGroup
	loop    sync.WaitGroup
	network *testkit.Dialer
	// written counts the bytes that were sent over the network.
	written atomic.Int64
}

// member joins the group. It runs work for each generation, by Generation.Start.
func (s *stage) member(session, rebalance time.Duration, work func(ctx context.Context, gen *kafka.Generation)) *groupMember {
	s.tb.Helper()
	m := &groupMember{}
	m.network = testkit.NewDialer(m.dial)
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: s.group, Brokers: s.brokers, Topics: []string{s.topic},
		Dialer:            &kafka.Dialer{DialFunc: m.network.DialContext},
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

func (m *groupMember) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: c, written: &m.written}, nil
}

type countedConn struct {
	net.Conn
	written *atomic.Int64
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written.Add(int64(n))
	return n, err
}

// receive receives from a channel. Its limit is longer than anything that these tests wait for.
func receive[T any](tb testing.TB, from <-chan T, what string) (got T) {
	tb.Helper()
	timer := time.NewTimer(90 * time.Second)
	defer timer.Stop()
	select {
	case got = <-from:
	case <-timer.C:
		tb.Fatalf("after 90 s still not: %s", what)
	}
	return got
}

// pause waits. It returns false if ctx ends before.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deeds counts how often each event was executed: offsets by partition.
type deeds struct {
	mu         sync.Mutex
	done       map[int]map[int64]int
	latest     map[int]int64
	disordered int
}

func newDeeds() *deeds { return &deeds{done: make(map[int]map[int64]int), latest: make(map[int]int64)} }

func (d *deeds) do(partition int, offset int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done[partition] == nil {
		d.done[partition] = make(map[int64]int)
	}
	d.done[partition][offset]++
	if d.done[partition][offset] == 1 && offset < d.latest[partition] {
		d.disordered++
	}
	d.latest[partition] = max(d.latest[partition], offset)
}

// count returns how many events were executed, and how many repetitions there were.
func (d *deeds) count() (events, again int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for p := range maps.Values(d.done) {
		for n := range maps.Values(p) {
			events++
			again += n - 1
		}
	}
	return events, again
}

// longDrain is a member whose generation ends while inFlight events are under way. They end one by one during the time
// lasts, the first event last, so that there is nothing new to commit until the end.
type longDrain struct {
	lasts   time.Duration
	commits bool // The member commits the same offset every second.
	stops   bool // The work stops at the first commit that fails.
}

const (
	inFlight = 62
	inTopic  = 100
)

// run lets one member drain while another joins. It returns the executed events and the draining member's first commit
// error.
func (l longDrain) run(t *testing.T, session, rebalance time.Duration) (d *deeds, refused error) {
	t.Helper()
	s := newStage(t, 1, imtest.Config{})
	s.produce(values(t, events("user", 0, inTopic))...)
	d = newDeeds()
	over := make(chan error, 1)
	began := make(chan struct{})
	var first sync.Once
	s.member(session, rebalance, func(ctx context.Context, gen *kafka.Generation) {
		drains := false
		first.Do(func() { drains = true })
		if !drains {
			s.doAll(ctx, gen, d)
			return
		}
		close(began)
		<-ctx.Done()
		over <- l.drain(context.WithoutCancel(ctx), s, gen, d)
	})
	receive(t, began, "a first generation")
	s.member(session, rebalance, func(ctx context.Context, gen *kafka.Generation) { s.doAll(ctx, gen, d) })
	refused = receive(t, over, "the end of the drain")
	s.await(time.Minute, "all events done", func() bool { n, _ := d.count(); return n == inTopic })
	return d, refused
}

func (l longDrain) drain(ctx context.Context, s *stage, gen *kafka.Generation, d *deeds) (refused error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var calls sync.WaitGroup
	for i := range int64(inFlight) {
		ends := l.lasts * time.Duration(i) / inFlight
		if i == 0 {
			ends = l.lasts
		}
		calls.Go(func() {
			if pause(ctx, ends) {
				d.do(0, i)
			}
		})
	}
	commit := func(offset int64) {
		err := gen.CommitOffsets(map[string]map[int]int64{s.topic: {0: offset}})
		if refused == nil {
			refused = err
		}
	}
	for until := time.Now().Add(l.lasts); time.Now().Before(until); {
		if l.commits {
			commit(0)
		}
		if l.stops && refused != nil {
			cancel()
			break
		}
		pause(ctx, min(time.Second, time.Until(until)))
	}
	calls.Wait()
	if ctx.Err() == nil {
		commit(inFlight)
	}
	return refused
}

// doAll executes at once all events that are not committed, and commits them.
func (s *stage) doAll(ctx context.Context, gen *kafka.Generation, d *deeds) {
	for _, a := range gen.Assignments[s.topic] {
		for offset := max(0, a.Offset); offset < inTopic; offset++ {
			d.do(a.ID, offset)
		}
		_ = gen.CommitOffsets(map[string]map[int]int64{s.topic: {a.ID: inTopic}}) // if it is refused, another member does the work
	}
	<-ctx.Done()
}

// TestDrains_CommitsRenewTheSession has a drain of 28 s with a session of 3 s. No heartbeats are sent during a drain.
// Without commits the member is expelled and its events are repeated. Committing the same offset every second keeps the
// member.
func TestDrains_CommitsRenewTheSession(t *testing.T) {
	t.Parallel()
	for _, commits := range []bool{false, true} {
		t.Run(map[bool]string{false: "without", true: "with"}[commits], func(t *testing.T) {
			t.Parallel()
			d, refused := longDrain{lasts: 28 * time.Second, commits: commits}.run(t, 3*time.Second, time.Minute)
			_, again := d.count()
			t.Logf("%d events done again, commit: %v", again, refused)
			if commits && (again != 0 || refused != nil) {
				t.Error("with commits: nothing is to be done again")
			}
			if !commits && (again != inFlight || !errors.Is(refused, kafka.UnknownMemberId)) {
				t.Errorf("without commits: want all %d events done again and %v", inFlight, kafka.UnknownMemberId)
			}
		})
	}
}

// TestDrains_LongerThanTheRebalance has a drain of 15 s with a rebalance timeout of 5 s. The broker gives the partitions
// away whether the member is alive or not. The member can only stop its work at the first refused commit.
func TestDrains_LongerThanTheRebalance(t *testing.T) {
	t.Parallel()
	for _, stops := range []bool{false, true} {
		t.Run(map[bool]string{false: "goes on", true: "stops"}[stops], func(t *testing.T) {
			t.Parallel()
			d, refused := longDrain{lasts: 15 * time.Second, commits: true, stops: stops}.run(t, 6*time.Second, 5*time.Second)
			_, again := d.count()
			t.Logf("%d events done again, commit: %v", again, refused)
			if !fencedBy(refused) {
				t.Errorf("commit: %v; want one of the three errors by which work is to stop", refused)
			}
			if !stops && again != inFlight {
				t.Errorf("a member that goes on: want all %d events done again", inFlight)
			}
			// Repeated are the events that ended in the first third of the drain: 20, and a few more until the next commit,
			// a second later.
			if stops && (again == 0 || again > inFlight/2) {
				t.Error("a member that stops: want those done again alone that had ended by then")
			}
		})
	}
}

// fencedBy returns true if a commit was refused because the group has a new generation.
func fencedBy(err error) bool {
	return errors.Is(err, kafka.IllegalGeneration) || errors.Is(err, kafka.UnknownMemberId) || errors.Is(err, kafka.RebalanceInProgress)
}
