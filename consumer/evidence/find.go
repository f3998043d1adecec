package evidence

import "context"

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
