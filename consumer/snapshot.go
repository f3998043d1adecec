package consumer

import (
	"cmp"
	"slices"
	"time"

	"convdel/schema"
)

// Snapshot is what a [Consumer] is doing, and how far it has come, at one moment.
type Snapshot struct {
	At     time.Time
	Status Status
	// Share is this replica's share of the quota, in calls a second, less what throttled answers have taken; 0 without partitions. Limit is
	// the quota of all replicas together; 0: no limit.
	Share, Limit float64
	Unfinished   Unfinished
	Partitions   []OwnedPartition
	// Oldest are the oldest unfinished events in memory, the oldest first.
	Oldest []UnfinishedEvent
	Counts Counts
}

// UnfinishedEvent is an event in memory that has not ended.
type UnfinishedEvent struct {
	Partition int
	Offset    int64
	// Time is the event's own.
	Time  time.Time
	State EventState
	// Attempts is how many failed calls count against it. Code and Err are of the last answer but throttled ones: 0 and nil if there was none.
	Attempts int
	Code     int
	Err      error
	// Due is when it goes on by itself; zero if it is ready, or if that depends on something else.
	Due time.Time
	// Conversation is zero if the record is no event, or if its end has begun.
	Conversation schema.Conversation
}

// EventState says what an unfinished event waits for.
type EventState string

// The states.
const (
	// StateReady: a call, which takes quota and that no other call for the conversation is under way.
	StateReady EventState = "ready"
	// StateWaiting: its next attempt.
	StateWaiting EventState = "waiting"
	// StateListing: its account's list of conversations.
	StateListing EventState = "listing"
	// StateCalling: the answer to its call.
	StateCalling EventState = "calling"
	// StateDeadLetter: the next write of its dead letter, after one that has failed.
	StateDeadLetter EventState = "dead_letter"
	// StateOutcome: the next write of its outcome.
	StateOutcome EventState = "outcome"
	// StateEnding: the acknowledgement of its dead letter or outcome, which is being written.
	StateEnding EventState = "ending"
)

// Counts are numbers since the start.
type Counts struct {
	// Ended are the events that have ended, by outcome.
	Ended map[Outcome]int64
	// Calls are the calls that were answered or have failed, Failed those of them that did not delete.
	Calls, Failed int64
	// Letters are the dead letters that the broker has acknowledged. Kinds without one are left out.
	Letters []LetterCount
}

// LetterCount is the number of dead letters of a class and code. The code is a text, since codes that are not known count as "other".
type LetterCount struct {
	Class   Outcome
	Code    string
	Letters int64
}

// Snapshot returns what the consumer is doing now, with as many of the oldest events. It looks at each event in memory, and asks nobody.
func (c *Consumer) Snapshot(oldest int) Snapshot {
	s := Snapshot{
		At: time.Now(), Status: c.Status(), Share: c.limiter.pace(), Limit: float64(c.cfg.CallsPerSecond), Unfinished: c.Unfinished(),
		Partitions: c.Owned(), Counts: c.cfg.Metrics.counts(),
	}
	if at := c.session.Load(); at != nil && oldest > 0 {
		s.Oldest = at.oldest(oldest)
	}
	return s
}

// place is where a record is in the topic.
type place struct {
	partition int
	offset    int64
}

func (r *record) place() place { return place{r.partition.id, r.offset} }

// lookup are the events that more is to be told of.
type lookup map[place]*UnfinishedEvent

// oldest returns the oldest events that have not ended.
func (s *session) oldest(n int) []UnfinishedEvent {
	var all []UnfinishedEvent
	for _, p := range s.owned.all() {
		all = append(all, p.oldest(n)...)
	}
	all = oldestOf(all, n)
	of := make(lookup, len(all))
	for i := range all {
		of[place{all[i].Partition, all[i].Offset}] = &all[i]
	}
	s.dispatcher.queue.describe(of)
	s.deadLetters.describe(of)
	s.outcomes.describe(of)
	return all
}

// oldest returns the oldest events of the partition. What they wait for is not known here.
func (p *partition) oldest(n int) []UnfinishedEvent {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []UnfinishedEvent
	p.tracker.Open(func(offset, at int64) {
		if len(all) == 2*n {
			all = oldestOf(all, n)
		}
		all = append(all, UnfinishedEvent{Partition: p.id, Offset: offset, Time: time.UnixMilli(at), State: StateEnding})
	})
	return oldestOf(all, n)
}

// oldestOf returns the n oldest events, the oldest first.
func oldestOf(all []UnfinishedEvent, n int) []UnfinishedEvent {
	slices.SortFunc(all, func(a, b UnfinishedEvent) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all[:min(n, len(all))]
}

// note tells of an event, if more is to be told of it.
func (of lookup) note(ev *event, state EventState, due time.Time) {
	u := of[ev.place()]
	if u == nil {
		return
	}
	u.State, u.Due, u.Conversation = state, due, ev.conversation
	u.Attempts, u.Code, u.Err = ev.attempts.Counted, ev.code, ev.err
}

// describe tells of events that wait for a call or for its answer.
func (q *queue) describe(of lookup) {
	if len(of) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range q.conversations {
		for _, ev := range p.calling {
			of.note(ev, StateCalling, time.Time{})
		}
		state, due := StateReady, time.Time{}
		if p.in == q.waiting {
			state, due = StateWaiting, p.due
		}
		for _, ev := range p.queued {
			of.note(ev, state, due)
		}
	}
	q.lists.all(func(events []*event) {
		for _, ev := range events {
			of.note(ev, StateListing, time.Time{})
		}
	})
}

// describe tells of events whose dead letters wait to be written.
func (d *deadLetters) describe(of lookup) {
	d.eachUnwritten(func(l *deadLetter) { of.note(l.event, StateDeadLetter, l.due) })
}

// describe tells of events whose outcomes wait to be written.
func (o *outcomes) describe(of lookup) {
	o.eachUnwritten(func(out *outcome) { of.note(out.event, StateOutcome, out.due) })
}
