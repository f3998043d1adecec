package consumer

import (
	"context"
	"encoding/hex"
	"log/slog"

	"convdel/consumer/internal/recordlog"
	"convdel/schema"
)

// unreadableAfter is how many fetches must find the same fault in a batch before it counts as the batch's own.
const unreadableAfter = 3

// faultCount counts the fetches in a row that have found a fault at the same offset.
type faultCount struct {
	first int64
	seen  int
}

// again notes a fault, and says whether it has been found often enough.
func (f *faultCount) again(first int64) bool {
	if f.first != first {
		*f = faultCount{first: first}
	}
	f.seen++
	return f.seen >= unreadableAfter
}

// stepOver makes one dead letter of what can't be read of a batch, once three fetches have found the same fault, and goes on
// behind it. The list of what a previous owner has ended does not count here: that owner may have read more of the batch.
func (s *session) stepOver(ctx context.Context, p *partition, bad *recordlog.BatchError) error {
	if !p.fault.again(bad.First) {
		return bad
	}
	size := int64(len(bad.Raw))
	err := s.admit(ctx, p, size)
	s.events.Release(p.places)
	p.places = 0
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelError, "batch can't be read to its end: the rest of it becomes one dead letter",
		slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("first_offset", bad.First), slog.Int64("last_offset", bad.Last),
		slog.String("reason", bad.Reason), slog.Int64("batch_bytes", bad.Size), slog.Any("error", bad.Err))
	rec := record{partition: p, offset: bad.First, value: bad.Raw, batch: &schema.Batch{First: bad.First, Last: bad.Last}}
	if bad.Raw == nil {
		rec.omitted = &schema.Omitted{Why: "batch: larger than max-batch-bytes allows", Size: bad.Size, SHA256: hex.EncodeToString(bad.SHA256[:])}
	}
	s.takeUnreadable(rec, size, bad)
	p.tracker.advance(bad.Last + 1)
	p.fault = faultCount{}
	s.moved()
	return nil
}

// omittedOf is what a dead letter says of a record beyond the bounds; nil of one within them.
func omittedOf(o *recordlog.Omitted) *schema.Omitted {
	if o == nil {
		return nil
	}
	return &schema.Omitted{Why: o.Why, Size: o.Size, SHA256: hex.EncodeToString(o.SHA256[:])}
}
