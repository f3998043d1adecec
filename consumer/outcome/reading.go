package outcome

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"convdel/consumer/internal/pass"
	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// Reading goes through a topic's outcomes, and goes on where it has stopped. It is not safe for concurrent use.
type Reading struct {
	// Progress, unless nil, is called with the number of offsets that were passed, one call at a time, see [Reading.Ahead].
	Progress func(offsets int64)

	topic  *Topic
	filter Filter
	// records are the filter's, partitions those that may hold their outcomes.
	records    map[string]bool
	partitions []int
	// next are the offsets from which the partitions are to be read, by partition. One that was never read is not there.
	next map[int]int64
	// hidden are the parts that lie behind an open transaction at present.
	hidden map[int]Gap
	mu     sync.Mutex
	totals Totals
}

// Reading returns a reading that has read nothing.
func (t *Topic) Reading(f Filter) *Reading {
	r := &Reading{topic: t, filter: f, partitions: t.partitions(&f), next: make(map[int]int64), hidden: make(map[int]Gap), records: make(map[string]bool)}
	for _, id := range f.Records {
		r.records[id] = true
	}
	return r
}

// Totals are the numbers up to now.
func (r *Reading) Totals() Totals {
	totals := r.totals
	totals.Unread = totals.Unread.Clone()
	for _, p := range slices.Sorted(maps.Keys(r.hidden)) {
		totals.Unread = totals.Unread.With(r.hidden[p])
	}
	return totals
}

// Ahead returns how many offsets there are to be read at present.
func (r *Reading) Ahead(ctx context.Context) (int64, error) {
	parts, err := r.ahead(ctx)
	total := int64(0)
	for _, part := range parts {
		total += max(0, part.To-part.From)
	}
	return total, err
}

// Next calls do with each selected outcome between the place where the reading has stopped and the topic's present end, until do
// returns an error. It returns that error. It never calls do twice at the same time.
func (r *Reading) Next(ctx context.Context, do func(Found) error) error {
	parts, err := r.ahead(ctx)
	if err != nil {
		return err
	}
	byPartition := make(map[int]pass.Part, len(parts))
	for _, part := range parts {
		byPartition[part.Partition] = part
	}
	return pass.EachPartition(ctx, r.partitions, func(ctx context.Context, p int) error { return r.read(ctx, byPartition[p], do) })
}

// ahead finds the parts that are to be read.
func (r *Reading) ahead(ctx context.Context) ([]pass.Part, error) {
	parts := make([]pass.Part, len(r.partitions))
	index := make(map[int]int, len(parts))
	for i, p := range r.partitions {
		index[p] = i
	}
	err := pass.EachPartition(ctx, r.partitions, func(ctx context.Context, p int) (err error) {
		parts[index[p]], err = r.part(ctx, p)
		return err
	})
	return parts, err
}

func (r *Reading) part(ctx context.Context, partition int) (pass.Part, error) {
	span, err := r.topic.in.Span(ctx, partition)
	if err != nil {
		return pass.Part{}, err
	}
	r.hide(partition, span.Hidden(partition))
	r.mu.Lock()
	from, begun := r.next[partition]
	r.mu.Unlock()
	if !begun {
		if from, err = r.topic.in.OffsetAt(ctx, partition, r.filter.Since); err != nil {
			return pass.Part{}, err
		}
	}
	return pass.Part{Partition: partition, From: from, To: span.Stable, MaxBytes: fetchBytes}, nil
}

func (r *Reading) read(ctx context.Context, part pass.Part, do func(Found) error) error {
	passed := part.From
	at, err := r.topic.in.Each(ctx, part, func(rec *recordlog.Record) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.advance(rec.Offset - passed)
		passed = rec.Offset
		return r.take(part.Partition, rec, do)
	}, r.note)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(at - passed)
	r.next[part.Partition] = at
	return err
}

func (r *Reading) advance(offsets int64) {
	if r.Progress != nil && offsets > 0 {
		r.Progress(offsets)
	}
}

// hide notes what lies behind an open transaction; nil if nothing does.
func (r *Reading) hide(partition int, hidden *Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if delete(r.hidden, partition); hidden != nil {
		r.hidden[partition] = *hidden
	}
}

func (r *Reading) note(g Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.topic.in.Note(&r.totals.Unread, g, r.topic.Notice)
}

// errTooLarge says that a record is no outcome.
var errTooLarge = errors.New("larger than any outcome")

func (r *Reading) take(partition int, rec *recordlog.Record, do func(Found) error) error {
	r.totals.Records++
	o, err := schema.DecodeOutcome(rec.Key, rec.Value)
	if rec.Omitted != nil {
		err = &schema.OutcomeError{Err: fmt.Errorf("%w: %s", errTooLarge, rec.Omitted.Why)}
	}
	if err != nil {
		if r.totals.Foreign++; len(r.totals.Named) < maxForeign {
			r.totals.Named = append(r.totals.Named, Foreign{Partition: partition, Offset: rec.Offset, Err: err})
		}
		return nil
	}
	found := Found{Outcome: o, Partition: partition, Offset: rec.Offset, Written: rec.Time}
	if r.selects(&found) {
		return do(found)
	}
	return nil
}

func (r *Reading) selects(o *Found) bool {
	f := &r.filter
	switch {
	case len(r.records) > 0 && !r.records[o.Record()] && !r.records[o.ReplayOf]:
	case f.EventID != "" && o.EventID != f.EventID:
	case f.ErasureID != "" && o.ErasureID != f.ErasureID:
	case !f.Since.IsZero() && o.Written.Before(f.Since):
	case f.Account == "":
		return true
	case o.Event == nil:
		r.totals.Unjudged++
	default:
		return o.Event.From == f.Account || o.Event.To == f.Account
	}
	return false
}
