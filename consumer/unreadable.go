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

// unreadableAfter is the number of fetches in a row that must find a fault in a batch before the batch counts as unreadable.
const unreadableAfter = 3

// faultCount counts the fetches in a row that have found a fault at the same offset.
type faultCount struct {
	first int64
	seen  int
}

// again notes a fault, and says whether so many fetches have found it.
func (f *faultCount) again(first int64) bool {
	if f.first != first {
		*f = faultCount{first: first}
	}
	f.seen++
	return f.seen >= unreadableAfter
}

// stepOver makes one dead letter of the part of a batch that can't be read, once three fetches have found the same fault, and goes
// on behind the batch. The previous owner's list of finished offsets does not count here: that owner may have read more of the
// batch.
func (f *fetcher) stepOver(ctx context.Context, bad *recordlog.BatchError, room *room) error {
	raw := bad.Raw
	bad.Raw = nil // the error outlives the room that holds these bytes
	if !f.fault.again(bad.First) {
		return bad
	}
	f.metrics.fetchFailed(bad)
	rec := record{partition: f.p, offset: bad.First, value: raw, batch: &schema.Batch{First: bad.First, Last: bad.Last}}
	if raw == nil || int64(len(raw)) > f.maxRecordBytes {
		rec.value = nil
		rec.omitted = &schema.Omitted{
			Why:  fmt.Sprintf("batch: larger than the %d bytes that are kept of one (max-record-bytes)", f.maxRecordBytes),
			Size: bad.Size, SHA256: hex.EncodeToString(bad.SHA256[:]),
		}
	}
	size := int64(len(rec.value))
	err := f.pipeline.admit(ctx, f.p, &f.reserved, size, !room.large)
	if errors.Is(err, errSpanFull) {
		return nil // it is found again when there is room
	}
	if err != nil {
		return err
	}
	f.log.LogAttrs(ctx, slog.LevelError, "batch can't be read to its end: the rest of it becomes one dead letter",
		slog.Int64("first_offset", bad.First), slog.Int64("last_offset", bad.Last),
		slog.String("reason", bad.Reason), slog.Int64("batch_bytes", bad.Size), slog.Any("error", bad.Err))
	f.p.read(bad.First, bad.Epoch)
	f.pipeline.acceptUnreadable(rec, size, bad)
	f.p.pass(bad.Last + 1)
	f.fault = faultCount{}
	return nil
}

// omittedOf describes what was not read of a record beyond the bounds; nil for a record within them.
func omittedOf(o *recordlog.Omitted) *schema.Omitted {
	if o == nil {
		return nil
	}
	return &schema.Omitted{Why: o.Why, Size: o.Size, SHA256: hex.EncodeToString(o.SHA256[:])}
}
