package consumer

import (
	"context"
	"fmt"
	"log/slog"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// A log can be cut. Where a replica that was behind becomes the leader, the records that only the former leader had are gone, and
// other records get their offsets. An offset alone does not tell the two apart. So commits carry the epoch of the leader that has
// appended the last record read, and a leader says where its log of that epoch ends.

// endOfEpoch asks the leader of a partition, which is of the epoch current, where its log of the epoch read ends. It returns
// cut if that is before what was read.
func endOfEpoch(ctx context.Context, source *recordlog.Log, id int, current int32, read offsets.LastRead) (end offsets.LastRead, cut bool, err error) {
	if read.Epoch == offsets.NoEpoch {
		return offsets.NothingRead(), false, nil
	}
	end.Epoch, end.End, err = source.EndOfEpoch(ctx, id, current, read.Epoch)
	if err != nil {
		return end, false, fmt.Errorf("end of leader epoch %d of %s/%d: %w", read.Epoch, source.Topic, id, err)
	}
	return end, end.Epoch != offsets.NoEpoch && end.End >= 0 && end.End < read.End, nil
}

// validate deals with a leader whose epoch is not the one that fetches name. It looks up the leader's present epoch, and asks the
// leader whether its log has all records that were read. If not, it returns errRestart: the next session opens the partition
// where the log was cut, and nothing more is committed of it in this one.
//
// Nothing else changes the epoch that fetches name: a leader that has not been asked must refuse.
func (a *assignment) validate(ctx context.Context, p *partition) error {
	topic, replaced, err := a.look(ctx)
	if err != nil {
		return err
	}
	if replaced {
		return errRestart
	}
	current := epochOf(topic, p.id)
	if current == p.epoch.Load() {
		return fmt.Errorf("the leader of %s/%d has another epoch than %d, which is not known yet", a.cfg.Topic, p.id, current)
	}
	if err := a.validateAt(ctx, p, current); err != nil {
		return err
	}
	p.epoch.Store(current)
	return nil
}

// validateAt asks the leader of an epoch whether its log has all records that were read.
func (a *assignment) validateAt(ctx context.Context, p *partition, current int32) error {
	read := p.lastRead()
	end, cut, err := endOfEpoch(ctx, a.source, p.id, current, read)
	if err != nil || !cut {
		return err
	}
	p.noCommits.Store(true)
	a.log.LogAttrs(ctx, slog.LevelError, "the log was cut below what has been read: opening the partition anew",
		slog.String("topic", a.cfg.Topic), slog.Int("partition", p.id), slog.Int64("read", read.End), slog.Int64("cut", end.End),
		slog.Int("epoch", int(read.Epoch)), slog.Int("found_epoch", int(end.Epoch)), slog.Int("leader_epoch", int(current)))
	return errRestart
}

// epochOf is the epoch of a partition's leader, as far as known.
func epochOf(topic recordlog.Topic, partition int) int32 {
	if partition >= len(topic.Epochs) {
		return recordlog.NoEpoch
	}
	return topic.Epochs[partition]
}
