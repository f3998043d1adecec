package evidence

import (
	"context"
	"slices"
	"time"

	"convdel/consumer/deadletter"
)

// Find returns the events that a query selects, with all evidence that there is now: those of the query's records in their order, or else
// by the time of their records. The record of a replay is part of the event that it replays, if that is known.
func (r *Reader) Find(ctx context.Context, q Query) ([]*Event, Totals, error) {
	in := r.inquire(q)
	s := &source{in: in}
	if err := s.spans(ctx); err != nil {
		return nil, in.totals, err
	}
	if err := s.look(ctx); err != nil {
		return nil, in.totals, err
	}
	err := in.round(ctx, true)
	return in.top(), in.totals, err
}

// hiddenPause is the time between two looks at what lies behind an open transaction.
const hiddenPause = 2 * time.Second

// FindAll finds the events that the topic has at the start, as [Reader.Find] does. While a part of these lies behind an open transaction, it looks again until the
// deadline. Where publishers use transactions, one is always open; those that have begun later don't count. looking, unless nil, is called before
// each look, and the function that it returns after that.
func (r *Reader) FindAll(ctx context.Context, q Query, deadline time.Time, looking func() (end func())) ([]*Event, Totals, error) {
	if looking == nil {
		looking = func() func() { return func() {} }
	}
	var behind map[int]int64 // the last offset that lay behind a transaction at the start, by partition
	for {
		end := looking()
		events, totals, err := r.Find(ctx, q)
		end()
		behind = forgetLater(totals.Unread, behind)
		hidden, _ := totals.Unread.Kinds()
		left := time.Until(deadline)
		if err != nil || !hidden || left <= 0 {
			return events, totals, err
		}
		if err := wait(ctx, min(hiddenPause, left)); err != nil {
			return nil, totals, err
		}
	}
}

// forgetLater removes what lies behind transactions that have begun after the first look, and returns what lay behind one then.
func forgetLater(u *deadletter.Unread, first map[int]int64) map[int]int64 {
	begun := first != nil
	if !begun {
		first = map[int]int64{}
	}
	if u == nil {
		return first
	}
	u.Gaps = slices.DeleteFunc(u.Gaps, func(g deadletter.Gap) bool {
		if g.Err == nil && !begun {
			first[g.Partition] = g.Last
		}
		last, known := first[g.Partition]
		return g.Err == nil && (!known || g.First > last)
	})
	return first
}
