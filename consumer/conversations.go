package consumer

import (
	"container/heap"
	"context"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"convdel/schema"
)

// flight is one conversation with unfinished events. There is at most one call for it at a time:
// events that arrive while it waits share its next call, events that arrive while it is called
// wait for the one after, since the call under way may have been answered before they happened.
type flight struct {
	conversation schema.Conversation
	// queued are the events that the next call answers, calling those of the call under way.
	queued, calling []*event
	// replays says that all of them have been dead letters before.
	replays bool
	// oldest is the earliest event time of queued.
	oldest time.Time
	// due is when a waiting flight is ready again.
	due time.Time
	// index is its place in the heap that it is in, -1 while it is called; ready says which heap.
	index int
	ready bool
	// called is when its last call began, probe whether the call under way is the gate's probe.
	called time.Time
	probe  bool
	// proven is the gate's when that call began.
	proven time.Time
	// failing is since when its calls have failed, zero if the last one has not.
	failing time.Time
	// backoff spaces the attempts; nil until the first failure.
	backoff *backoff.ExponentialBackOff
}

// nextDelay is how long to wait after a failed call: exponential, with jitter.
func (f *flight) nextDelay(cfg Config) time.Duration {
	if f.backoff == nil {
		f.backoff = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(cfg.RetryInitial),
			backoff.WithMaxInterval(cfg.RetryMax),
			backoff.WithMultiplier(2),
			backoff.WithMaxElapsedTime(0),
		)
	}
	return f.backoff.NextBackOff()
}

// join puts an event with the others of its conversation, or starts a flight for it.
func (s *session) join(ev *event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[ev.conversation]
	if f == nil {
		f = &flight{conversation: ev.conversation, queued: []*event{ev}, oldest: ev.at, replays: ev.replay}
		s.flights[ev.conversation] = f
		s.pushReadyLocked(f)
		return
	}
	f.queued = append(f.queued, ev)
	f.replays = f.replays && ev.replay
	if len(f.queued) == 1 || ev.at.Before(f.oldest) {
		f.oldest = ev.at
	}
	if f.ready {
		heap.Fix(s.ready, f.index)
	}
}

// next takes the oldest ready flight for a call. It returns nil where there is none, or where its
// events have all become too old meanwhile.
func (s *session) next(probe bool) *flight {
	f := s.popReady(probe)
	if f == nil || s.cfg.MaxEventAge == 0 {
		return f
	}
	var young []*event
	for _, ev := range f.calling {
		if s.expired(ev) {
			s.deadLetter(ev, OutcomeExpired)
		} else {
			young = append(young, ev)
		}
	}
	f.calling = young
	if len(young) > 0 {
		return f
	}
	s.requeue(f, nil, 0)
	return nil
}

// conversations is how many there are with unfinished events.
func (s *session) conversations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)
}

// onlySuspects says whether an outage is being probed for and no conversation is left, or can come, that could tell.
func (s *session) onlySuspects() bool {
	if p := s.gate.paused(); p == nil || p.Reason != PauseOutage {
		return false
	}
	// Where what is there takes all the room there is, no other event will ever get in.
	stuck := s.isFull() && s.gate.patient()
	s.mu.Lock()
	defer s.mu.Unlock()
	telling := 0
	for _, f := range s.flights {
		if !s.gate.suspect(f.failing) && (!stuck || !f.replays) {
			telling++
		}
	}
	return telling == 0 || stuck && telling < outageConversations
}

// failed notes since when a flight's calls have failed.
func (s *session) failed(f *flight, started time.Time) {
	s.mu.Lock() // onlySuspects looks at flights that are called, too
	defer s.mu.Unlock()
	if f.failing.IsZero() {
		f.failing = started
	}
}

// onlyReplays says whether all events have been dead letters before.
func onlyReplays(events []*event) bool {
	return !slices.ContainsFunc(events, func(ev *event) bool { return !ev.replay })
}

// isFull says whether no further event has room among those in flight.
func (s *session) isFull() bool {
	if !s.capacity.events.TryAcquire(1) {
		return true
	}
	s.capacity.events.Release(1)
	return false
}

// popReady takes the oldest ready flight or, to probe with, the one that says most about the API.
func (s *session) popReady(probe bool) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready.Len() == 0 {
		return nil
	}
	at := 0
	if probe {
		at = s.bestProbeLocked()
	}
	f, _ := heap.Remove(s.ready, at).(*flight)
	f.called, f.probe, f.ready = time.Now(), probe, false
	f.proven = s.gate.proven()
	f.calling, f.queued = f.queued, nil
	s.countReadyLocked()
	return f
}

// countReadyLocked tells the metrics and the limiter how many flights wait for a call.
func (s *session) countReadyLocked() {
	s.metrics.callWaiters.Set(float64(s.ready.Len()))
	s.limiter.ready.Store(int64(s.ready.Len()))
}

// bestProbeLocked finds the flight to probe with: one that has not been called yet or whose last call is the
// longest ago, since a few events that always fail must not hold the gate closed. Of those that have not been
// called it is the youngest: what is left of a partition's oldest events when a new owner takes it over is what
// has kept failing.
func (s *session) bestProbeLocked() int {
	best, suspect := 0, true
	for i, f := range s.ready.list {
		own := f.replays || s.gate.suspect(f.failing)
		if i == 0 || suspect && !own || suspect == own && betterProbe(f, s.ready.list[best]) {
			best, suspect = i, own
		}
	}
	return best
}

func betterProbe(a, b *flight) bool {
	switch {
	case !a.called.IsZero() || !b.called.IsZero():
		return a.called.Before(b.called)
	case !a.oldest.Equal(b.oldest):
		return a.oldest.After(b.oldest)
	}
	return a.queued[0].offset > b.queued[0].offset // published at once
}

// refund gives back the attempts that waiting events have used up on what has turned out to be an outage.
func (s *session) refund() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.flights {
		for _, ev := range f.queued {
			ev.refund()
		}
	}
}

// requeue ends a call: the events of left, and those that arrived meanwhile, get another one after
// delay; with none of either the flight is over.
func (s *session) requeue(f *flight, left []*event, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.queued = append(left, f.queued...)
	if len(f.queued) == 0 {
		delete(s.flights, f.conversation)
		return
	}
	if len(left) == 0 {
		f.backoff, f.failing = nil, time.Time{}
		delay = 0
	}
	f.oldest, f.replays = f.queued[0].at, onlyReplays(f.queued)
	for _, ev := range f.queued {
		if ev.at.Before(f.oldest) {
			f.oldest = ev.at
		}
	}
	if delay <= 0 {
		s.pushReadyLocked(f)
		return
	}
	f.due = time.Now().Add(delay)
	heap.Push(s.waiting, f)
	s.wake()
}

func (s *session) pushReadyLocked(f *flight) {
	f.ready = true
	heap.Push(s.ready, f)
	s.countReadyLocked()
	s.wake()
}

// wake makes awaitReady look again.
func (s *session) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// awaitReady returns when a flight is ready to be called.
func (s *session) awaitReady(ctx context.Context) error {
	for {
		ready, due := s.promote(time.Now())
		if ready {
			return ctx.Err()
		}
		if err := wait(ctx, due, s.woken); err != nil {
			return err
		}
	}
}

// promote makes flights ready whose wait is over. It says whether any is ready, and when the
// next one will be (zero: none waits).
func (s *session) promote(now time.Time) (ready bool, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waiting.Len() > 0 && !s.waiting.list[0].due.After(now) {
		f, _ := heap.Pop(s.waiting).(*flight)
		f.ready = true
		heap.Push(s.ready, f)
		s.countReadyLocked()
	}
	if s.waiting.Len() > 0 {
		due = s.waiting.list[0].due
	}
	return s.ready.Len() > 0, due
}

// flightHeap orders flights for container/heap.
type flightHeap struct {
	list []*flight
	less func(a, b *flight) bool
}

func oldestFirst(a, b *flight) bool { return a.oldest.Before(b.oldest) }
func dueFirst(a, b *flight) bool    { return a.due.Before(b.due) }

func (h *flightHeap) Len() int           { return len(h.list) }
func (h *flightHeap) Less(i, j int) bool { return h.less(h.list[i], h.list[j]) }

func (h *flightHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].index, h.list[j].index = i, j
}

func (h *flightHeap) Push(x any) {
	f, _ := x.(*flight)
	f.index = len(h.list)
	h.list = append(h.list, f)
}

func (h *flightHeap) Pop() any {
	last := len(h.list) - 1
	f := h.list[last]
	h.list[last] = nil
	h.list = h.list[:last]
	f.index = -1
	return f
}
