package consumer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
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
func (s *session) stepOver(ctx context.Context, p *partition, bad *recordlog.BatchError, room *room) error {
	raw := bad.Raw
	bad.Raw = nil // the error outlives the room that these bytes take
	if !p.fault.again(bad.First) {
		return bad
	}
	s.metrics.fetchFailed(bad)
	rec := record{partition: p, offset: bad.First, value: raw, batch: &schema.Batch{First: bad.First, Last: bad.Last}}
	if raw == nil || int64(len(raw)) > s.cfg.MaxRecordBytes {
		rec.value = nil
		rec.omitted = &schema.Omitted{
			Why:  fmt.Sprintf("batch: larger than the %d bytes that are kept of one (max-record-bytes)", s.cfg.MaxRecordBytes),
			Size: bad.Size, SHA256: hex.EncodeToString(bad.SHA256[:]),
		}
	}
	size := int64(len(rec.value))
	err := s.admit(ctx, p, size, !room.large)
	if errors.Is(err, errSpanFull) {
		return nil // it is found again when there is room
	}
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelError, "batch can't be read to its end: the rest of it becomes one dead letter",
		slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("first_offset", bad.First), slog.Int64("last_offset", bad.Last),
		slog.String("reason", bad.Reason), slog.Int64("batch_bytes", bad.Size), slog.Any("error", bad.Err))
	p.read(bad.First, bad.Epoch)
	s.takeUnreadable(rec, size, bad)
	p.pass(bad.Last + 1)
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
