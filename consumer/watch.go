package consumer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// topicEvery is the time between two looks at the topic and the group's stamps. For so long a new topic of the same name may
	// be taken for the former one. The records that are missed meanwhile are read afterwards.
	topicEvery = 5 * time.Second
	lagEvery   = 15 * time.Second
)

// watchTopic returns errRestart once another topic has replaced the topic, and a [*GroupTakenError] once another service has
// committed offsets of the group. It returns nil when ctx ends. Offsets alone do not tell a new topic from a former one of the
// same length, and the new one's beginning would never be read. If the topic has another number of partitions than before, the
// share of the quota and the assignment follow.
func (a *assignment) watchTopic(ctx context.Context) error {
	ctx, end := a.loops.begin(ctx, "watch the topic")
	defer end()
	l := loopOf(ctx)
	for pause(ctx, topicEvery) == nil {
		l.rests() // it asks Kafka
		topic, replaced, err := a.look(ctx)
		a.missing.Store(errors.Is(err, kafka.UnknownTopicOrPartition))
		if err == nil && !replaced {
			a.sees(ctx, topic.Partitions)
			err = a.checkOwner(ctx, topic.Partitions)
		}
		l.works()
		switch {
		case replaced:
			a.log.LogAttrs(ctx, slog.LevelWarn, "topic made anew: opening the partitions anew, to read the new one from its start",
				slog.String("topic", a.cfg.Topic))
			return errRestart
		case isFinal(err):
			a.log.LogAttrs(ctx, slog.LevelError, "another service has committed offsets of this group: leaving it", slog.Any("error", err))
			return err
		case err != nil && ctx.Err() == nil:
			a.log.LogAttrs(ctx, slog.LevelDebug, "topic or group not looked at, will retry", slog.Any("error", err))
		}
	}
	return nil
}

// watchLag keeps the lag of a partition true while its fetching waits. A fetch tells the end of the log, but there is none while
// the events in flight leave no room.
func (a *assignment) watchLag(ctx context.Context) {
	ctx, end := a.loops.begin(ctx, "watch the lag")
	defer end()
	l := loopOf(ctx)
	for pause(ctx, lagEvery) == nil {
		for _, p := range a.all() {
			if time.Since(time.Unix(0, p.seen.Load())) < lagEvery {
				continue
			}
			l.rests()
			end, err := a.source.Offset(ctx, p.id, kafka.LastOffset)
			l.works()
			if err == nil {
				p.sawEnd(end)
			}
		}
	}
}
