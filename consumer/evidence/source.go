package evidence

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// source reads the topic of events for an inquiry.
type source struct {
	in *inquiry
	mu sync.Mutex
}

// spans asks for the extent of all partitions.
func (s *source) spans(ctx context.Context) error {
	s.in.spans = make([]pass.Span, s.in.events.Partitions)
	return pass.EachPartition(ctx, s.in.events.All(), func(ctx context.Context, p int) (err error) {
		s.in.spans[p], err = s.in.events.Span(ctx, p)
		return err
	})
}

// scan reads the records of some partitions since a time, up to the extents that are known, and calls do with each, one at a time.
func (s *source) scan(ctx context.Context, partitions []int, since time.Time, do func(p int, rec *recordlog.Record)) error {
	parts := make([]pass.Part, s.in.events.Partitions)
	err := pass.EachPartition(ctx, partitions, func(ctx context.Context, p int) error {
		from, err := s.in.events.OffsetAt(ctx, p, since)
		parts[p] = pass.Part{Partition: p, From: from, To: s.in.spans[p].Stable, MaxBytes: scanBytes}
		return err
	})
	if err != nil {
		return err
	}
	for _, part := range parts {
		s.in.ahead += max(0, part.To-part.From)
	}
	return pass.EachPartition(ctx, partitions, func(ctx context.Context, p int) error {
		passed := parts[p].From
		_, err := s.in.events.Each(ctx, parts[p], func(rec *recordlog.Record) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.in.advance(rec.Offset - passed)
			passed = rec.Offset
			do(p, rec)
			return nil
		}, s.unread)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.in.advance(max(0, parts[p].To-passed))
		return err
	})
}

func (s *source) unread(g pass.Gap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in.events.Note(&s.in.totals.Unread, g, func(g pass.Gap) { s.in.notice(s.in.cfg.Topic, g) })
}

// pick reads the records of some events, and says for each what the topic has there.
func (s *source) pick(ctx context.Context, events []*Event) error {
	wanted := make(map[int][]*Event)
	for _, e := range events {
		if e.Partition >= s.in.events.Partitions {
			e.Source = Beyond
			continue
		}
		span := s.in.spans[e.Partition]
		switch {
		case e.Offset >= span.End:
			e.Source = Beyond
		case e.Offset < span.First:
			e.Source = Removed
		case e.Offset >= span.Stable:
			e.Source = Hidden
		default:
			wanted[e.Partition] = append(wanted[e.Partition], e)
		}
	}
	var partitions []int
	for p := range wanted {
		partitions = append(partitions, p)
	}
	return pass.EachPartition(ctx, partitions, func(ctx context.Context, p int) error { return s.pickFrom(ctx, p, wanted[p]) })
}

func (s *source) pickFrom(ctx context.Context, partition int, wanted []*Event) error {
	slices.SortFunc(wanted, func(a, b *Event) int { return cmp.Compare(a.Offset, b.Offset) })
	var missed []*Event
	r := recordlog.Request{Partition: partition, MaxBytes: pickBytes, Epoch: recordlog.NoEpoch}
	for idle := 0; len(wanted) > 0; {
		r.Offset = wanted[0].Offset
		next, gap, err := s.in.events.Read(ctx, r, func(rec *recordlog.Record) error {
			for len(wanted) > 0 && wanted[0].Offset < rec.Offset {
				missed, wanted = append(missed, wanted[0]), wanted[1:]
			}
			if len(wanted) > 0 && wanted[0].Offset == rec.Offset {
				wanted[0].read(rec)
				wanted = wanted[1:]
			}
			return nil
		})
		if err != nil {
			return err
		}
		if next == r.Offset {
			if idle++; len(wanted) > 0 {
				if err := s.in.events.Idle(ctx, r, idle); err != nil {
					return err
				}
			}
			continue
		}
		idle = 0
		for len(wanted) > 0 && wanted[0].Offset < next {
			e := wanted[0]
			if wanted = wanted[1:]; gap != nil && gap.First <= e.Offset {
				e.Source = Unreadable
			} else {
				missed = append(missed, e)
			}
		}
	}
	return s.explain(ctx, partition, missed)
}

// explain says why the topic has no record at the places of some events. Retention may have removed them meanwhile.
func (s *source) explain(ctx context.Context, partition int, missed []*Event) error {
	if len(missed) == 0 {
		return nil
	}
	span, err := s.in.events.Span(ctx, partition)
	for _, e := range missed {
		if e.Source = Absent; e.Offset < span.First {
			e.Source = Removed
		}
	}
	return err
}

// read takes the record of an event.
func (e *Event) read(rec *recordlog.Record) {
	e.Source, e.Published, e.Event = Present, rec.Time, nil
	if rec.Omitted != nil {
		return
	}
	if event, err := schema.Decode(rec.Value, rec.Headers); err == nil {
		e.Event = &event
	}
	e.digest = digestOf(rec.Key, rec.Value, rec.Headers)
	if origin, ok := schema.Origin(rec.Headers); ok {
		e.origin = origin.ID()
	}
}

// digestOf hashes what a replay keeps of a record.
func digestOf(key, value []byte, headers []schema.Header) (digest [sha256.Size]byte) {
	h := sha256.New()
	pass.HashSource(h, schema.Record{Key: key, Value: value, Headers: headers})
	h.Sum(digest[:0])
	return digest
}

// look finds the records that the query selects.
func (s *source) look(ctx context.Context) error {
	q := &s.in.query
	if len(q.Records) > 0 {
		return s.pick(ctx, s.in.list())
	}
	all := s.in.events.All()
	if q.Conversation == nil || q.EveryPartition {
		return s.search(ctx, all)
	}
	own := kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: []byte(q.Conversation.Key())}, all...)
	if err := s.search(ctx, []int{own}); err != nil {
		return err
	}
	if len(s.in.byID) > 0 {
		s.in.totals.OnlyPartition = &own
		return nil
	}
	return s.search(ctx, slices.DeleteFunc(all, func(p int) bool { return p == own }))
}

// search looks in some partitions for what the query selects. What lies behind an open transaction is not found.
func (s *source) search(ctx context.Context, partitions []int) error {
	for _, p := range partitions {
		if hidden := s.in.spans[p].Hidden(p); hidden != nil {
			s.unread(*hidden)
		}
	}
	return s.scan(ctx, partitions, s.in.query.Since, s.take)
}

// take judges a record of a scan.
func (s *source) take(p int, rec *recordlog.Record) {
	q := &s.in.query
	s.in.totals.Records++
	if !q.Since.IsZero() && rec.Time.Before(q.Since) {
		return
	}
	event, err := schema.Decode(rec.Value, rec.Headers)
	if err == nil && rec.Omitted == nil {
		if q.matches(&event) {
			s.in.add(p, rec.Offset).read(rec)
		}
		return
	}
	found, where := q.search(schema.Record{Key: rec.Key, Value: rec.Value, Headers: rec.Headers})
	switch found {
	case matched:
		e := s.in.add(p, rec.Offset)
		e.read(rec)
		e.Mention = where
		s.in.totals.Mentioned++
	case unjudged:
		s.in.totals.Unjudged++
	case unmatched:
	}
}
