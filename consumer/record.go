package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	// replay says that it was a dead letter before: if it fails again, that says nothing of the API.
	replay bool

	// attempts counts the calls used up, doubted the last ones of them that may have failed in an
	// outage; the times are the calls', code and err the last one's.
	attempts    int
	doubted     int
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
	s.join(ev)
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

// dispatch makes the calls: one each time there is a conversation to delete, a free connection, an open
// gate and quota, in that order, so that it is the oldest one at that moment that goes.
func (s *session) dispatch(ctx context.Context) {
	for s.awaitReady(ctx) == nil && s.slots.Acquire(ctx, 1) == nil {
		f, permit := s.admitCall(ctx)
		if f == nil {
			s.slots.Release(1)
			continue
		}
		s.work.Add(1)
		s.callers.run(func() { s.callOn(ctx, f, permit) })
	}
}

// admitCall waits for gate and quota and returns the flight that goes, nil if none can any more.
func (s *session) admitCall(ctx context.Context) (*flight, *permit) {
	probe, err := s.gate.await(ctx)
	if err != nil {
		return nil, nil
	}
	if probe && s.onlySuspects() {
		s.gate.giveUp()
		probe = false
	}
	permit, err := s.limiter.wait(ctx)
	if err == nil && (probe || s.gate.open()) {
		if f := s.next(probe); f != nil {
			return f, permit
		}
	}
	permit.unused()
	if probe {
		s.gate.abandoned()
	}
	return nil, nil
}

// callOn makes a call and, on the same goroutine, those that may follow at once: under load that
// spares the change of goroutines that each call would cost.
func (s *session) callOn(ctx context.Context, f *flight, p *permit) {
	defer s.work.Done()
	defer s.slots.Release(1)
	for f != nil {
		s.call(f, p)
		f, p = s.another(ctx)
	}
}

// another returns the next flight and its permit if there is one that may go now.
func (s *session) another(ctx context.Context) (*flight, *permit) {
	if ready, _ := s.promote(time.Now()); !ready || ctx.Err() != nil || !s.gate.open() {
		return nil, nil
	}
	p, granted := s.limiter.try()
	if !granted {
		return nil, nil
	}
	f := s.next(false)
	if f == nil {
		p.unused()
	}
	return f, p
}

// call deletes one conversation on behalf of all the events that f holds.
func (s *session) call(f *flight, p *permit) {
	call := Call{Conversation: f.conversation, Sent: p.sent}
	repeated := false
	for _, ev := range f.calling {
		call.ClearRamble = call.ClearRamble || ev.clearRamble
		repeated = repeated || ev.attempts > 0
	}
	if repeated {
		s.metrics.retries.Inc()
	}
	started := time.Now()
	answer := s.cfg.API.Delete(s.workCtx, call)
	// Whatever could not say when it was sent counts from its end: later than the truth, never earlier.
	p.sent()
	took := time.Since(started)
	s.moved()
	s.metrics.called(answer, took)
	if s.workCtx.Err() != nil && answer.Verdict != Deleted && answer.Verdict != Permanent {
		if f.probe {
			s.gate.abandoned()
		}
		return // cut off by a stop: it has not ended, and will be delivered again
	}
	s.settle(f, answer, started)
}

var errNoVerdict = errors.New("the API's answer carries no verdict")

// settle does with each event of a call what the answer says, and puts back those that go on.
func (s *session) settle(f *flight, a Answer, started time.Time) {
	calling := f.calling
	f.calling = nil
	if !s.gate.answered(f.conversation, a, started, f.probe, onlyReplays(calling), f.failing) {
		s.requeue(f, calling, 0) // it waits for the gate, and nothing has been used up
		s.refund()
		return
	}
	switch a.Verdict {
	case Deleted:
		s.metrics.coalesced.Add(float64(len(calling) - 1))
		s.requeue(f, nil, 0)
		for _, ev := range calling {
			s.end(ev, OutcomeDeleted)
		}
	case Permanent:
		s.requeue(f, nil, 0)
		for _, ev := range calling {
			ev.attempted(a, started)
			s.deadLetter(ev, OutcomePermanent)
		}
	case Throttled:
		s.limiter.throttled()
		s.requeue(f, calling, f.nextDelay(s.cfg))
	case Again:
		s.requeue(f, calling, 0)
	case Transient, Halt:
		s.retry(f, calling, a, started)
	default:
		s.retry(f, calling, Answer{Verdict: Transient, Err: errNoVerdict}, started)
	}
}

// retry uses up an attempt of each event. Those that have none left are dead letters; the others
// wait without a connection and without quota.
func (s *session) retry(f *flight, calling []*event, a Answer, started time.Time) {
	s.failed(f, started)
	var left, spent []*event
	for _, ev := range calling {
		ev.attempted(a, started)
		if ev.attempts < s.cfg.MaxAttempts {
			left = append(left, ev)
		} else {
			spent = append(spent, ev)
		}
	}
	if len(spent) > 0 && !s.gate.blames(f.failing, f.called, f.proven, a) {
		left, spent = calling, nil
		for _, ev := range left {
			ev.refund()
		}
		s.refund()
	}
	s.requeue(f, left, f.nextDelay(s.cfg))
	for _, ev := range spent {
		s.deadLetter(ev, OutcomeExhausted)
	}
}

// attempted notes a call that has used up an attempt.
func (ev *event) attempted(a Answer, started time.Time) {
	ev.attempts++
	if ev.first.IsZero() {
		ev.first = started
	}
	ev.last, ev.code, ev.err = started, a.Code, a.Err
	if a.Outage {
		ev.doubted++
	} else {
		ev.doubted = 0
	}
}

// refund takes back the attempts that may have failed through no fault of the event.
func (ev *event) refund() {
	ev.attempts -= ev.doubted
	ev.doubted = 0
	if ev.attempts == 0 {
		ev.first = time.Time{}
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
