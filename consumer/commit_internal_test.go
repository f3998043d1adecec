package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol/offsetcommit"
	"golang.org/x/sync/semaphore"

	"convdel/consumer/internal/offsets"
)

// fakeTransport answers commits. It notes the offsets of those that the broker has got, in the order in which they arrive.
type fakeTransport struct {
	// verdict is the broker's answer, or the error of the connection; nil: everything is accepted.
	verdict func(p offsetcommit.RequestPartition) error

	mu sync.Mutex
	// takes is how long a commit is on its way.
	takes    time.Duration
	arrived  []int64
	metadata []string
	cut      int
}

// RoundTrip is the way of a commit. Whoever gives one up does not stop it: it arrives all the same.
func (f *fakeTransport) RoundTrip(ctx context.Context, _ net.Addr, req kafka.Request) (kafka.Response, error) {
	partitions := req.(*offsetcommit.Request).Topics[0].Partitions
	answered := make(chan error, 1)
	f.mu.Lock()
	takes := f.takes
	f.mu.Unlock()
	go func() {
		time.Sleep(takes)
		answered <- f.arrive(partitions[0])
	}()
	select {
	case err := <-answered:
		res := &offsetcommit.Response{Topics: []offsetcommit.ResponseTopic{{Partitions: make([]offsetcommit.ResponsePartition, len(partitions))}}}
		if code, is := errors.AsType[kafka.Error](err); is {
			for i := range partitions {
				res.Topics[0].Partitions[i].ErrorCode = int16(code)
			}
		} else if err != nil {
			return nil, err
		}
		return res, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeTransport) arrive(p offsetcommit.RequestPartition) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.metadata = append(f.metadata, p.CommittedMetadata)
	if f.verdict != nil {
		if err := f.verdict(p); err != nil {
			return err
		}
	}
	f.arrived = append(f.arrived, p.CommittedOffset)
	return nil
}

func (f *fakeTransport) CloseIdleConnections() { f.cut++ }

// take sets how long the next commits are on their way.
func (f *fakeTransport) take(takes time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes = takes
}

// committed are the offsets that the broker has got.
func (f *fakeTransport) committed() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.arrived)
}

// newTestCommitter returns the committer of one partition, which begins at offset 10.
func newTestCommitter(broker *fakeTransport) (*committer, *partition) {
	log := slog.New(slog.DiscardHandler)
	p := newPartition(0, offsets.At(10), offsets.NoEpoch)
	return &committer{
		owned: &assignment{partitions: map[int]*partition{0: p}},
		stamp: offsets.Stamp{App: "1400000001", Topic: offsets.TopicID{Cluster: 1}},
		sender: &commitSender{
			member: func() (member, error) { return member{group: "g", id: "m", generation: 1}, nil }, refused: func(member, kafka.Error) {},
			topic: "t", transport: broker, log: log,
		},
		one:      semaphore.NewWeighted(1),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{Name: "commits"}), failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"}),
		log: log, poked: make(chan struct{}, 1),
	}, p
}

// finish delivers the next record and ends it.
func (p *partition) finish() { p.ended(p.add(p.position(), time.Time{})) }

// TestDrainLetsTheCommitUnderWayEnd: the drain begins while a commit is on its way. If the commit were given up, it would arrive
// after the drain's own and undo it. That holds for the first attempt, and for the one over new connections.
func TestDrainLetsTheCommitUnderWayEnd(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]int{"first attempt": 0, "over new connections": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				broker := &fakeTransport{takes: 3 * time.Second, verdict: failing(io.ErrUnexpectedEOF, breaks)}
				c, p := newTestCommitter(broker)
				intake, drain := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(breaks)*3*time.Second+time.Second, func() {
					drain()
					p.finish()
					broker.take(time.Millisecond) // the next commit is faster
				})
				p.finish()
				c.poke()
				if err := c.run(intake); err != nil {
					t.Fatal(err)
				}
				if got := broker.committed(); !slices.Equal(got, []int64{11}) {
					t.Errorf("%v arrived when the commit under way was over, want offset 11", got)
				}
				if err := c.commit(context.WithoutCancel(intake), c.owned.all(), false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if got := broker.committed(); !slices.Equal(got, []int64{11, 12}) {
					t.Errorf("offsets %v arrived in this order, want 11 and 12", got)
				}
			})
		})
	}
}

// failing fails the first commits that arrive.
func failing(with error, first int) func(offsetcommit.RequestPartition) error {
	return func(offsetcommit.RequestPartition) error {
		if first--; first >= 0 {
			return with
		}
		return nil
	}
}

// TestCommitTimesOut: a broker that never answers holds up a commit for commitTimeout, and once more over new connections. What it was
// about counts as changed.
func TestCommitTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, p := newTestCommitter(&fakeTransport{takes: time.Minute})
		p.finish()
		began := time.Now()
		if err := c.commit(t.Context(), c.owned.all(), false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took != 2*commitTimeout {
			t.Errorf("took %s", took)
		}
		if _, changed := p.snapshot(); !changed {
			t.Error("what was not committed counts as committed")
		}
		time.Sleep(2 * time.Minute)
	})
}

// TestCommitChoosesPartitions: a commit is about what has changed, or about all, and never about what must not be committed.
func TestCommitChoosesPartitions(t *testing.T) {
	t.Parallel()
	broker := &fakeTransport{}
	c, p := newTestCommitter(broker)
	for _, step := range []struct {
		name      string
		do        func()
		all       bool
		committed []int64
	}{
		{"nothing has changed", func() {}, false, nil},
		{"all are committed", func() {}, true, []int64{10}},
		{"one has changed", p.finish, false, []int64{10, 11}},
		{"nothing since", func() {}, false, []int64{10, 11}},
		{"its offsets are no more", func() { p.finish(); p.noCommits.Store(true) }, true, []int64{10, 11}},
	} {
		step.do()
		if err := c.commit(t.Context(), c.owned.all(), step.all); err != nil || !slices.Equal(broker.committed(), step.committed) {
			t.Errorf("%s: committed %v, %v; want %v", step.name, broker.committed(), err, step.committed)
		}
	}
}

// TestCommitAgain: a commit is repeated at once, over new connections, where those that there are may be dead, and not where a broker has
// answered: the connections carry everything else too.
func TestCommitAgain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		verdict error
		again   bool
		ofGroup bool
	}{
		{io.ErrUnexpectedEOF, true, false},
		{kafka.GroupLoadInProgress, false, false},
		{kafka.GroupCoordinatorNotAvailable, false, false},
		{kafka.NotCoordinatorForGroup, false, false},
		{kafka.RequestTimedOut, false, false},
		{kafka.IllegalGeneration, false, true},
		{kafka.UnknownMemberId, false, true},
	} {
		broker := &fakeTransport{verdict: failing(test.verdict, 1)}
		c, p := newTestCommitter(broker)
		p.finish()
		err := c.commit(t.Context(), c.owned.all(), false)
		if again := slices.Equal(broker.committed(), []int64{11}); again != test.again || (err == nil) != test.again || isVerdict(err) != test.ofGroup {
			t.Errorf("%v: repeated %t, want %t; %v", test.verdict, again, test.again, err)
		}
		if closed := broker.cut > 0; closed != test.again {
			t.Errorf("%v: connections closed %t", test.verdict, closed)
		}
	}
}

// TestCommitWhileTheCoordinatorLoads: a coordinator that loads its groups is asked once a second, and the connections stay. Once it has loaded them, the
// commit arrives.
func TestCommitWhileTheCoordinatorLoads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const loads = 30
		broker := &fakeTransport{verdict: failing(kafka.GroupLoadInProgress, loads)}
		c, p := newTestCommitter(broker)
		p.finish()
		c.poke()
		ctx, cancel := context.WithTimeout(t.Context(), loads*commitRetry+time.Second)
		defer cancel()
		if err := c.run(ctx); err != nil {
			t.Fatal(err)
		}
		if asked := len(broker.metadata); asked != loads+1 || broker.cut != 0 || !slices.Equal(broker.committed(), []int64{11}) {
			t.Errorf("asked %d times, connections closed %d times, committed %v", asked, broker.cut, broker.committed())
		}
	})
}

// TestCommitForgets: a partition that is forgotten is committed no more, and no commit of it is on its way.
func TestCommitForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broker := &fakeTransport{}
		c, p := newTestCommitter(broker)
		broker.take(time.Second)
		var commits sync.WaitGroup
		for range 2 {
			p.finish()
			commits.Go(func() { _ = c.commit(t.Context(), []*partition{p}, true) })
			synctest.Wait()
		}
		late := make(chan struct{})
		go func() {
			time.Sleep(500 * time.Millisecond)
			_ = c.commit(t.Context(), []*partition{p}, true) // it waits for its turn, after forget
			close(late)
		}()
		if err := c.forget(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if got := broker.committed(); len(got) != 2 {
			t.Errorf("%d commits have arrived when the partition is forgotten", len(got))
		}
		<-late
		commits.Wait()
		if got := broker.committed(); len(got) != 2 {
			t.Errorf("%d commits of a partition that was forgotten", len(got)-2)
		}
	})
}

// TestNotOpenedIsForgotten: a partition that is not opened after all belongs to the session until the commit under way has ended, which may be of it. Another
// member may get it after that.
func TestNotOpenedIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broker := &fakeTransport{takes: 4 * time.Second}
		c, p := newTestCommitter(broker)
		of := &tenures{session: &session{owned: c.owned, committer: c}}
		p.finish()
		began := time.Now()
		done := make(chan error, 1)
		go func() { done <- c.commit(t.Context(), c.owned.all(), false) }()
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := of.forget(hasty, []int{0, 1}); err == nil || c.owned.of(0) != p {
			t.Errorf("forgotten while its commit is under way: %v", err)
		}
		if err := of.forget(t.Context(), []int{0, 1}); err != nil || time.Since(began) != 4*time.Second || c.owned.of(0) != nil {
			t.Errorf("forgotten after %s: %v", time.Since(began), err)
		}
		if err := <-done; err != nil || !slices.Equal(broker.committed(), []int64{11}) {
			t.Errorf("committed %v: %v", broker.committed(), err)
		}
		p.finish()
		if err := c.commit(t.Context(), []*partition{p}, true); err != nil || len(broker.committed()) != 1 {
			t.Errorf("committed %v after that: %v", broker.committed(), err)
		}
	})
}

// TestCommitOfAFormerTerm: what a session commits is never sent in the name of a membership that came after the session's, though it fails at
// first. Kafka does not ask whose a partition is: the commit would undo those of its present owner. Nor is it sent in nobody's name,
// which Kafka takes while the group is empty.
func TestCommitOfAFormerTerm(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]struct {
		member member
		fenced bool
	}{
		"another membership": {member{group: "g", id: "n", generation: 7, term: 2}, true},
		"none":               {member{group: "g", generation: -1, term: 2}, true},
		"not yet":            {member{group: "g", id: "m", generation: -1, term: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := member{group: "g", id: "m", generation: 1, term: 1}
			broker := &fakeTransport{}
			c, p := newTestCommitter(broker)
			c.sender.member = func() (member, error) { return now, now.commits(1) }
			fails := failing(io.ErrUnexpectedEOF, 1)
			broker.verdict = func(p offsetcommit.RequestPartition) error {
				now = next.member
				return fails(p)
			}
			p.finish()
			for range 2 {
				err := c.commit(t.Context(), c.owned.all(), false)
				if len(broker.committed()) > 0 || isFenced(err) != next.fenced || !isVerdict(err) {
					t.Errorf("committed %v, %v", broker.committed(), err)
				}
			}
		})
	}
}

// TestCommitWithLessMetadata: where a broker takes no more than some bytes, the list goes first and the topic last, and later
// commits begin with what was taken.
func TestCommitWithLessMetadata(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		most   int
		detail offsets.Detail
	}{{4096, offsets.Everything}, {76, offsets.NoList}, {44, offsets.TopicOnly}, {0, offsets.Nothing}} {
		broker := &fakeTransport{verdict: func(p offsetcommit.RequestPartition) error {
			if len(p.CommittedMetadata) > test.most {
				return kafka.OffsetMetadataTooLarge
			}
			return nil
		}}
		c, p := newTestCommitter(broker)
		p.add(10, time.Time{})
		p.finish()
		for n := range 2 {
			if err := c.commit(t.Context(), c.owned.all(), true); err != nil || len(broker.committed()) != n+1 || c.sender.detail != test.detail {
				t.Fatalf("most %d: detail %d, want %d; %v", test.most, c.sender.detail, test.detail, err)
			}
		}
		if len(broker.metadata) != int(test.detail)+2 {
			t.Errorf("most %d: tried %q", test.most, broker.metadata)
		}
		if last := broker.metadata[len(broker.metadata)-1]; strings.Contains(last, "done=") != (test.detail == offsets.Everything) {
			t.Errorf("most %d: %q", test.most, last)
		}
	}
}

// TestCoordinatorLost: only what a new coordinator can mend is waited for.
func TestCoordinatorLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want bool
	}{
		{io.ErrUnexpectedEOF, true},
		{errors.Join(io.EOF, fmt.Errorf("commit of events/0: %w", kafka.NotCoordinatorForGroup)), true},
		{kafka.GroupLoadInProgress, true},
		{kafka.GroupCoordinatorNotAvailable, true},
		{fmt.Errorf("commit of events/0: %w", kafka.UnknownTopicOrPartition), false},
		{kafka.GroupAuthorizationFailed, false},
	} {
		if got := coordinatorLost(test.err); got != test.want {
			t.Errorf("%v: %t, want %t", test.err, got, test.want)
		}
	}
}

// TestFence: by some codes a broker says that the group has gone on without the member, by others that its generation changes. The
// membership is told of both. All others may be over at the next commit.
func TestFence(t *testing.T) {
	t.Parallel()
	for code, want := range map[kafka.Error]struct{ fenced, moves bool }{
		kafka.UnknownMemberId:              {fenced: true},
		kafka.FencedInstanceID:             {fenced: true},
		kafka.IllegalGeneration:            {moves: true},
		kafka.RebalanceInProgress:          {moves: true},
		kafka.NotCoordinatorForGroup:       {},
		kafka.GroupCoordinatorNotAvailable: {},
		kafka.GroupLoadInProgress:          {},
		kafka.GroupAuthorizationFailed:     {},
		kafka.OffsetMetadataTooLarge:       {},
		kafka.UnknownTopicOrPartition:      {},
		kafka.FencedLeaderEpoch:            {},
		kafka.RequestTimedOut:              {},
	} {
		told, c := []kafka.Error(nil), &commitSender{}
		c.refused = func(of member, code kafka.Error) {
			if of.generation == 7 {
				told = append(told, code)
			}
		}
		got := fmt.Errorf("commit of events/0: %w", c.judge(member{generation: 7}, code))
		if verdict := want.fenced || want.moves; isFenced(got) != want.fenced || isVerdict(got) != verdict || !errors.Is(got, code) || slices.Equal(told, []kafka.Error{code}) != verdict {
			t.Errorf("%v: %v, told %v; want %+v", code, got, told, want)
		}
	}
}

// TestCommitsAreCounted: those that the broker accepts, and those that fail for whatever reason. Only the former move the group's offset.
func TestCommitsAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fails := true
		verdict := func(offsetcommit.RequestPartition) error {
			if fails {
				return io.ErrUnexpectedEOF
			}
			return nil
		}
		c, p := newTestCommitter(&fakeTransport{verdict: verdict})
		for step, want := range []struct{ accepted, failed, committed float64 }{{0, 1, -1}, {0, 2, -1}, {1, 2, 12}} {
			fails = step < 2
			if step < 2 {
				p.finish()
			}
			err := c.commit(t.Context(), c.owned.all(), false)
			accepted, failed, committed := testutil.ToFloat64(c.accepted), testutil.ToFloat64(c.failed), float64(p.committed.Load())
			if (err != nil) != fails || accepted != want.accepted || failed != want.failed || committed != want.committed {
				t.Errorf("step %d: %v; %v accepted, %v failed, %v committed; want %+v", step, err, accepted, failed, committed, want)
			}
		}
	})
}
