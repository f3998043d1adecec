package consumer

import (
	"context"
	"errors"
	"time"

	"convdel/consumer/internal/recordlog"
	"convdel/internal/meter"
	"convdel/schema"
)

// This file is the path of a record, top to bottom. It is delivered by a fetch, admitted, decoded, and joins other events of its
// conversation in the queue. The dispatcher chooses when that is called. The event ends with the answer, or with a dead letter
// that the broker has acknowledged; and, if outcomes are recorded, once the broker has acknowledged its outcome, too.

// pipeline takes records from the fetches to their ends.
type pipeline struct {
	maxEventAge time.Duration
	capacity    *capacity
	queue       *queue
	deadLetters *deadLetters
	outcomes    *outcomes
	committer   *committer
	stalls      *stallWatch
	metrics     *Metrics
	traces      *eventTraces
}

// errSpanFull says that a partition has to wait for its oldest event.
var errSpanFull = errors.New("too many records are open behind one that has not ended")

// deliver admits and accepts a record of p, on what r has reserved. Of transactional producers, it uses only what they have
// committed: a rolled-back delete must not be executed.
func (l *pipeline) deliver(ctx context.Context, p *partition, r *reservation, read *recordlog.Record, waits bool) error {
	fetched := l.traces.now()
	finished := p.read(read.Offset, read.Epoch)
	switch {
	case !read.Use:
		p.pass(read.Offset + 1)
		return nil
	case finished:
		p.ended(p.add(read.Offset, read.Time))
		l.committer.poke()
		return nil
	}
	if err := l.admit(ctx, p, r, read.Size, waits); err != nil {
		return err
	}
	l.accept(record{
		partition: p, offset: read.Offset, time: read.Time, key: read.Key, value: read.Value, headers: read.Headers, omitted: omittedOf(read.Omitted),
	}, read.Size, fetched)
	return nil
}

// advanced notes that a fetch has got ahead. The offsets may have ended without a call: rolled-back records, markers.
func (l *pipeline) advanced() {
	l.stalls.moved()
	l.committer.poke()
}

// admit waits until the bounds on memory allow a record of size bytes. If the partition's span has no room, it returns
// errSpanFull at once: that wait may be long, and must not hold memory that other partitions need. If the capacity has no room
// and waits is false, it returns a [*noCapacityError].
func (l *pipeline) admit(ctx context.Context, p *partition, r *reservation, size int64, waits bool) error {
	if full, _ := p.spanFull(); full {
		return errSpanFull
	}
	return l.capacity.admit(ctx, r, size, waits)
}

// accept decodes an admitted record, and its event joins the others of its conversation. A record that is no event, or a too old
// one, becomes a dead letter without a call. fetched is for its span alone.
func (l *pipeline) accept(rec record, size int64, fetched time.Time) {
	ev := &event{record: rec, size: size, trace: traceOf(rec.headers)}
	l.traces.begin(ev, fetched)
	l.stalls.moved()
	decoded, err := rec.decode()
	// No event has happened after it was read. A record without a time counts from then.
	now := time.Now()
	if ev.at = schema.EventTime(decoded, rec.headers, rec.time); ev.at.IsZero() || ev.at.After(now) {
		ev.at = now
	}
	ev.seq = rec.partition.add(rec.offset, ev.at)
	if origin, ok := schema.Origin(rec.headers); ok {
		ev.origin = &origin
	}
	if err != nil {
		ev.err = err
		l.deadLetters.add(ev, OutcomeUndecodable)
		return
	}
	ev.conversation, ev.clearRamble = decoded.Conversation, decoded.ClearRamble
	if l.outcomes.recorded() {
		ev.names = namesOf(decoded)
	}
	if ev.expired(l.maxEventAge) {
		l.deadLetters.add(ev, OutcomeExpired)
		return
	}
	l.endAll(l.queue.join(ev))
}

// acceptUnreadable makes a dead letter of an admitted record that stands for offsets that can't be read.
func (l *pipeline) acceptUnreadable(rec record, size int64, why error) {
	l.stalls.moved()
	now := time.Now()
	ev := &event{record: rec, seq: rec.partition.add(rec.offset, now), size: size, at: now, err: why}
	l.traces.begin(ev, now)
	l.deadLetters.add(ev, OutcomeUndecodable)
}

// call deletes one conversation on behalf of all events in p.calling. Its ctx outlives the intake.
func (d *dispatcher) call(ctx context.Context, p *pending, granted *permit) {
	call := Call{Conversation: p.conversation, Sent: granted.sent}
	repeated := false
	for _, ev := range p.calling {
		call.ClearRamble = call.ClearRamble || ev.clearRamble
		repeated = repeated || ev.calls > 0
		ev.calls++
		ev.shared = len(p.calling) > 1
	}
	trace := traceOfCall(p.calling)
	if repeated {
		meter.Inc(d.metrics.retries, trace)
	}
	callCtx, span := beginCall(ctx, p.calling)
	l := loopOf(ctx)
	l.rests()
	answer := d.api.Delete(callCtx, call).withVerdict()
	l.works()
	if span != nil {
		span.End(answer)
	}
	answer.Err = naming(answer.Err, call.From, call.To)
	// An API that can't tell when it has sent the request counts from its answer: later than the truth, never earlier.
	granted.sent()
	d.stalls.moved()
	d.metrics.called(answer, time.Since(p.call.Began), trace)
	if ctx.Err() != nil && answer.Verdict != Deleted && answer.Verdict != Permanent {
		if p.call.Probe {
			d.breaker.abandon()
		}
		return // a stop has cut it off: its events have not ended, and will be delivered again
	}
	switch answer.Verdict {
	case Deleted:
		d.metrics.coalesced.Add(float64(len(p.calling) - 1))
	case Throttled:
		d.slowDown(ctx, answer)
	case Permanent, Transient, Halt, Again:
	}
	d.pipeline.endAll(d.queue.answered(p, answer))
}

// endAll ends events in the way that each has come to. All but deleted ones become dead letters, and end once the broker has
// acknowledged those. When the session is over neither dead letters nor outcomes are written: the event is delivered again. The same is so where
// the partition has been given up before the call ended.
func (l *pipeline) endAll(over []ended) {
	for _, e := range over {
		switch {
		case e.cut():
			l.leave(e.event)
		case e.outcome == OutcomeDeleted:
			l.outcomes.add(e.event, e.outcome)
		default:
			l.deadLetters.add(e.event, e.outcome)
		}
	}
}

// end ends an event: its offset may be committed.
func (l *pipeline) end(ev *event, o Outcome) {
	l.stalls.moved()
	ev.partition.ended(ev.seq)
	l.metrics.ended(o, time.Since(ev.at), ev.trace)
	l.traces.end(ev, o)
	l.capacity.release(ev.size)
	l.committer.poke()
}

// leave forgets an event that is left to the next owner of its partition: its offset is not committed.
func (l *pipeline) leave(ev *event) {
	l.traces.left(ev)
	l.capacity.release(ev.size)
	ev.partition.left()
}
