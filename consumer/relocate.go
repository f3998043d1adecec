package consumer

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/segmentio/kafka-go"

	"convdel/consumer/internal/recordlog"
)

// relocate deals with a position that is outside of the log. If it is below the log's start, retention has removed records before
// they were read: fetching goes on at the start, and the log line says how many are lost.
func (a *assignment) relocate(ctx context.Context, p *partition) error {
	first, err := a.source.Offset(ctx, p.id, kafka.FirstOffset)
	if err != nil {
		return err
	}
	last, err := a.source.Offset(ctx, p.id, kafka.LastOffset)
	if err != nil {
		return err
	}
	position := p.position()
	log := a.log.With(slog.String("topic", a.cfg.Topic), slog.Int("partition", p.id),
		slog.Int64("offset", position), slog.Int64("log_start", first), slog.Int64("log_end", last))
	switch {
	case position < first:
		a.metrics.offsetResets.Inc()
		log.LogAttrs(ctx, slog.LevelError, "retention has removed records before they were read; going on at the start of the log",
			slog.Int64("offsets_lost", first-position))
		p.skip(first)
		return nil
	case position <= last:
		return fmt.Errorf("%w: %s/%d/%d, although the log is %d to %d", recordlog.ErrOffsetGone, a.cfg.Topic, p.id, position, first, last)
	default:
		return a.returnFrom(ctx, p, last, log)
	}
}

// returnFrom deals with a position beyond last, the log's end. Another topic may have replaced the topic, or the log may have been
// cut: then the partition is opened anew, in another session. If neither is known, it begins as start says.
func (a *assignment) returnFrom(ctx context.Context, p *partition, last int64, log *slog.Logger) error {
	if _, replaced, err := a.look(ctx); err != nil {
		return err
	} else if replaced {
		return errRestart
	}
	if err := a.validateAt(ctx, p, p.epoch.Load()); err != nil {
		return err
	}
	a.metrics.offsetResets.Inc()
	// An operator may have moved the group by mistake, so the partition begins as one without an offset does.
	begin, err := beginAnew(ctx, a.cfg, a.source, p.id, beyondEnd(a.cfg.Topic, p.id, p.position(), last))
	if err != nil {
		return err
	}
	log.LogAttrs(ctx, slog.LevelError, "position is beyond the end of the log: beginning as start says", slog.Int64("begin", begin))
	if !p.restart(begin) {
		p.noCommits.Store(true)
		return errRestart
	}
	return nil
}
