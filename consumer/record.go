package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/schema"
)

// This file is the path of a record, top to bottom: admitted, taken, joined with others of its
// conversation, called, settled and ended, with a dead letter on the way where it must be.

// record is what was read from Kafka, kept whole: a dead letter gives it back byte for byte.
type record struct {
	partition  *partition
	offset     int64
	time       time.Time
	key, value []byte
	headers    []schema.Header
	// omitted says what of it was not read, being beyond the bounds; nil for nothing.
	omitted *schema.Omitted
	// batch are the offsets that it stands for, where its value is a batch that can't be read; nil otherwise.
	batch *schema.Batch
}

// event is a record on its way to its end.
type event struct {
	record
	slot slot
	size int64
	// at is when the event happened, by which it queues and ages.
	at           time.Time
	conversation schema.Conversation
	clearRamble  bool
	// replay says that it was a dead letter before.
	replay bool

	// called says that it has been called. attempts are the failed calls that count; first is when the first of these began, or
	// the last call if none counts, last when the last call began; code and err are the last answer's.
	called      bool
	attempts    breaker.Attempts
	first, last time.Time
	code        int
	err         error
}

// errSpanFull says that a partition has to wait for its oldest event.
var errSpanFull = errors.New("too many records are open behind one that has not ended")

// placesAtOnce is how many places among the events in flight a partition takes at a time: in a full house
// each place that comes free would otherwise wake somebody for a single record.
const placesAtOnce = 64

// fullError says that a record of some bytes can't be admitted at once.
type fullError struct{ size int64 }

func (*fullError) Error() string { return "no room among the events in flight" }

// admit waits until the bounds on memory allow a record of size bytes. It returns errSpanFull without
// waiting where the partition's span does not: that may take long, and must not hold what others need. If it is not to
// wait it returns a *fullError instead.
func (s *session) admit(ctx context.Context, p *partition, size int64, waits bool) error {
	if n, _ := p.tracker.span(); n >= maxSpan {
		return errSpanFull
	}
	weight := s.weight(size)
	switch {
	case waits:
		if err := s.reserve(ctx, p, size); err != nil {
			return err
		}
	case p.places == 0 && !s.tryPlaces(p), p.credit < weight && !s.bytes.TryAcquire(weight-p.credit):
		return &fullError{size: size}
	default:
		p.credit = max(p.credit, weight)
	}
	p.places--
	p.credit -= weight
	s.metrics.inFlight.Inc()
	return nil
}

// reserve waits for what a record of size bytes takes among the events in flight, and keeps it for the partition.
func (s *session) reserve(ctx context.Context, p *partition, size int64) error {
	if p.places == 0 {
		if err := s.events.Acquire(ctx, s.placesAtOnce()); err != nil {
			return err
		}
		p.places = s.placesAtOnce()
	}
	if more := s.weight(size) - p.credit; more > 0 {
		if err := s.bytes.Acquire(ctx, more); err != nil {
			return err
		}
		p.credit += more
	}
	return nil
}

func (s *session) tryPlaces(p *partition) bool {
	if !s.events.TryAcquire(s.placesAtOnce()) {
		return false
	}
	p.places = s.placesAtOnce()
	return true
}

func (s *session) placesAtOnce() int64 { return max(1, min(placesAtOnce, int64(s.cfg.MaxInFlight)/8)) }

// returnSurplus gives back what a partition's fetching has taken among the events in flight and not filled.
func (s *session) returnSurplus(p *partition) {
	s.events.Release(p.places)
	s.bytes.Release(p.credit)
	p.places, p.credit = 0, 0
}

// unadmit takes an admission back.
func (s *session) unadmit(size int64) {
	s.bytes.Release(s.weight(size))
	s.events.Release(1)
	s.metrics.inFlight.Dec()
}

// weight lets a record beyond the whole budget in, alone.
func (s *session) weight(size int64) int64 { return min(size, s.cfg.MaxInFlightBytes) }

// take starts an admitted record on its way: what is no event, or too old to be one, goes to the
// dead letters uncalled.
func (s *session) take(rec record, size int64) {
	ev := &event{record: rec, slot: rec.partition.tracker.add(rec.offset), size: size, at: rec.time}
	s.moved()
	decoded, err := rec.decode()
	// A record without a time is as old as we have known it; and no event has happened after it was read.
	now := time.Now()
	if ev.at = schema.EventTime(decoded, rec.headers, rec.time); ev.at.IsZero() || ev.at.After(now) {
		ev.at = now
	}
	if err != nil {
		ev.err = err
		s.deadLetter(ev, OutcomeUndecodable)
		return
	}
	ev.conversation, ev.clearRamble = decoded.Conversation, decoded.ClearRamble
	_, ev.replay = schema.Origin(rec.headers)
	if s.expired(ev) {
		s.deadLetter(ev, OutcomeExpired)
		return
	}
	s.queue.join(ev)
}

// decode reads the event in a record.
func (r *record) decode() (schema.Event, error) {
	if r.omitted != nil {
		return schema.Event{}, fmt.Errorf("record is beyond the bounds: %s", r.omitted.Why)
	}
	return schema.Decode(r.value, r.headers)
}

// takeUnreadable starts an admitted record that stands for what can't be read on its way to the dead letters.
func (s *session) takeUnreadable(rec record, size int64, why error) {
	s.deadLetter(&event{record: rec, slot: rec.partition.tracker.add(rec.offset), size: size, at: time.Now(), err: why}, OutcomeUndecodable)
}

// expired says whether the event is too old to be executed, and makes that its error.
func (s *session) expired(ev *event) bool {
	if s.cfg.MaxEventAge == 0 {
		return false
	}
	age := time.Since(ev.at)
	if age <= s.cfg.MaxEventAge {
		return false
	}
	ev.err = fmt.Errorf("event is %s old, more than the %s allowed", age.Round(time.Second), s.cfg.MaxEventAge)
	return true
}

// dispatch makes the calls: one each time there is a conversation to delete, a free connection, a breaker that lets calls
// go, and quota, in that order, so that it is the oldest one at that moment that goes.
func (s *session) dispatch(ctx context.Context) {
	for s.queue.awaitReady(ctx) == nil && s.slots.Acquire(ctx, 1) == nil {
		p, permit := s.admitCall(ctx)
		if p == nil {
			s.slots.Release(1)
			continue
		}
		s.work.Add(1)
		s.goroutines.run(func() { s.callOn(ctx, p, permit) })
	}
}

// admitCall waits for breaker and quota and returns the conversation that goes, nil if none can any more.
func (s *session) admitCall(ctx context.Context) (*pending, *permit) {
	probe, err := s.breaker.await(ctx)
	if err != nil {
		return nil, nil
	}
	permit, err := s.limiter.wait(ctx)
	if err == nil && (probe || !s.breaker.isOpen()) {
		if p := s.next(probe); p != nil {
			return p, permit
		}
	}
	permit.unused()
	if probe {
		s.breaker.abandon()
	}
	return nil, nil
}

// next takes a conversation for a call; nil where there is none, or where its events end without one.
func (s *session) next(probe bool) *pending {
	p, over := s.queue.take(probe)
	s.endAll(over)
	return p
}

// callOn makes a call and, on the same goroutine, those that may follow at once: under load that
// spares the change of goroutines that each call would cost.
func (s *session) callOn(ctx context.Context, p *pending, granted *permit) {
	defer s.work.Done()
	defer s.slots.Release(1)
	for p != nil {
		s.call(p, granted)
		p, granted = s.another(ctx)
	}
}

// another returns the next conversation and its permit if there is one that may go now.
func (s *session) another(ctx context.Context) (*pending, *permit) {
	if ready, _ := s.queue.promote(time.Now()); !ready || ctx.Err() != nil || s.breaker.isOpen() {
		return nil, nil
	}
	permit, granted := s.limiter.try()
	if !granted {
		return nil, nil
	}
	p := s.next(false)
	if p == nil {
		permit.unused()
	}
	return p, permit
}

// call deletes one conversation on behalf of all the events that p holds.
func (s *session) call(p *pending, granted *permit) {
	call := Call{Conversation: p.conversation, Sent: granted.sent}
	repeated := false
	for _, ev := range p.calling {
		call.ClearRamble = call.ClearRamble || ev.clearRamble
		repeated = repeated || ev.called
	}
	if repeated {
		s.metrics.retries.Inc()
	}
	started := time.Now()
	answer := s.cfg.API.Delete(s.workCtx, call).withVerdict()
	// Whatever could not say when it was sent counts from its end: later than the truth, never earlier.
	granted.sent()
	s.moved()
	s.metrics.called(answer, time.Since(started))
	if s.workCtx.Err() != nil && answer.Verdict != Deleted && answer.Verdict != Permanent {
		if p.call.Probe {
			s.breaker.abandon()
		}
		return // cut off by a stop: it has not ended, and will be delivered again
	}
	switch answer.Verdict {
	case Deleted:
		s.metrics.coalesced.Add(float64(len(p.calling) - 1))
	case Throttled:
		s.limiter.throttled()
	case Permanent, Transient, Halt, Again:
	}
	s.endAll(s.queue.answered(p, answer))
}

// answered notes the answer to a call that began at started.
func (ev *event) answered(a Answer, started time.Time) {
	if ev.attempts.None() {
		ev.first = started
	}
	ev.called, ev.last, ev.code, ev.err = true, started, a.Code, a.Err
	if a.Verdict == Permanent {
		ev.attempts.Counted++
	}
}

// endAll ends events in the way that each has come to.
func (s *session) endAll(over []ended) {
	for _, e := range over {
		if e.outcome == OutcomeDeleted {
			s.end(e.event, e.outcome)
		} else {
			s.deadLetter(e.event, e.outcome)
		}
	}
}

// deadLetter sends an event to the dead letters; it ends when the broker has acknowledged the letter.
func (s *session) deadLetter(ev *event, o Outcome) {
	s.work.Add(1)
	if !s.letters.add(&letter{event: ev, outcome: o}) {
		s.work.Done() // too late: the session is over, the event will be delivered again
	}
}

// end is the end of an event: its offset may be committed.
func (s *session) end(ev *event, o Outcome) {
	s.moved()
	ev.partition.tracker.end(ev.slot)
	s.metrics.ended(o, time.Since(ev.at))
	s.unadmit(ev.size)
	s.committer.poke()
}
