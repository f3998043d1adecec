package evidence

import (
	"context"
	"crypto/sha256"
	"time"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// findReplays looks for the records that replay an event, and gives them to it. A replay publishes its record before it settles the dead
// letter, so the record of a replay that is known is there, unless it has been removed.
func (in *inquiry) findReplays(ctx context.Context) error {
	candidates := make(map[string]*Event)
	if err := in.searchReplays(ctx, candidates); err != nil {
		return err
	}
	if err := in.pickCopies(ctx, candidates); err != nil {
		return err
	}
	for _, e := range in.list() {
		if parent := in.parentOf(e); parent != nil && e.parent == nil {
			if e.replays(parent) {
				e.parent = parent
				parent.Replays = append(parent.Replays, e)
			}
		}
	}
	for id, e := range candidates {
		if e.parent != nil {
			if err := in.setCommit(e); err != nil {
				return err
			}
			continue
		}
		in.drop(id)
	}
	return nil
}

// searchReplays reads the topic of events for the replays of events whose dead letters were settled, once for each.
func (in *inquiry) searchReplays(ctx context.Context, candidates map[string]*Event) error {
	wanted, since, whole := make(map[string]bool), time.Time{}, false
	for _, e := range in.byID {
		if e.searched || !e.wasReplayed() {
			continue
		}
		e.searched, wanted[e.ID] = true, true
		at := e.earliest()
		whole = whole || at.IsZero()
		if since.IsZero() || at.Before(since) {
			since = at
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if since = since.Add(-clockSkew); whole {
		since = time.Time{}
	}
	s := &source{in: in}
	if err := s.spans(ctx); err != nil {
		return err
	}
	return s.scan(ctx, in.events.All(), since, func(p int, rec *recordlog.Record) {
		origin, ok := schema.Origin(rec.Headers)
		id := in.idOf(p, rec.Offset)
		if !ok || !wanted[origin.ID()] || in.byID[id] != nil || in.dropped[id] {
			return
		}
		e := in.add(p, rec.Offset)
		e.read(rec)
		candidates[id] = e
	})
}

// earliest returns the earliest time at which anything is known of the event; zero if none is.
func (e *Event) earliest() time.Time {
	at := e.Published
	before := func(t time.Time) {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	for _, o := range e.Outcomes {
		before(o.Ended)
	}
	if e.Settled != nil {
		before(e.Settled.At)
	}
	return at
}

// pickCopies reads the records that outcomes and dead letters name as replays of known events.
func (in *inquiry) pickCopies(ctx context.Context, candidates map[string]*Event) error {
	var unknown []*Event
	for id := range in.byID {
		for copied := range in.copies[id] {
			topic, partition, offset, err := schema.ParseID(copied)
			if err != nil || topic != in.cfg.Topic || in.byID[copied] != nil || in.dropped[copied] {
				continue
			}
			e := in.add(partition, offset)
			e.origin = id
			candidates[copied] = e
			unknown = append(unknown, e)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := (&source{in: in}).pick(ctx, unknown); err != nil {
		return err
	}
	for _, e := range unknown {
		in.weighOutcomes(e) // where the record is gone, they say what it asked for
	}
	return nil
}

// parentOf returns the event that a record claims to replay, nil if that is not known.
func (in *inquiry) parentOf(e *Event) *Event {
	if e.origin == "" || e.origin == e.ID {
		return nil
	}
	return in.byID[e.origin]
}

// replays says whether a record is a replay of another: it is the same record, or asks for the same. A record that somebody has forged with
// this in mind asks for the same delete.
func (e *Event) replays(old *Event) bool {
	for up := old; up != nil; up = up.parent {
		if up == e {
			return false
		}
	}
	if e.Partition == old.Partition && e.Offset <= old.Offset {
		return false
	}
	if e.digest != [sha256.Size]byte{} && e.digest == old.digest {
		return true
	}
	if e.Event == nil || old.Event == nil {
		return false
	}
	a, b := *e.Event, *old.Event
	a.Time, b.Time = time.Time{}, time.Time{}
	return a == b
}
