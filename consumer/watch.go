package consumer

import (
	"context"
	"log/slog"
	"time"

	"convdel/consumer/internal/offsets"
	"convdel/consumer/internal/recordlog"
)

// topicEvery is how often the topic and the group's stamps are looked at. For so long a topic that was made anew may be taken
// for the former one; the records that are missed meanwhile are read afterwards.
const topicEvery = 5 * time.Second

// look asks about the topic, and whether it has been replaced since the session began. If so, the session commits nothing more:
// its offsets are the former topic's.
func (s *session) look(ctx context.Context) (topic recordlog.Topic, replaced bool, err error) {
	topic, err = s.source.Describe(ctx)
	if err != nil || offsets.OriginOf(s.topicID, offsets.TopicID(topic.ID)) == offsets.ThisTopic {
		return topic, false, err
	}
	for _, p := range s.partitions {
		p.noCommits.Store(true)
	}
	return topic, true, nil
}

// watchTopic calls stop once the topic has been replaced, or another service has committed offsets of the group. Offsets alone do
// not tell a new topic from a former one of the same length, and the new one's beginning would never be read. If the topic has
// got more partitions, the share of the quota follows.
func (s *session) watchTopic(ctx context.Context, stop context.CancelFunc) {
	for pause(ctx, topicEvery) == nil {
		topic, replaced, err := s.look(ctx)
		if err == nil && !replaced {
			s.reshare(ctx, topic.Partitions)
			err = s.watchOwner(ctx, topic.Partitions)
		}
		switch {
		case replaced:
			s.log.LogAttrs(ctx, slog.LevelWarn, "topic made anew: leaving the generation to read the new one from its start",
				slog.String("topic", s.cfg.Topic))
			stop()
			return
		case isFinal(err):
			s.log.LogAttrs(ctx, slog.LevelError, "another service has committed offsets of this group: leaving it", slog.Any("error", err))
			s.final.CompareAndSwap(nil, &err)
			stop()
			return
		case err != nil && ctx.Err() == nil:
			s.log.LogAttrs(ctx, slog.LevelDebug, "topic or group not looked at, will retry", slog.Any("error", err))
		}
	}
}

// watchOwner returns a [*GroupTakenError] if another service has committed offsets of the group. The session commits nothing more
// over those.
func (s *session) watchOwner(ctx context.Context, partitions int) error {
	found, err := committedOffsets(ctx, s.client, s.cfg.Group, s.cfg.Topic, partitions)
	if err != nil {
		return err
	}
	for _, o := range found {
		if p := s.partitions[o.partition]; p != nil && s.cfg.foreign(o.stamp) {
			p.noCommits.Store(true)
		}
	}
	return s.cfg.checkOwner(found)
}
