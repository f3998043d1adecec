//go:build kafka

package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"convdel/consumer"
	"convdel/consumer/cluster"
	"convdel/internal/testkit"
	"convdel/schema"
)

// hosted is a replica of the service that a test runs by itself, with an API and a network of the test's own.
type hosted struct {
	*consumer.Consumer
	s      *stage
	wire   *wire
	log    *testkit.Buffer
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// host starts a replica. It has no quota.
func (s *stage) host(api consumer.API, edit ...func(*consumer.Config)) *hosted {
	s.tb.Helper()
	h := &hosted{s: s, wire: newWire(s.tb), log: new(testkit.Buffer), done: make(chan struct{})}
	cfg := consumer.Config{
		Cluster: cluster.Config{Brokers: s.brokers, Dial: h.wire.DialContext},
		Topic:   s.topic, Group: s.group, DeadLetterTopic: s.dlt, Start: consumer.StartEarliest(), API: api,
		Logger:  slog.New(slog.NewTextHandler(h.log, nil)),
		Metrics: consumer.NewMetrics(prometheus.NewRegistry()),
	}
	for _, e := range edit {
		e(&cfg)
	}
	c, err := consumer.New(cfg)
	if err != nil {
		s.tb.Fatal(err)
	}
	h.Consumer = c
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	go func() {
		defer close(h.done)
		h.err = c.Run(ctx)
	}()
	s.tb.Cleanup(func() {
		h.stop()
		if s.tb.Failed() {
			s.tb.Log(h.log.String())
		}
	})
	return h
}

// stop stops the replica, and returns how long that took.
func (h *hosted) stop() time.Duration {
	began := time.Now()
	h.cancel()
	<-h.done
	return time.Since(began)
}

// awaitPartitions waits until the replica works on so many partitions.
func (h *hosted) awaitPartitions(n int) {
	h.s.tb.Helper()
	h.s.await(time.Minute, fmt.Sprintf("a replica that works on %d partitions", n), func() bool {
		status := h.Status()
		return status.Live && status.Partitions == n
	})
}

// memberID is the replica's ID in the group, by its last heartbeat.
func (h *hosted) memberID() string {
	h.s.tb.Helper()
	beats, _ := requests[*kmsg.HeartbeatRequest](h.wire, time.Time{})
	if len(beats) == 0 {
		h.s.tb.Fatal("a replica without heartbeats")
	}
	return beats[len(beats)-1].MemberID
}

// memberships counts how often the replica has come to the group as a new member.
func (h *hosted) memberships() (n int) {
	joins, _ := requests[*kmsg.JoinGroupRequest](h.wire, time.Time{})
	for _, j := range joins {
		if j.MemberID == "" {
			n++
		}
	}
	return n
}

// assigned are the partitions that a member has in the present generation.
func (s *stage) assigned(memberID string) (partitions []int32) {
	s.tb.Helper()
	groups, err := s.admin.DescribeGroups(s.tb.Context(), s.group)
	if err != nil {
		s.tb.Fatal(err)
	}
	for _, m := range groups[s.group].Members {
		if a, ok := m.Assigned.AsConsumer(); ok && m.MemberID == memberID {
			for _, t := range a.Topics {
				partitions = append(partitions, t.Partitions...)
			}
		}
	}
	return partitions
}

// numbered are so many events from a number on, for a partition. deeds knows them by their accounts. They have different times, the one
// with number 0 the time first, since the oldest event is called first.
func (s *stage) numbered(first time.Time, partition, from, n int) []*kgo.Record {
	s.tb.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		e := schema.Event{Conversation: schema.Conversation{From: fmt.Sprintf("p%d-%d", partition, from+i), Type: schema.C2C, To: "friend"}}
		value, err := e.Encode()
		if err != nil {
			s.tb.Fatal(err)
		}
		at := first.Add(time.Duration(from+i) * time.Millisecond)
		records[i] = &kgo.Record{Topic: s.topic, Partition: int32(partition), Value: value, Timestamp: at}
	}
	return records
}

// publishNumbered publishes events, numbered from 0.
func (s *stage) publishNumbered(partition, n int) {
	s.tb.Helper()
	first := time.Now().Add(-time.Duration(n) * time.Millisecond)
	if err := s.client.ProduceSync(s.tb.Context(), s.numbered(first, partition, 0, n)...).FirstErr(); err != nil {
		s.tb.Fatal(err)
	}
}

// deeds is an API that counts the calls for each event. The first calls of a test can be long ones.
type deeds struct {
	// long is how many events of each partition have a long first call. They end one by one during the time lasts after begin, the
	// first event last, so that no offset can be committed until the end.
	long  int
	lasts time.Duration
	// stubborn says that a call is executed although the caller has cut it off. That counts as beyond.
	stubborn bool
	// until, if not nil, says instead when a long call ends.
	until func(ev numberedEvent) <-chan struct{}
	began chan struct{}
	begin func()

	mu         sync.Mutex
	called     map[numberedEvent]int
	done       map[numberedEvent]int
	beyond     map[numberedEvent]int
	latest     map[int]int
	disordered int
	cut        []time.Time
	late       sync.WaitGroup
}

type numberedEvent struct{ partition, number int }

func newDeeds(tb testing.TB) *deeds {
	tb.Helper()
	d := &deeds{
		began: make(chan struct{}), called: make(map[numberedEvent]int), done: make(map[numberedEvent]int), beyond: make(map[numberedEvent]int),
		latest: make(map[int]int),
	}
	d.begin = sync.OnceFunc(func() { close(d.began) })
	tb.Cleanup(d.late.Wait)
	return d
}

// Delete implements [consumer.API].
func (d *deeds) Delete(ctx context.Context, c consumer.Call) consumer.Answer {
	var ev numberedEvent
	if _, err := fmt.Sscanf(c.From, "p%d-%d", &ev.partition, &ev.number); err != nil {
		return consumer.Answer{Verdict: consumer.Permanent, Err: err}
	}
	long := d.call(ev) && ev.number < d.long
	c.Sent()
	if !long {
		d.do(ctx, ev)
		return consumer.Answer{Verdict: consumer.Deleted}
	}
	ended := make(chan bool, 1)
	d.late.Go(func() { ended <- d.take(ctx, ev) })
	select {
	case <-ctx.Done():
	case done := <-ended:
		if done {
			return consumer.Answer{Verdict: consumer.Deleted}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = append(d.cut, time.Now())
	return consumer.Answer{Verdict: consumer.Transient, Err: ctx.Err()}
}

// take is a long call. It returns whether it was executed.
func (d *deeds) take(caller context.Context, ev numberedEvent) bool {
	ctx := caller
	if d.stubborn {
		ctx = context.WithoutCancel(caller)
	}
	var begins <-chan struct{} = d.began
	if d.until != nil {
		begins = d.until(ev)
	}
	select {
	case <-begins:
	case <-ctx.Done():
		return false
	}
	ends := d.lasts * time.Duration(ev.number) / time.Duration(d.long)
	if ev.number == 0 {
		ends = d.lasts
	}
	if !pause(ctx, ends) {
		return false
	}
	d.do(caller, ev)
	return true
}

// call notes a call that begins, and returns whether it is the event's first.
func (d *deeds) call(ev numberedEvent) (first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.called[ev]++
	if first = d.called[ev] == 1; first && ev.number < d.latest[ev.partition] {
		d.disordered++
	}
	d.latest[ev.partition] = max(d.latest[ev.partition], ev.number)
	return first
}

func (d *deeds) do(caller context.Context, ev numberedEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if caller.Err() != nil {
		d.beyond[ev]++
		return
	}
	d.done[ev]++
}

// count returns how many events were executed, how many repetitions of that there were, and how many calls were for an event that had been
// called before.
func (d *deeds) count() (events, again, calledAgain int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.done {
		events++
		again += n - 1
	}
	for _, n := range d.called {
		calledAgain += n - 1
	}
	return events, again, calledAgain
}

// calls returns how many calls have begun.
func (d *deeds) calls() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, of := range d.called {
		n += of
	}
	return n
}

// cuts returns when calls were cut off.
func (d *deeds) cuts() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]time.Time(nil), d.cut...)
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
