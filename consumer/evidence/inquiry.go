package evidence

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"convdel/consumer"
	"convdel/consumer/internal/pass"
	"convdel/consumer/outcome"
	"convdel/schema"
)

// Totals are the numbers of an inquiry.
type Totals struct {
	// Records is the number of records of the topic of events that were read in passes.
	Records int
	// OnlyPartition is the one partition of the topic of events that was read; nil if all were, or records were picked out.
	OnlyPartition *int
	// Mentioned counts events that are none, and whose record holds what was looked for. Unjudged counts records that are no events
	// and may hold it: parts are missing or can't be read.
	Mentioned, Unjudged int
	// OtherGroups counts outcomes of these events that services of other groups have written. They do not count.
	OtherGroups int
	// Foreign counts records of the outcome topic that are no outcomes. Named are the first hundred of them.
	Foreign int
	Named   []outcome.Foreign
	// Disputed counts outcomes and dead letters that do not count, since their record asks for something else.
	Disputed int
	// Unread says which parts of the topic of events could not be read, UnreadOutcomes and UnreadLetters the same of the others.
	Unread, UnreadOutcomes, UnreadLetters *pass.Unread
}

// inquiry gathers the evidence about some events.
type inquiry struct {
	*Reader

	query   Query
	spans   []pass.Span
	byID    map[string]*Event
	commits []consumer.PartitionProgress
	// reading goes through the outcomes; nil if there are none. ends are those that it has found, by record. copies are the records
	// whose outcomes say that they replay a record, by that record's ID. readFor is the number of events that it was begun for.
	reading *outcome.Reading
	ends    map[string][]schema.Outcome
	copies  map[string]map[string]bool
	readFor int
	// outcomesSince is when the first outcome of known records may have been written; zero if unknown.
	outcomesSince time.Time
	// everywhere says that outcomes of known records are looked for in all partitions. dropped are records that are none of these events,
	// although an outcome, a dead letter or their headers say so.
	everywhere bool
	dropped    map[string]bool
	// begun says that the records of the receipts have been picked.
	begun  bool
	totals Totals
	// passed and ahead count offsets, for the progress.
	passed, ahead int64
}

func (r *Reader) inquire(q Query) *inquiry {
	in := &inquiry{
		Reader: r, query: q, byID: make(map[string]*Event), copies: make(map[string]map[string]bool), dropped: make(map[string]bool),
	}
	for _, id := range q.Records {
		if _, partition, offset, err := schema.ParseID(id); err == nil {
			in.add(partition, offset)
		}
	}
	return in
}

// add returns the event of a record, a new one unless it is known.
func (in *inquiry) add(partition int, offset int64) *Event {
	id := in.idOf(partition, offset)
	e := in.byID[id]
	if e == nil {
		e = &Event{ID: id, Partition: partition, Offset: offset}
		in.byID[id] = e
	}
	return e
}

// list returns all events, replays too, by partition and offset.
func (in *inquiry) list() []*Event {
	all := make([]*Event, 0, len(in.byID))
	for _, e := range in.byID {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *Event) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return all
}

func (in *inquiry) advance(offsets int64) {
	if in.passed += offsets; in.Progress != nil && offsets > 0 {
		in.Progress(in.passed, max(in.passed, in.ahead))
	}
}

// round gathers what there is to know now, and rules on all events. The order counts: an event's outcome and its dead letter are there
// before its offset has ended. Dead letters are read only if letters is set.
func (in *inquiry) round(ctx context.Context, letters bool) error {
	if err := in.readCommits(ctx); err != nil {
		return err
	}
	for {
		known := len(in.byID)
		if err := in.readOutcomes(ctx); err != nil {
			return err
		}
		if letters {
			if err := in.readLetters(ctx); err != nil {
				return err
			}
		}
		if err := in.findReplays(ctx); err != nil {
			return err
		}
		if len(in.byID) == known && !in.widen() {
			break
		}
	}
	in.rule()
	return nil
}

// copied notes that an outcome or a dead letter says that a record replays another one. Anybody can have a million of these written.
func (in *inquiry) copied(origin, id string) {
	if in.copies[origin] == nil {
		in.copies[origin] = make(map[string]bool)
	}
	in.copies[origin][id] = true
}

// drop forgets an event that is none of those that are looked for.
func (in *inquiry) drop(id string) {
	in.dropped[id] = true
	delete(in.byID, id)
	delete(in.ends, id)
}

const (
	// groupAttempts bounds how often the group's coordinator is asked, since it refuses for a moment while it moves.
	groupAttempts = 10
	groupPause    = 300 * time.Millisecond
)

// readCommits asks how far the group has come.
func (in *inquiry) readCommits(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		var err error
		if in.commits, err = in.group.Read(ctx); err == nil {
			break
		}
		if attempt == groupAttempts || hopeless(err) {
			return err
		}
		if err := wait(ctx, groupPause); err != nil {
			return err
		}
	}
	for _, e := range in.list() {
		if err := in.setCommit(e); err != nil {
			return err
		}
	}
	return nil
}

func (in *inquiry) setCommit(e *Event) error {
	e.Commit = CommitNone
	if e.Partition >= len(in.commits) {
		return nil
	}
	p := in.commits[e.Partition]
	if p.DeadLetterTopic != "" && p.DeadLetterTopic != in.cfg.DeadLetterTopic {
		return &LettersElsewhereError{
			Group: in.cfg.Group, Read: in.cfg.DeadLetterTopic, Written: p.DeadLetterTopic, Partition: e.Partition,
		}
	}
	switch {
	case p.Watermark < 0:
	case !p.Ended(e.Offset):
		e.Commit = CommitOpen
	case p.ByService:
		e.Commit = CommitEnded
	default:
		e.Commit = CommitByOther
	}
	return nil
}

// rule weighs the evidence of all events, of replays before the events that they replay.
func (in *inquiry) rule() {
	var weigh func(e *Event)
	weigh = func(e *Event) {
		for _, again := range e.Replays {
			weigh(again)
		}
		e.Notes = slices.Clone(e.disputes)
		e.Ruling = e.rule()
	}
	for _, e := range in.byID {
		if e.parent == nil {
			weigh(e)
		}
	}
}

// adopt takes up events of which an outcome or a dead letter tells, and which were not known. An event whose record asks for something
// else is dropped again.
func (in *inquiry) adopt(ctx context.Context, events []*Event) error {
	if len(events) == 0 {
		return nil
	}
	if err := (&source{in: in}).pick(ctx, events); err != nil {
		return err
	}
	for _, e := range events {
		if err := in.setCommit(e); err != nil {
			return err
		}
		q := &in.query
		switch {
		case e.Source != Present:
		case e.Event != nil && !q.matches(e.Event):
			in.totals.Disputed++
			in.drop(e.ID)
		case !q.Since.IsZero() && e.Published.Before(q.Since):
			in.drop(e.ID)
		}
	}
	return nil
}

// ids returns the IDs of all events.
func (in *inquiry) ids() []string { return slices.Sorted(maps.Keys(in.byID)) }

// top returns the events that are no replays of others, in the order of the query's records, or else by time.
func (in *inquiry) top() []*Event {
	var all []*Event
	seen := make(map[*Event]bool)
	for _, id := range in.query.Records {
		if e := in.byID[id]; e != nil && e.parent == nil && !seen[e] {
			seen[e] = true
			all = append(all, e)
		}
	}
	if len(in.query.Records) > 0 {
		return all
	}
	for _, e := range in.list() {
		if e.parent == nil {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *Event) int { return a.Published.Compare(b.Published) })
	return all
}
