package consumer

import (
	"context"
	"log/slog"
	"time"

	"convdel/consumer/internal/recordlog"
)

// topicEvery is how often the topic and the group's stamps are looked at. For so long a topic that was made anew may be taken
// for the one before it; what that misses is read afterwards.
const topicEvery = 5 * time.Second

// origin says which log a committed offset is one of.
type origin int

const (
	// thisLog is the one that the session reads, as far as known.
	thisLog origin = iota
	// formerTopic is that of a topic of the same name that is no more: its offsets mean nothing here.
	formerTopic
	// otherCluster is that of another cluster, from where a mirror has brought the offset along. Mirrors translate
	// offsets, not what they do not know.
	otherCluster
)

func originOf(committed, now recordlog.ID) origin {
	switch {
	case committed == (recordlog.ID{}) || now == (recordlog.ID{}) || committed == now:
		return thisLog
	case committed.Cluster == now.Cluster:
		return formerTopic
	default:
		return otherCluster
	}
}

// look asks about the topic, and whether it is another one than when the session began. If so, nothing more of the session
// is to be committed: its offsets are the old topic's.
func (s *session) look(ctx context.Context) (topic recordlog.Topic, replaced bool, err error) {
	topic, err = s.source.Describe(ctx)
	if err != nil || topic.ID == (recordlog.ID{}) || s.identity == (recordlog.ID{}) || topic.ID == s.identity {
		return topic, false, err
	}
	for _, p := range s.partitions {
		p.gone.Store(true)
	}
	return topic, true, nil
}

// watchTopic calls stop once the topic has been replaced, or another service has committed offsets of the group. By its
// offsets alone a new topic that is as long as the old one can't be told from it, and the beginning of it would never be
// read. If it has got more partitions, the share of the quota follows.
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

// watchOwner returns a [*GroupTakenError] if another service has committed offsets of the group. Over those nothing is
// committed any more.
func (s *session) watchOwner(ctx context.Context, partitions int) error {
	offsets, err := committedOffsets(ctx, s.client, s.cfg.Group, s.cfg.Topic, partitions)
	if err != nil {
		return err
	}
	for _, o := range offsets {
		if p := s.partitions[o.partition]; p != nil && s.cfg.foreign(o.stamp) {
			p.gone.Store(true)
		}
	}
	return s.cfg.checkOwner(offsets)
}
