package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"convdel/consumer/internal/breaker"
	"convdel/consumer/internal/offsets"
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
	seq offsets.Seq
	// size is how many bytes it holds of the capacity.
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

// admit waits until the bounds on memory allow a record of size bytes. Where the partition's span does not, it returns
// errSpanFull at once: to wait for that may take long, and must not hold what other partitions need. Where the capacity
// does not, and waits is false, it returns a [*noCapacityError].
func (s *session) admit(ctx context.Context, p *partition, size int64, waits bool) error {
	if full, _ := p.spanFull(); full {
		return errSpanFull
	}
	return s.capacity.admit(ctx, &p.reserved, size, waits)
}

// take starts an admitted record on its way: what is no event, or too old to be one, goes to the
// dead letters uncalled.
func (s *session) take(rec record, size int64) {
	ev := &event{record: rec, seq: rec.partition.add(rec.offset), size: size, at: rec.time}
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
	s.deadLetter(&event{record: rec, seq: rec.partition.add(rec.offset), size: size, at: time.Now(), err: why}, OutcomeUndecodable)
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
	answer := s.cfg.API.Delete(s.workCtx, call).withVerdict()
	// Whatever could not say when it was sent counts from its end: later than the truth, never earlier.
	granted.sent()
	s.moved()
	s.metrics.called(answer, time.Since(p.call.Began))
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

// deadLetter has an event end as a dead letter, once the broker has acknowledged that. When the session is over nothing is
// written any more: the event is delivered again.
func (s *session) deadLetter(ev *event, o Outcome) { s.deadLetters.add(ev, o) }

// end is the end of an event: its offset may be committed.
func (s *session) end(ev *event, o Outcome) {
	s.moved()
	ev.partition.ended(ev.seq)
	s.metrics.ended(o, time.Since(ev.at))
	s.capacity.release(ev.size)
	s.committer.poke()
}
