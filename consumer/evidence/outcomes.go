package evidence

import (
	"context"
	"slices"
	"time"

	"convdel/consumer/outcome"
	"convdel/schema"
)

// clockSkew is how far the clocks of publishers, brokers and services may lie apart, for where reading begins.
const clockSkew = time.Hour

// formerAge is by how much an outcome must be older than its record to be one of a former topic of the same name.
const formerAge = 24 * time.Hour

// Why an outcome or a dead letter does not count.
const (
	disputeOutcome = "an outcome of another event bears its record's ID and does not count"
	disputeFormer  = "an outcome that is older than the record does not count: it is of a former topic of this name"
	disputeLetter  = "a dead letter of another event bears its record's ID and does not count"
)

// readOutcomes reads what has been recorded since the last round. Once events have joined, it reads all again, since theirs may have been
// passed over.
func (in *inquiry) readOutcomes(ctx context.Context) error {
	if in.outcomes == nil {
		return nil
	}
	if in.reading == nil || in.readFor != len(in.byID) {
		in.beginOutcomes()
	}
	if in.Progress != nil {
		ahead, err := in.reading.Ahead(ctx)
		if err != nil {
			return err
		}
		in.ahead += ahead
	}
	var unknown []*Event
	err := in.reading.Next(ctx, func(o outcome.Found) error {
		if e := in.takeOutcome(o.Outcome); e != nil {
			unknown = append(unknown, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	totals := in.reading.Totals()
	in.totals.Foreign, in.totals.Named, in.totals.UnreadOutcomes = totals.Foreign, totals.Named, totals.Unread
	if err := in.adopt(ctx, unknown); err != nil {
		return err
	}
	in.readFor = len(in.byID)
	in.totals.OtherGroups = 0
	// An open transaction ends some time. A missing outcome may lie behind it.
	hidden := totals.Unread != nil && slices.ContainsFunc(totals.Unread.Gaps, func(g outcome.Gap) bool { return g.Err == nil })
	for _, e := range in.byID {
		in.weighOutcomes(e)
		e.outcomesHidden = hidden
	}
	return nil
}

// beginOutcomes begins a reading of the outcomes of the events that are known, or of all.
func (in *inquiry) beginOutcomes() {
	f := outcome.Filter{}
	if len(in.query.Records) > 0 {
		f.Records, f.EveryPartition = in.ids(), in.everywhere
		if !in.outcomesSince.IsZero() {
			f.Since = in.outcomesSince.Add(-clockSkew)
		}
	} else if !in.query.Since.IsZero() {
		f.Since = in.query.Since.Add(-clockSkew)
	}
	in.reading = in.outcomes.Reading(f)
	in.reading.Progress = in.advance
	in.ends, in.readFor = make(map[string][]schema.Outcome), len(in.byID)
}

// widen looks for outcomes in all partitions, once, if one is missing in that of its key although the event has ended, or if nothing but an
// outcome can tell the replay of an event. It returns true if the outcomes have to be read again.
func (in *inquiry) widen() bool {
	if in.everywhere || in.reading == nil || len(in.query.Records) == 0 {
		return false
	}
	for _, e := range in.byID {
		if e.letters && len(e.Outcomes) == 0 || e.searched && len(e.Replays) == 0 {
			in.everywhere, in.reading = true, nil
			return true
		}
	}
	return false
}

// takeOutcome keeps an outcome of a known event, or of one that the query selects. It returns the event if it was not known.
func (in *inquiry) takeOutcome(o schema.Outcome) *Event {
	id := o.Record()
	if o.Topic != in.cfg.Topic || in.dropped[id] {
		return nil
	}
	known, copied := in.byID[id], in.byID[o.ReplayOf]
	if known == nil && copied == nil {
		switch in.query.matchesOutcome(&o) {
		case unmatched:
			return nil
		case unjudged:
			if o.Partition < len(in.spans) && o.Offset < in.spans[o.Partition].First {
				in.totals.Unjudged++ // nothing but the outcome is left of its event
			}
			return nil
		case matched:
		}
	}
	in.ends[id] = append(in.ends[id], o)
	if o.ReplayOf != "" {
		in.copied(o.ReplayOf, id)
	}
	if known != nil || copied != nil {
		return nil
	}
	return in.add(o.Partition, o.Offset)
}

// weighOutcomes gives an event the outcomes that count for it.
func (in *inquiry) weighOutcomes(e *Event) {
	e.Outcomes = e.Outcomes[:0]
	for _, o := range in.ends[e.ID] {
		switch {
		case o.Group != in.cfg.Group:
			in.totals.OtherGroups++
			continue
		case e.contradicts(&o):
			in.disputed(e, disputeOutcome)
			continue
		case !e.Published.IsZero() && o.Ended.Before(e.Published.Add(-formerAge)):
			in.disputed(e, disputeFormer)
			continue
		}
		if e.Outcomes = append(e.Outcomes, o); e.Event == nil && e.Source != Present && o.Event != nil {
			event := *o.Event
			event.ID, event.Source, event.ErasureID = o.EventID, o.EventSource, o.ErasureID
			e.Event = &event
		}
	}
	slices.SortStableFunc(e.Outcomes, func(a, b schema.Outcome) int { return a.Ended.Compare(b.Ended) })
	e.Outcomes = latest(e.Outcomes)
}

// latest leaves the last outcome of each kind: one that was written twice is the same one.
func latest(outcomes []schema.Outcome) []schema.Outcome {
	kept := outcomes[:0]
	for i, o := range outcomes {
		if !slices.ContainsFunc(outcomes[i+1:], func(later schema.Outcome) bool { return later.Kind == o.Kind }) {
			kept = append(kept, o)
		}
	}
	return kept
}

// disputed notes evidence that does not count, and counts it once.
func (in *inquiry) disputed(e *Event, why string) {
	if !slices.Contains(e.disputes, why) {
		in.totals.Disputed++
		e.dispute(why)
	}
}

// contradicts says whether an outcome is another event's. Where the record is not there, what is known of it counts.
func (e *Event) contradicts(o *schema.Outcome) bool {
	switch {
	case e.Source == Present && e.Event == nil:
		return o.Event != nil // the record is no event
	case e.Event == nil && e.asked != nil:
		return o.Event != nil && e.asked.Conversation != nil && *e.asked.Conversation != o.Event.Conversation || e.asked.EventID != "" && o.EventID != e.asked.EventID
	case e.Event == nil:
		return false
	}
	return o.Event != nil && o.Event.Conversation != e.Event.Conversation || o.EventID != e.Event.ID
}
