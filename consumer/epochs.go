package consumer

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"convdel/consumer/internal/recordlog"
)

// A log can be cut: where a node that was behind becomes the leader, what only the former leader had is gone, and other
// records get its offsets. An offset alone does not tell. So commits carry the epoch of the leader who has appended what
// was read, and a leader says where its log of that epoch ends.

// leader is what a partition's fetching knows of it.
type leader struct {
	// epoch is the leader's that is fetched from: a leader of another one refuses. [recordlog.NoEpoch]: not known.
	epoch atomic.Int32
	// reading is the epoch of the record read last. Only the partition's fetching uses it.
	reading int32
}

// leaders are the epochs of the leaders who have appended what was read.
type leaders struct {
	// steps ascend: from first on, records are of the epoch.
	steps []leaderStep
	// inherited is the epoch of the last record that a previous owner has read, and inheritedRead the offset behind it.
	inherited     int32
	inheritedRead int64
}

type leaderStep struct {
	first int64
	epoch int32
}

func noLeaders() leaders { return leaders{inherited: recordlog.NoEpoch, inheritedRead: -1} }

// step notes that the records from first on are of an epoch.
func (l *leaders) step(first int64, epoch int32) {
	for len(l.steps) > 0 && l.steps[len(l.steps)-1].first >= first {
		l.steps = l.steps[:len(l.steps)-1]
	}
	l.steps = append(l.steps, leaderStep{first: first, epoch: epoch})
}

// before is the epoch of the record before an offset.
func (l *leaders) before(offset int64) int32 {
	for _, s := range slices.Backward(l.steps) {
		if s.first < offset {
			return s.epoch
		}
	}
	return recordlog.NoEpoch
}

// forget drops what is not needed for offsets from this one on.
func (l *leaders) forget(offset int64) {
	for len(l.steps) > 1 && l.steps[1].first < offset {
		l.steps = l.steps[1:]
	}
}

// sees notes who has appended a record that is about to be delivered. For most records it costs a comparison.
func (p *partition) sees(offset int64, epoch int32) {
	if epoch != p.reading {
		p.reading = epoch
		p.tracker.appendedBy(offset, epoch)
	}
}

// appendedBy notes that the records from an offset on were appended by the leader of an epoch.
func (t *tracker) appendedBy(first int64, epoch int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaders.step(first, epoch)
}

// inheritRead takes over what the previous owner has read last.
func (t *tracker) inheritRead(epoch int32, read int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaders.inherited, t.leaders.inheritedRead = epoch, read
}

// lastRead is the epoch of the last record that was read, by this owner or a former one whose list still counts, and the
// offset behind that record.
func (t *tracker) lastRead() (epoch int32, read int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastReadLocked()
}

func (t *tracker) lastReadLocked() (epoch int32, read int64) {
	epoch, read = t.leaders.before(t.read), t.read
	last := len(t.prior) - 1
	if t.read == 0 || last >= 0 && t.prior[last].last >= t.position {
		epoch, read = max(epoch, t.leaders.inherited), max(read, t.leaders.inheritedRead)
	}
	if epoch < 0 {
		return recordlog.NoEpoch, -1
	}
	return epoch, read
}

// cut is what a leader's answer means for offsets of a former leader's log, which ends there by that answer: where to go
// on, and which of the finished offsets are still there.
func cut(offset int64, done []offsetRange, end int64) (int64, []offsetRange) {
	var kept []offsetRange
	for _, r := range done {
		if r.first >= end {
			break
		}
		kept = append(kept, offsetRange{first: r.first, last: min(r.last, end-1)})
	}
	return min(offset, end), kept
}

// endOfRead asks a partition's leader where its log of an epoch ends, and says whether that is before what was read of it.
func (s *session) endOfRead(ctx context.Context, id int, current, epoch int32, read int64) (found int32, end int64, isCut bool, err error) {
	if epoch == recordlog.NoEpoch {
		return epoch, -1, false, nil
	}
	found, end, err = s.source.EndOfEpoch(ctx, id, current, epoch)
	if err != nil {
		return found, end, false, fmt.Errorf("end of leader epoch %d of %s/%d: %w", epoch, s.cfg.Topic, id, err)
	}
	return found, end, found != recordlog.NoEpoch && end >= 0 && end < read, nil
}

// validate is what a partition's fetching does when the leader is of another epoch than was thought, and before it goes
// back: it looks who leads, and asks that one whether its log has all that was read. It returns errRestart if not; the
// next generation opens the partition where the log was cut, and nothing more is committed of it in this one.
//
// Nobody else changes the epoch that is fetched with: a leader that has not been asked must refuse.
func (s *session) validate(ctx context.Context, p *partition) error {
	topic, replaced, err := s.look(ctx)
	if err != nil {
		return err
	}
	if replaced {
		return errRestart
	}
	current := epochOf(topic, p.id)
	if current == p.epoch.Load() {
		return fmt.Errorf("the leader of %s/%d has another epoch than %d, which is not known yet", s.cfg.Topic, p.id, current)
	}
	if err := s.validateAt(ctx, p, current); err != nil {
		return err
	}
	p.epoch.Store(current)
	return nil
}

// validateAt asks the leader of an epoch whether its log has all that was read.
func (s *session) validateAt(ctx context.Context, p *partition, current int32) error {
	epoch, read := p.tracker.lastRead()
	found, end, isCut, err := s.endOfRead(ctx, p.id, current, epoch, read)
	if err != nil || !isCut {
		return err
	}
	p.gone.Store(true)
	s.log.LogAttrs(ctx, slog.LevelError, "the log was cut below what has been read: opening the partition anew",
		slog.String("topic", s.cfg.Topic), slog.Int("partition", p.id), slog.Int64("read", read), slog.Int64("cut", end),
		slog.Int("epoch", int(epoch)), slog.Int("found_epoch", int(found)), slog.Int("leader_epoch", int(current)))
	return errRestart
}

// epochOf is the epoch of a partition's leader, as far as known.
func epochOf(topic recordlog.Topic, partition int) int32 {
	if partition >= len(topic.Epochs) {
		return recordlog.NoEpoch
	}
	return topic.Epochs[partition]
}
