package evidence

import (
	"context"
	"crypto/sha256"
	"slices"

	"convdel/consumer/deadletter"
	"convdel/consumer/mention"
	"convdel/schema"
)

// readLetters reads the open dead letters and the settled ones.
func (in *inquiry) readLetters(ctx context.Context) error {
	for _, e := range in.byID {
		e.Letter, e.Settled, e.letterDigest, e.replaced = nil, nil, [sha256.Size]byte{}, false
	}
	var unknown []*Event
	join := func(e *Event) {
		if e != nil {
			unknown = append(unknown, e)
		}
	}
	totals, err := in.letters.Each(ctx, deadletter.Filter{}, func(l *deadletter.Letter) error {
		join(in.takeLetter(l))
		return nil
	})
	if err != nil {
		return err
	}
	settled := deadletter.Filter{}
	if len(in.query.Records) > 0 {
		settled.IDs = in.ids()
	}
	_, err = in.letters.EachSettled(ctx, settled, func(s deadletter.Settled) error {
		join(in.takeSettled(s))
		return nil
	})
	if err != nil {
		return err
	}
	in.totals.UnreadLetters = totals.Unread
	if err := in.adopt(ctx, unknown); err != nil {
		return err
	}
	for _, e := range in.byID {
		in.weighLetter(e, totals.Unread)
	}
	return nil
}

// takeLetter gives an open dead letter to its event, and to the events that it stands for: those of its batch, and those whose dead letters
// it replaces. It returns the event if that was not known and the query selects it.
func (in *inquiry) takeLetter(l *deadletter.Letter) *Event {
	if l.Topic != in.cfg.Topic || in.dropped[l.ID()] {
		return nil
	}
	for _, id := range append(l.Replaces(), l.ReplayOf) {
		old := in.byID[id]
		if old == nil {
			continue
		}
		old.replaced = old.replaced || slices.Contains(l.Replaces(), id)
		in.copied(id, l.ID())
	}
	if l.Batch != nil {
		for _, e := range in.byID {
			if e.Partition == l.Partition && l.Batch.First <= e.Offset && e.Offset <= l.Batch.Last {
				letter := l.DeadLetter
				e.Letter = &letter
			}
		}
		return nil
	}
	e := in.byID[l.ID()]
	known := e != nil
	where := mention.Nowhere
	if !known {
		var selected bool
		if where, selected = in.query.selectsLetter(l); !selected {
			return nil
		}
		e = in.add(l.Partition, l.Offset)
	}
	letter := l.DeadLetter
	e.Letter = &letter
	e.learn(l, where)
	if known {
		return nil
	}
	return e
}

// takeSettled gives the settlement of a dead letter to its event, likewise.
func (in *inquiry) takeSettled(s deadletter.Settled) *Event {
	topic, partition, offset, err := schema.ParseID(s.ID)
	if err != nil || topic != in.cfg.Topic || in.dropped[s.ID] {
		return nil
	}
	e := in.byID[s.ID]
	known := e != nil
	where := mention.Nowhere
	if !known {
		var selected bool
		if s.Letter == nil {
			return nil
		}
		if where, selected = in.query.selectsLetter(s.Letter); !selected {
			return nil
		}
		e = in.add(partition, offset)
	}
	settlement := s.Settlement
	e.Settled = &settlement
	if s.Letter != nil {
		e.learn(s.Letter, where)
	}
	if known {
		return nil
	}
	return e
}

// learn takes from a dead letter what its record would say, if that is not there.
func (e *Event) learn(l *deadletter.Letter, where mention.Where) {
	if l.Omitted == nil {
		e.letterDigest = digestOf(l.Key, l.Value, l.Headers)
	}
	if e.Source == Present {
		return
	}
	if event, err := l.Event(); err == nil {
		e.Event = &event
	} else if where != mention.Nowhere {
		e.Mention = where
	}
	if e.Published.IsZero() {
		e.Published = l.Timestamp
	}
	e.digest = e.letterDigest
}

// selectsLetter judges a dead letter by the record that it keeps.
func (q *Query) selectsLetter(l *deadletter.Letter) (mention.Where, bool) {
	if len(q.Records) > 0 {
		return mention.Nowhere, false // the records are known
	}
	if event, err := l.Event(); err == nil {
		return mention.Nowhere, q.matches(&event)
	}
	found, where := q.search(schema.Record{Key: l.Key, Value: l.Value, Headers: schema.SourceHeaders(l.Headers)})
	return where, found == matched
}

// weighLetter takes a dead letter away from an event whose record asks for something else, and notes that the dead letters were read.
func (in *inquiry) weighLetter(e *Event, unread *deadletter.Unread) {
	another := e.Source == Present && e.letterDigest != [sha256.Size]byte{} && e.letterDigest != e.digest
	if another {
		in.disputed(e, disputeLetter)
		e.Letter, e.Settled = nil, nil
	}
	e.unread = unread != nil
	if unread != nil && slices.ContainsFunc(unread.Gaps, func(g deadletter.Gap) bool { return g.Err == nil }) {
		return // an open transaction ends some time
	}
	e.letters = e.letters || e.committed() || e.Source == Absent || e.Source == Beyond
}
